"""A trained recogniser as a folder of data that trusts nobody: weights, config, tokenizer, metrics."""

from s3_speechbrain.modelfolder.config import FORMAT, ModelConfig, ModelFacts
from s3_speechbrain.modelfolder.fetching import fetch
from s3_speechbrain.modelfolder.reading import LoadedModel, is_model, read_config, read_model
from s3_speechbrain.modelfolder.writing import write_model

__all__ = [
    "FORMAT",
    "LoadedModel",
    "ModelConfig",
    "ModelFacts",
    "fetch",
    "is_model",
    "read_config",
    "read_model",
    "write_model",
]
