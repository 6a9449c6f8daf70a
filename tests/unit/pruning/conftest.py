import pytest
from toy_encoders import toy_wav2vec2


@pytest.fixture
def encoder():
    """A wav2vec2 that trains as a whole; 4,096 weights and 224 biases in the set."""
    return toy_wav2vec2().requires_grad_(True)
