"""Running experiments on SpeechBrain: start, data, CTC training, checkpoints, results."""

from s3_speechbrain.brains.corpus import Corpus, load_corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import start
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.methods import encoder_options, finetune_, freeze_weights_
from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.results import finish, say_if_finished
from s3_speechbrain.brains.schedules import tri_stage

__all__ = [
    "CTCBrain",
    "CTCHead",
    "Corpus",
    "MaskBrain",
    "Recogniser",
    "encoder_options",
    "finetune_",
    "finish",
    "freeze_weights_",
    "load_corpus",
    "say_if_finished",
    "start",
    "tri_stage",
]
