"""Running what was trained: one backbone in memory, many languages."""

from s3_speechbrain.inference.recogniser import SharedRecogniser

__all__ = ["SharedRecogniser"]
