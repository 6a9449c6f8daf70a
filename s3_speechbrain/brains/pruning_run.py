"""What the methods of the pruning recipe are made of: models to start from, masks, the last training."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor, nn

from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.pruned import MASK_FILE, ParpBrain, PrunedBrain, ScorePruneBrain, check_groups
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.brains.stages import Stage, load_stage_
from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import (
    ParpSchedule,
    check_fit,
    check_mask_file,
    check_scope,
    check_sparsity,
    enforce_,
    foreign_masks,
    load_masks,
    magnitude_masks,
    prunable,
    prune_further,
    prune_once_,
    save_masks,
)
from s3_speechbrain.pruning.foreign import TOLERANCE
from s3_speechbrain.report.schema import BASELINE_PREFIX, METHODS, value_of

# settings that only some methods look at
OF_METHODS = {"dense_run": ("omp", "s3_prune"), "parp_run": ("parp_mask",), "start_sparsity": ("parp_p",)}


class PruningRun(StagedRun):
    """One run of a pruning method; see `StagedRun` for the parameters.

    Further settings are the keys of ``recipes/CommonVoice/parp/hparams/demo.yaml``.
    """

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        super().__init__(hparams, corpus, run_opts)
        self.method: str = hparams["method"]
        if "languages" in hparams:
            raise UserError(
                "this YAML file is of joint.py, for several languages: --help lists those of train.py"
            )
        check_mask_file(self.method, hparams["mask_file"])
        for name, methods in OF_METHODS.items():
            if hparams[name] is not None and self.method not in methods:
                raise UserError(
                    f"{name} has no effect with method {self.method}: leave it out, or use {' or '.join(methods)}"
                )
        self.sparsity: float = hparams["sparsity"]
        check_sparsity(self.sparsity)
        check_groups(hparams["groups"])
        self.groups: tuple[str, ...] = tuple(hparams["groups"])
        self.scope: str = self.option("scope")
        check_scope(self.scope)
        self.biases: bool = self.option("biases")

    @property
    def recorded_as(self) -> str:
        """What the method is called in ``metrics.json``; PARP that begins with foreign masks has its own name."""
        foreign = self.hparams["mask_file"] and self.method != "foreign"
        name = f"{self.method}_foreign" if foreign else self.method
        return name if name in METHODS else f"{BASELINE_PREFIX}{name}"

    # Models to start from -------------------------------------------------------------------------------

    def random(self) -> Recogniser:
        """Build the same network with random weights."""
        model = self.pretrained()
        model.encoder = self.hparams["encoder"]["build"](pretrained=False)
        return model

    def rewound(self) -> Recogniser:
        """Return the model as it was after the first ``rewind_updates`` updates of dense finetuning."""
        updates = self.option("rewind_updates")
        model = self.pretrained()
        if updates:
            whole, training = self.hparams["updates"], self.hparams["training"]
            # the beginning of the whole schedule, not a short one
            beginning = {**training, "schedule": lambda update, _: training["schedule"](update, whole)}
            changes = {"updates": updates, "valid_every": updates, "training": beginning}
            stage = self.stage("rewind", self.pretrained, CTCBrain, "dense", **changes)
            load_stage_(model, stage)
        return model

    @staticmethod
    def trained_names(model: Recogniser) -> set[str]:
        """Return the names of the encoder's parameters that finetuning changes."""
        named = model.encoder.named_parameters()
        return {name for name, p in named if p.requires_grad and p is not model.encoder.mask_vector}

    # Masks ----------------------------------------------------------------------------------------------

    def weights(self, model: Recogniser) -> dict[str, nn.Parameter]:
        """Return the parameters of a model that compete."""
        return prunable(model.encoder, self.groups, self.biases)

    def magnitude(self, model: Recogniser, sparsity: float | None = None) -> dict[str, Tensor]:
        """Return the magnitude masks of a model."""
        wanted = self.sparsity if sparsity is None else sparsity
        return magnitude_masks(self.weights(model), wanted, self.scope)

    def masks_from_file(self, model: Recogniser, sparsity: float) -> dict[str, Tensor]:
        """Read the masks of another run from ``mask_file``, and check that they fit a model and a sparsity."""
        masks, self.options["mask_source"] = foreign_masks(
            self.hparams["mask_file"],
            self.weights(model),
            sparsity,
            backbone_name(self.hparams),
            backbone_sha256(self.hparams),
        )
        return masks

    def imp_round(
        self, number: int, sparsity: float, masks: Mapping[str, Tensor] | None
    ) -> dict[str, Tensor]:
        """Train the rewound model under masks for ``round_updates`` updates, then remove more of it."""

        def start() -> Recogniser:
            model = self.rewound()
            if masks is not None:
                enforce_(model.encoder, masks)
            return model

        def prune(brain: CTCBrain, folder: Path) -> None:
            weights = {name: weight.detach().cpu() for name, weight in self.weights(brain.recogniser).items()}
            before = masks or {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
            save_masks(folder / MASK_FILE, prune_further(weights, before, sparsity, self.scope))

        updates = self.option("round_updates")
        changes = {"updates": updates, "valid_every": updates, "head_only_updates": 0}
        changes["lr"] = self.option("round_lr") or self.hparams["lr"]
        stage = self.stage(f"round-{number}", start, PrunedBrain, "imp", prune, **changes)
        shutil.rmtree(stage.folder / "checkpoints", ignore_errors=True)  # the masks are all that is needed
        return load_masks(stage.folder / MASK_FILE)

    def parp_masks(self) -> dict[str, Tensor]:
        """Run PARP, or take the run that ``parp_run`` names; return the masks of its best checkpoint."""
        if self.hparams["parp_run"]:
            stage = self.shared("parp_run", ["parp"])
            self._check_parp_run(stage)
        else:

            def keep(brain: CTCBrain, folder: Path) -> None:
                brain.on_evaluate_start()
                brain.leave_behind(folder)

            schedule = self.schedule()
            kind = partial(ParpBrain, schedule=schedule)
            stage = self.stage("parp", partial(self.zeroed, schedule), kind, "parp", keep)
        masks = load_masks(stage.folder / MASK_FILE)
        check_fit(self.weights(self.pretrained()), masks)
        return masks

    def _check_parp_run(self, stage: Stage) -> None:
        share, scope = stage.facts["sparsity"]["masked"], value_of(stage.facts, "config.scope", self.scope)
        if abs(share - self.sparsity) > TOLERANCE:
            wrong = f"sparsity {share:.4g}, this run {self.sparsity}"
        elif scope != self.scope:
            wrong = f"scope {scope}, this run {self.scope}"
        else:
            return
        raise UserError(f"parp_run {stage.folder} has {wrong}: give one that agrees")

    # PARP -----------------------------------------------------------------------------------------------

    def schedule(self, grows: bool = False) -> ParpSchedule:
        """Return when PARP re-prunes; with `grows`, PARP-P's sparsity begins lower."""
        self.option("reset_moments")
        length = self.sparsity, self.option("interval"), self.hparams["updates"]
        if not grows:
            return ParpSchedule(*length)
        schedule = ParpSchedule.growing(*length, self.hparams["start_sparsity"], self.option("growth"))
        self.options["start_sparsity"] = schedule.start
        return schedule

    def zeroed(self, schedule: ParpSchedule) -> Recogniser:
        """Return the pretrained model, zeroed once: by ``mask_file`` if one is given, else by its magnitudes."""
        model, sparsity = self.pretrained(), schedule.sparsity_after(0)
        foreign = self.hparams["mask_file"]
        masks = self.masks_from_file(model, sparsity) if foreign else self.magnitude(model, sparsity)
        prune_once_(self.weights(model), masks)
        return model

    # The last training ----------------------------------------------------------------------------------

    def under_masks(self, model: Recogniser, masks: Mapping[str, Tensor]) -> PrunedBrain:
        """Hold masks over a model: what they remove stays removed."""
        enforce_(model.encoder, masks)
        return self.last(PrunedBrain, model)

    def parp(self, schedule: ParpSchedule) -> ParpBrain:
        """Train all weights of the model that was zeroed once, re-pruned by a schedule."""
        return self.last(ParpBrain, self.zeroed(schedule), schedule)

    def scores(self, model: Recogniser, finetuned: set[str]) -> ScorePruneBrain:
        """Train the scores of a masked model over its frozen finetuned weights."""
        self.options |= {"dense_lr": self.hparams["lr"], "biases": False, "scope": "matrix"}
        return self.last(ScorePruneBrain, model, finetuned, lr=self.option("score_lr") or self.hparams["lr"])
