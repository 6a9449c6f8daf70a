"""A trained recogniser as a folder of data that trusts nobody: weights, config, tokenizer, metrics."""

from s3_speechbrain.modelfolder.backbone import find_backbone, load_backbone, read_backbone, write_backbone
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
    "find_backbone",
    "is_model",
    "load_backbone",
    "read_backbone",
    "read_config",
    "read_model",
    "write_backbone",
    "write_model",
]
