"""What the token methods of a recipe are made of: teacher, detector, calibrated selector, student."""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.run_opts import RunOptions
from speechbrain.utils.seed import seed_everything
from torch import Tensor

from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.detecting import DetectorBrain, score_clips, teacher_targets
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.methods import finetune_
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.shortened import TokenBrain
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.brains.stages import STAGE, Stage, find_run, read_stage, write_stage
from s3_speechbrain.brains.unlabelled import check_unlabelled, with_unlabelled
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import plain_name
from s3_speechbrain.report.schema import BASELINE_PREFIX
from s3_speechbrain.tokens import (
    CALIBRATED,
    DETECTED,
    DETECTOR_FILE,
    ORACLES,
    TAUGHT,
    TokenConfig,
    TokenDetector,
    TokenSelector,
    load_detector,
    make_selector,
    save_detector,
    threshold_for_keep_ratio,
    threshold_for_recall,
)

logger = logging.getLogger(__name__)

STARTS = ("teacher", "pretrained")
ADAPTATIONS = ("dense", "lora", "bitfit")


class TokenRun(StagedRun):
    """One run that shortens sequences; see `StagedRun` for the parameters.

    Further settings are the keys of ``recipes/CommonVoice/s6_damon/hparams/salad.yaml``.
    """

    brain: type[TokenBrain] = TokenBrain

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        super().__init__(hparams, corpus, run_opts)
        self.tokens: TokenConfig = hparams["tokens"]
        for name, known in (("start_from", STARTS), ("adapt", ADAPTATIONS)):
            if self.option(name) not in known:
                raise UserError(f"{name} is {hparams[name]!r}: choose one of {', '.join(known)}")
        self.options["tokens"] = self.tokens.used
        self._check_sources()

    def _check_sources(self) -> None:
        """Find what the settings name before anything is trained."""
        if self.tokens.selector in DETECTED:
            if self.hparams["detector_run"]:
                self._other_detector(Path(self.hparams["detector_run"]))
            else:
                check_unlabelled(self.hparams["unlabelled"])

    @property
    def recorded_as(self) -> str:
        """The method's name in ``metrics.json``."""
        name = self.tokens.selector
        return name if name == "salad" else f"{BASELINE_PREFIX}{name}"

    def teacher(self) -> Recogniser | None:
        """Finetune a dense recogniser, or take the run that ``teacher_run`` names; None if nothing needs one."""
        if self.tokens.selector not in TAUGHT and self.hparams["start_from"] != "teacher":
            return None
        return self.dense("teacher", **self.hparams["teacher"])

    def selector(self, teacher: Recogniser | None) -> TokenSelector:
        """Build the selector, with a detector trained on the teacher's labels if it needs one."""
        detector = self._detector(teacher) if self.tokens.selector in DETECTED else None
        like = teacher or self.pretrained()
        oracle = copy.deepcopy(teacher) if teacher and self.tokens.selector in ORACLES else None
        return make_selector(self.tokens, like.encoder, detector, oracle and (oracle.encoder, oracle.head))

    def student(self, teacher: Recogniser | None) -> Recogniser:
        """Build what learns on the shortened sequences."""
        from_teacher = self.hparams["start_from"] == "teacher"
        model = copy.deepcopy(teacher) if from_teacher else self.pretrained()
        seed_everything(self.seed, verbose=False)
        finetune_(model.encoder, self.hparams["adapt"], self.hparams["rank"], self.hparams["alpha"])
        return model

    def shortened(
        self, student: Recogniser, selector: TokenSelector, teacher: Recogniser | None
    ) -> TokenBrain:
        """Put the selector into the student, choose its threshold on dev, and make the Brain that trains both."""
        student.selector = selector
        brain = self.last(self.brain, student)
        if self.hparams["start_from"] == "teacher":
            brain.inherited = self._inherited(student, teacher)
        brain.facts = {"selector": self.tokens.selector, **self._calibrate_(brain, teacher)}
        return self._ready(brain)

    @staticmethod
    def _inherited(student: Recogniser, teacher: Recogniser) -> list[Tensor]:
        """List what a teacher learned and its student keeps as it is, as with adapters."""
        learned = {
            plain_name(name) for name, value in teacher.encoder.named_parameters() if value.requires_grad
        }
        return [
            value
            for name, value in student.encoder.named_parameters()
            if not value.requires_grad and plain_name(name).replace(".pretrained_module", "") in learned
        ]

    # Detector -------------------------------------------------------------------------------------------

    def _detector(self, teacher: Recogniser) -> TokenDetector:
        if self.hparams["detector_run"]:
            stage = self._other_detector(Path(self.hparams["detector_run"]))
        else:
            own = {**self.hparams["detector"], "unlabelled": _as_text(self.hparams["unlabelled"])}
            self.options["detector"] = own
            stage = read_stage(self.folder / "detector") or self._train_detector(teacher)
        self.earlier.append(stage)
        return load_detector(stage.folder / DETECTOR_FILE, teacher.encoder.extractor_width)

    def _other_detector(self, folder: Path) -> Stage:
        folder = folder / "detector" if (folder / "detector" / STAGE).is_file() else folder
        wanted = {
            "backbone": backbone_name(self.hparams),
            "backbone_sha256": backbone_sha256(self.hparams),
            "config.selector": self.tokens.selector,
        }
        if self.tokens.selector == "salad":  # what its labels were
            wanted |= {f"config.{name}": value for name, value in self.tokens.rule.items()}
        stage = find_run(folder, "detector_run", ["detector"], wanted)
        self.options["tokens"] = {**self.tokens.used, "detector": stage.facts["config"]["detector"]}
        self.options["detector_run_language"] = stage.facts["language"]
        return stage

    def _train_detector(self, teacher: Recogniser) -> Stage:
        folder, own = self.folder / "detector", self.hparams["detector"]
        seed_everything(self.seed, verbose=False)
        detector = TokenDetector(teacher.encoder.extractor_width, self.tokens.detector)
        hparams = {**self.hparams, **own, "output_folder": str(folder), "head_only_updates": 0}
        rule = self.tokens.rule if self.tokens.selector == "salad" else None
        brain = DetectorBrain(detector, teacher, rule, hparams, self.run_opts)
        if brain.test_only:
            raise UserError(f"{folder} is not complete: run once without --test_only")
        clips = with_unlabelled(self.hparams, self.corpus)
        logger.info("stage detector: %d clips, %d updates", len(clips), brain.hparams.updates)
        detector = brain.train(clips, self.corpus.clips["dev"])
        run_on_main(save_detector, args=[folder / DETECTOR_FILE, detector])
        brain.keep_time()
        targets = torch.cat([row.float() for row in brain.targets.values()])
        facts = {
            "method": "detector",
            "backbone": backbone_name(self.hparams),
            "backbone_sha256": backbone_sha256(self.hparams),
            "language": self.corpus.language,
            "seed": self.seed,
            "data": {"manifest_sha256": self.corpus.sha256, "train_minutes": sum(clips.durations) / 60},
            "cost": {"wall_s": brain.history.seconds, "updates": brain.history.rounds[-1]["updates"]},
            "config": {**self.tokens.used, **self.options["detector"]},
            "size": {"parameters": sum(value.numel() for value in detector.parameters())},
            "target_share": float(targets.mean()),
            "history": brain.history.rounds,
        }
        return write_stage(folder, facts)

    # Threshold ------------------------------------------------------------------------------------------

    def _calibrate_(self, brain: TokenBrain, teacher: Recogniser | None) -> dict[str, Any]:
        """Set the selector's threshold on dev; return what was found there."""
        config, selector, dev = self.tokens, brain.recogniser.selector, self.corpus.clips["dev"]
        if config.selector not in CALIBRATED:
            return {}
        if selector.needs_wave:
            dev.forget()
        scores = score_clips(brain.recogniser, selector, brain.loader(dev), brain.device)
        salient = {}
        if config.selector == "salad":
            salient = teacher_targets(teacher.to(brain.device), brain.loader(dev), brain.device, config.rule)
        rows = list(scores.values())
        if config.recall is None:
            threshold = threshold_for_keep_ratio(rows, config.keep_ratio)
        else:
            threshold = threshold_for_recall(rows, [salient[clip] for clip in scores], config.recall)
        selector.threshold.fill_(threshold)
        found = _on_dev(scores, salient, threshold)
        told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        logger.info("selector %s on dev: threshold %.3f, %s", config.selector, threshold, told)
        return {"dev": found}


def _on_dev(
    scores: Mapping[str, Tensor], salient: Mapping[str, Tensor], threshold: float
) -> dict[str, float]:
    """Measure a threshold: the share of frames kept, and how well the salient ones are found."""
    keep = {clip: row > threshold for clip, row in scores.items()}
    for row in keep.values():
        row[:1] = True
    kept = sum(int(row.sum()) for row in keep.values())
    total = sum(map(len, keep.values()))
    found = {"keep_ratio": kept / total}
    if salient:
        wanted = sum(int(row.sum()) for row in salient.values())
        hits = sum(int((keep[clip] & row).sum()) for clip, row in salient.items())
        found |= {"salient_share": wanted / total, "recall": hits / wanted, "precision": hits / kept}
    return found


def _as_text(unlabelled: str | list[str] | None) -> str | None:
    return unlabelled if unlabelled is None or isinstance(unlabelled, str) else f"[{', '.join(unlabelled)}]"
