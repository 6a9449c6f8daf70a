"""Running what was trained: speech to text from any folder, one backbone in memory for many languages."""

from s3_speechbrain.inference.chunks import Chunking
from s3_speechbrain.inference.recogniser import SharedRecogniser
from s3_speechbrain.inference.sources import Source, find_source, load
from s3_speechbrain.inference.transcriber import OneModel, Transcriber
from s3_speechbrain.inference.words import Token, Transcript, Word

__all__ = [
    "Chunking",
    "OneModel",
    "SharedRecogniser",
    "Source",
    "Token",
    "Transcriber",
    "Transcript",
    "Word",
    "find_source",
    "load",
]
