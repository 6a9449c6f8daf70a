"""One wrapper over the pretrained speech encoders that recipes adapt."""

from s3_speechbrain.encoders.encoder import Encoded, SpeechEncoder
from s3_speechbrain.encoders.kept import Kept
from s3_speechbrain.encoders.loading import BUILTIN, FAMILIES
from s3_speechbrain.encoders.spec_augment import SpecAugmentConfig

__all__ = ["BUILTIN", "FAMILIES", "Encoded", "Kept", "SpecAugmentConfig", "SpeechEncoder"]
