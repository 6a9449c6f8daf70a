"""Settings of a token selector, and the selector that they describe."""

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens.detector import DetectorConfig
from s3_speechbrain.tokens.labels import BLANK_POLICIES
from s3_speechbrain.tokens.scorers import (
    EnergyScorer,
    NoveltyScorer,
    RandomScorer,
    TeacherScorer,
    UniformScorer,
)
from s3_speechbrain.tokens.selectors import CUTS, REDUCE, ConvSelector, ScoredSelector, TokenSelector

SELECTORS = {
    "salad": "a detector, trained on a teacher's run starts",
    "blank": "the same detector, trained on the teacher's blank posterior (CTC-blank skipping)",
    "uniform": "every k-th frame",
    "average": "the mean of every k frames",
    "conv": "a trained convolution with stride k",
    "random": "a random choice, drawn anew in training",
    "vad": "the loudest frames (energy voice activity detection)",
    "merge": "the mean of neighbours with similar features",
    "oracle": "the teacher's run starts themselves, at the cost of running the teacher",
    "oracle_blank": "the teacher's blank posterior itself, at the cost of running the teacher",
    "all": "every frame: the same training without shortening",
}
LEAST = 0.01  # share of frames that a selector can be asked to keep
DETECTED = ("salad", "blank")  # need a trained detector
ORACLES = ("oracle", "oracle_blank")  # run the teacher
TAUGHT = (*DETECTED, *ORACLES)  # need a teacher
AVERAGED = ("salad", "oracle", "average", "merge")  # leave means, unless told otherwise
CALIBRATED = (*DETECTED, "oracle_blank", "vad", "merge")  # their threshold is chosen on dev


@dataclass(frozen=True)
class TokenConfig:
    """How a sequence is shortened.

    Parameters
    ----------
    selector : str
        One of `SELECTORS`.
    keep_ratio : float
        Share of frames to keep; ``oracle`` keeps what its labels say and ``all`` everything.
    recall : float, optional
        Of ``salad``: choose the threshold for this share of the salient frames instead.
    n_first, blank_policy
        Which frames are salient: see `salient_frames`.
    cut : {"before_positions", "after_positions"}, optional
        See `TokenSelector`. None is the selector's own way: before for ``conv``, after elsewhere.
    reduce : {"drop", "mean"}, optional
        What becomes of the other frames: nothing, or each kept frame is averaged with those behind it. None is the
        selector's own way: see `AVERAGED`.
    jitter : float
        Noise on the threshold in training.
    seed : int
        Of ``random``.
    detector : DetectorConfig
        Size of the detector.
    """

    selector: str = "salad"
    keep_ratio: float = 0.5
    recall: float | None = None
    n_first: int = 1
    blank_policy: str = "only_between_repeats"
    cut: str | None = None
    reduce: str | None = None
    jitter: float = 0.0
    seed: int = 0
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def __post_init__(self) -> None:
        """Fill in the selector's own ways, and refuse settings that cannot be meant."""
        own = {
            "cut": "before_positions" if self.selector == "conv" else "after_positions",
            "reduce": "mean" if self.selector in AVERAGED else "drop",
        }
        for name, way in own.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, way)  # the class is frozen
        for name, value, known in (
            ("selector", self.selector, SELECTORS),
            ("cut", self.cut, CUTS),
            ("blank_policy", self.blank_policy, BLANK_POLICIES),
            ("reduce", self.reduce, REDUCE),
        ):
            if value not in known:
                raise UserError(f"{name} is {value!r}: choose one of {', '.join(known)}")
        if not LEAST <= self.keep_ratio <= 1:
            raise UserError(f"keep_ratio is {self.keep_ratio}: give a fraction from {LEAST} to 1")
        if self.recall is not None and not 0 <= self.recall <= 1:
            raise UserError(f"recall is {self.recall}: give a fraction between 0 and 1")
        if self.n_first < 1:
            raise UserError(f"n_first is {self.n_first}: give 1 or more")
        if self.jitter < 0 or (self.jitter and self.selector not in CALIBRATED):
            raise UserError(
                f"jitter is {self.jitter}: give 0, or more for a selector with a threshold, {', '.join(CALIBRATED)}"
            )
        if self.recall is not None and self.selector != "salad":
            raise UserError(
                f"recall belongs to the selector salad, not to {self.selector}; give a keep_ratio"
            )
        if self.selector == "conv" and self.cut != "before_positions":
            raise UserError("conv makes new frames without positions; use --cut before_positions")
        if self.selector == "conv" and self.reduce != "drop":
            raise UserError("conv learns how frames become one: leave reduce out")
        if self.selector == "conv" and Fraction(str(self.keep_ratio)).limit_denominator(100).numerator != 1:
            raise UserError(f"conv keeps one frame of k: give a keep_ratio of 1/k, not {self.keep_ratio}")

    @property
    def used(self) -> dict[str, Any]:
        """The settings that matter for this selector, for the record of a run."""
        names = ["selector", "cut", "reduce"]
        names += ["keep_ratio" if self.recall is None else "recall"] * (
            self.selector not in ("oracle", "all")
        )
        names += ["n_first", "blank_policy"] * (self.selector in ("salad", "oracle"))
        names += ["detector"] * (self.selector in DETECTED)
        names += ["jitter"] * (self.selector in CALIBRATED)
        everything = dataclasses.asdict(self)
        return {name: everything[name] for name in names}

    @property
    def rule(self) -> dict[str, int | str]:
        """Arguments of `salient_frames`."""
        return {"n_first": self.n_first, "blank_policy": self.blank_policy}


def make_selector(
    config: TokenConfig,
    encoder: SpeechEncoder,
    detector: nn.Module | None = None,
    teacher: tuple[SpeechEncoder, nn.Module] | None = None,
) -> TokenSelector:
    """Build a selector; those in `CALIBRATED` get their threshold later, with `set_threshold_`.

    Parameters
    ----------
    config : TokenConfig
        Which.
    encoder : SpeechEncoder
        The student, for its sizes.
    detector : nn.Module, optional
        For ``salad`` and ``blank``: trained.
    teacher : (encoder, head), optional
        For ``oracle`` and ``oracle_blank``.

    Returns
    -------
    TokenSelector
        With nothing to train but for ``conv``.

    Raises
    ------
    UserError
        If the detector or the teacher is missing, or a teacher cannot share the student's extractor.
    """
    name = config.selector
    if (name in DETECTED and detector is None) or (name in ORACLES and teacher is None):
        raise UserError(f"{name} needs a {'detector' if name in DETECTED else 'teacher'}; train one first")
    if name in TAUGHT and not encoder.extractor_frozen:
        raise UserError(f"{name} reads the extractor's features, so the extractor has to stay frozen")
    selector = _make(config, encoder, detector, teacher)
    if name in DETECTED:  # a detector of another run has a size of its own
        config = dataclasses.replace(config, detector=getattr(detector, "config", config.detector))
    selector.config = config
    return selector


def _make(
    config: TokenConfig,
    encoder: SpeechEncoder,
    detector: nn.Module | None,
    teacher: tuple[SpeechEncoder, nn.Module] | None,
) -> TokenSelector:
    name, ratio = config.selector, config.keep_ratio
    if name == "conv":
        return ConvSelector(encoder.extractor_width, round(1 / ratio))
    makers = {
        "uniform": lambda: UniformScorer(ratio),
        "average": lambda: UniformScorer(ratio),
        "all": lambda: UniformScorer(1.0),
        "random": lambda: RandomScorer(config.seed),
        "vad": lambda: EnergyScorer(encoder.frame_stride),
        "merge": NoveltyScorer,
        "oracle": lambda: TeacherScorer(*teacher, "salient", **config.rule),
        "oracle_blank": lambda: TeacherScorer(*teacher, "blank"),
    }
    return ScoredSelector(
        detector if name in DETECTED else makers[name](),
        1 - ratio if name == "random" else 0.0,
        reduce=config.reduce,
        cut=config.cut,
        jitter=config.jitter if name in CALIBRATED else 0.0,
    )
