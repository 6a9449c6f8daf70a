"""Settings of S6-DAMON that cannot be meant were refused after the teacher and the detector had been trained."""

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured import StructuredConfig
from s3_speechbrain.tokens import TokenConfig


@pytest.mark.parametrize(
    "settings",
    [{"recall": 1.5}, {"n_first": 0}, {"jitter": -0.1}, {"jitter": 0.1, "selector": "uniform"}],
    ids=str,
)
def test_token_settings(settings):
    with pytest.raises(UserError, match=f"^{next(iter(settings))} is"):
        TokenConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": 7}, "^keep is 7"),
        ({"keep": 0}, "^keep is 0"),
        ({"drop": 9}, "^drop is 9"),
        ({"every": 0}, "^every is 0"),
        ({"window": 0}, "window 0"),
        ({"kinds": ["nonsense"]}, "nonsense"),
        ({"kinds": []}, "^kinds are"),
        ({"start": 0.7}, "^start is 0.7 and until 0.6"),
        ({"until": 1.2}, "until 1.2"),
    ],
    ids=str,
)
def test_unit_settings(settings, message):
    with pytest.raises(UserError, match=message):
        StructuredConfig(**settings)
