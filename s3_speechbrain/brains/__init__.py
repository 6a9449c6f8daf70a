"""Running experiments on SpeechBrain: start, data, CTC training, checkpoints, results."""

from s3_speechbrain.brains.banking import deposit
from s3_speechbrain.brains.corpus import Corpus, load_corpora, load_corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import start
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.methods import encoder_options, finetune_, freeze_weights_, mask_options
from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.multilingual import JointMaskBrain, LanguageHeads, MultilingualBrain
from s3_speechbrain.brains.pruning_run import PruningRun
from s3_speechbrain.brains.results import finish, finish_languages, say_finished, say_if_finished
from s3_speechbrain.brains.s6 import S6Run
from s3_speechbrain.brains.schedules import tri_stage
from s3_speechbrain.brains.single import finetune_language, mask_language, train_in_stages, train_language
from s3_speechbrain.brains.structured_run import StructuredRun
from s3_speechbrain.brains.token_run import TokenRun

__all__ = [
    "CTCBrain",
    "CTCHead",
    "Corpus",
    "JointMaskBrain",
    "LanguageHeads",
    "MaskBrain",
    "MultilingualBrain",
    "PruningRun",
    "Recogniser",
    "S6Run",
    "StructuredRun",
    "TokenRun",
    "deposit",
    "encoder_options",
    "finetune_",
    "finetune_language",
    "finish",
    "finish_languages",
    "freeze_weights_",
    "load_corpora",
    "load_corpus",
    "mask_language",
    "mask_options",
    "say_finished",
    "say_if_finished",
    "start",
    "train_in_stages",
    "train_language",
    "tri_stage",
]
