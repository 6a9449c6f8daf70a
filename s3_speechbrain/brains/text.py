"""The Brain of text classification, dense or pruned: forward pass, loss, validation, results."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor
from torch.utils.data import DataLoader

from s3_speechbrain import measure
from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.errors import by_utterance
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.pruned import surviving
from s3_speechbrain.brains.record import shared_fields
from s3_speechbrain.brains.sampling import by_duration
from s3_speechbrain.brains.stages import Stage, cost_of_stages, find_run
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import plain_name
from s3_speechbrain.masking import sparsity_report
from s3_speechbrain.pruning import (
    ParpSchedule,
    bake_,
    enforced_masks,
    magnitude_masks,
    prunable,
    reprune_,
    save_masks,
)
from s3_speechbrain.report import plot_curves, plot_layer_sparsity, write_metrics
from s3_speechbrain.report.schema import BASELINE_PREFIX, METHODS
from s3_speechbrain.text import Task, TextBatch, TextClassifier, Texts

logger = logging.getLogger(__name__)

ERROR = "ERR"  # share of wrong labels, in percent
TIMED_ROWS = 64
TUNED = ("lr", "head_lr", "updates", "batch_tokens", "train_rows")
OF_METHODS = {"dense": (), "foreign": ("sparsity",)}  # what these record besides; the others:
OF_MASKS = ("sparsity", "scope")
OF_SCHEDULES = {"parp": ("interval",), "parp_p": ("interval", "growth", "start_sparsity")}
USUAL = {"groups": ["ffn", "attention"], "biases": True}  # recorded where they differ, but for dense runs


class TextBrain(UpdateBrain):
    """Train a text classifier, keep the checkpoint with the lowest dev error.

    Masks that `s3_speechbrain.pruning.enforce_` holds over the encoder stay as they are.

    Parameters
    ----------
    model : TextClassifier
        With what is to learn marked by `requires_grad`.
    task : Task
        The data.
    texts : dict of str to Texts
        Its splits, tokenised.
    hparams : mapping
        Those of `UpdateBrain` with ``batch_tokens`` for ``batch_seconds``, and ``lr``, ``head_lr``, ``method``;
        ``mask_source`` for the record, where masks come from another run.
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    def __init__(
        self,
        model: TextClassifier,
        task: Task,
        texts: Mapping[str, Texts],
        hparams: Mapping,
        run_opts: RunOptions | None = None,
    ) -> None:
        self.classifier, self.task, self.texts = model, task, texts
        super().__init__(model, {**hparams, "head_only_updates": 0}, run_opts)

    def masks(self) -> dict[str, Tensor]:
        """Return the masks by parameter name; empty where nothing is removed."""
        return enforced_masks(self.classifier.encoder)

    def selectable(self, updates: int) -> bool:
        """Tell whether the checkpoint after so many updates may be the one to test."""
        del updates
        return True

    @property
    def batch_limit(self) -> float:
        """The most tokens in a batch, padding included."""
        return self.hparams.batch_tokens

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the encoder's weights and the head's, each with its rate."""
        head_lr = self.hparams.lr if self.hparams.head_lr is None else self.hparams.head_lr
        parts = ((self.classifier.encoder, self.hparams.lr), (self.classifier.head, head_lr))
        return [
            {"params": [p for p in part.parameters() if p.requires_grad], "lr": rate} for part, rate in parts
        ]

    def train(self) -> None:
        """Train, going on from the latest checkpoint."""
        if self.test_only:
            return
        stream = self.make_stream(self.texts["train"].lengths)
        self.fit(self.rounds, self.loader("train", stream), self.loader("dev"))

    def loader(self, split: str, batches: Any = None) -> DataLoader:
        """Make a loader: of a stream in training, of all rows sorted by length otherwise."""
        texts = self.texts[split]
        batches = by_duration(texts.lengths, self.batch_limit) if batches is None else batches
        return DataLoader(texts, batch_sampler=batches, collate_fn=texts.collate, generator=torch.Generator())

    def compute_forward(self, batch: TextBatch, stage: sb.Stage) -> Tensor:
        """Return logits (B, labels)."""
        return self.modules.model(batch.tokens, batch.mask, batch.segments)

    def compute_objectives(self, predictions: Tensor, batch: TextBatch, stage: sb.Stage) -> Tensor:
        """Return the cross-entropy, in float32."""
        if stage != sb.Stage.TRAIN:
            answers = (predictions.argmax(-1).tolist(), batch.targets.tolist())
            for row, answer, target in zip(batch.ids, *answers, strict=True):
                self.answers.append((f"{self.task.name}-{row}", str(target), str(answer)))
        return F.cross_entropy(predictions.float(), batch.targets)

    def evaluate_batch(self, batch: TextBatch, stage: sb.Stage) -> Tensor:
        """Score one batch of dev or test."""
        return super().evaluate_batch(batch.to(self.device), stage)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Choose the round's batches, or start counting errors."""
        super().on_stage_start(stage, epoch)
        if stage != sb.Stage.TRAIN:
            self.answers: list[tuple[str, str, str]] = []  # row, label, what the model says

    @property
    def error(self) -> float:
        """Wrong labels of the last evaluation, in percent."""
        wrong = sum(label != answer for _, label, answer in self.answers)
        return 100 * wrong / max(len(self.answers), 1)

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the round's numbers, save a checkpoint, keep the latest and the best."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
        elif stage == sb.Stage.VALID:
            self.keep_time()
            row = {
                "epoch": epoch,
                "updates": self.optimizer_step,
                "train_loss": self.train_loss,
                "valid_loss": float(stage_loss),
                f"valid_{ERROR}": self.error,
            }
            self.history.rounds.append(row)
            logger.info("update %d: dev loss %.3f, dev error %.2f %%", row["updates"], stage_loss, self.error)
            meta = {ERROR: self.error} if self.selectable(row["updates"]) else {}
            self.checkpointer.save_and_keep_only(meta=meta, min_keys=[ERROR], importance_keys=[])

    def on_evaluate_start(self, max_key: str | None = None, min_key: str | None = None) -> None:
        """Load the trained tensors of the best checkpoint; counters and history stay."""
        del max_key, min_key
        best = self.checkpointer.find_checkpoint(min_key=ERROR)
        if best is None:
            raise UserError(f"{self.checkpointer.checkpoints_dir} holds no checkpoint to test; train first")
        self.checkpointer.load_only(best, ["trained"] if self.history.rounds else ["trained", "history"])


class TextParpBrain(TextBrain):
    """Train dense weights that are re-pruned every some updates (PARP); in dev and test they always are.

    Parameters
    ----------
    model, task, texts, hparams, run_opts
        As for `TextBrain`, and ``groups``, ``biases`` and ``scope``.
    schedule : ParpSchedule
        When, and to which sparsity.

    Raises
    ------
    UserError
        If a validation would fall between two re-prunes.
    """

    def __init__(self, *arguments: Any, schedule: ParpSchedule) -> None:
        super().__init__(*arguments)
        schedule.check_validations(self.hparams.valid_every)
        self.schedule = schedule

    def _pruned(self) -> dict[str, Tensor]:
        return prunable(self.classifier.encoder, self.hparams.groups, self.hparams.biases)

    def on_fit_batch_end(self, batch: TextBatch, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        """Re-prune when it is time."""
        if should_step and self.schedule.due(self.optimizer_step):
            reprune_(self._pruned(), self.schedule.sparsity_after(self.optimizer_step), self.hparams.scope)

    def selectable(self, updates: int) -> bool:
        """Choose among checkpoints of the target sparsity only."""
        return self.schedule.at_target(updates)

    def masks(self) -> dict[str, Tensor]:
        """Return the masks of the weights, which are re-pruned in every checkpoint."""
        return magnitude_masks(self._pruned(), self.schedule.sparsity, self.hparams.scope)


def find_dense_run(hparams: Mapping, task: Task) -> Stage:
    """Find the finished dense run of the same encoder and data that OMP takes its masks from.

    Raises
    ------
    UserError
        If none is named, it is unfinished, or of something else.
    """
    if not hparams["dense_run"]:
        raise UserError("missing --dense_run: give the output folder of a run of method dense")
    wanted = {
        "backbone": backbone_name(hparams),
        "backbone_sha256": backbone_sha256(hparams),
        "data.manifest_sha256": task.sha256,
        "data.train_examples": len(task.rows["train"]),
    }
    return find_run(hparams["dense_run"], "--dense_run", ("dense",), wanted)


def dense_weights(run: Stage, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the finetuned values of an encoder's weights from the best checkpoint of a dense run.

    Parameters
    ----------
    run : Stage
        From `find_dense_run`.
    weights : mapping of str to Tensor
        Which, by parameter name, with their shapes.

    Returns
    -------
    dict of str to Tensor
        By the same names.

    Raises
    ------
    UserError
        If its checkpoints are gone, or of another encoder.
    """
    best = Checkpointer(run.folder / "checkpoints").find_checkpoint(min_key=ERROR)
    if best is None:
        raise UserError(f"--dense_run {run.folder} holds no checkpoint any more: run it again")
    stored = torch.load(best.path / "trained.ckpt", map_location="cpu", weights_only=True)
    found = {name: stored.get(f"encoder.{name}") for name in weights}
    for name, value in found.items():
        if value is None or value.shape != weights[name].shape:
            raise UserError(
                f"--dense_run {run.folder} has another {name}: give a dense run of the same encoder"
            )
    return found


def finish_text(brain: TextBrain, recipe: str, method: str, earlier: Sequence[Stage] = ()) -> dict[str, Any]:
    """Test the best checkpoint once; write ``metrics.json``, masks and plots into the output folder.

    Parameters
    ----------
    brain : TextBrain
        After `TextBrain.train`.
    recipe, method : str
        For the record; a method that `METHODS` does not list is called a baseline there.
    earlier : sequence of Stage
        What was trained before; its cost counts too.

    Returns
    -------
    dict
        The metrics; docs/reporting.md lists the fields of runs on text.
    """
    hparams, task, history = brain.hparams, brain.task, brain.history
    brain.evaluate(brain.loader("test"))
    test, answers = brain.error, brain.answers
    rounds = [row for row in history.rounds if brain.selectable(row["updates"])]
    best = min(rounds, key=lambda row: (row[f"valid_{ERROR}"], -row["epoch"]))
    masks = brain.masks()
    sparsity = sparsity_report(brain.classifier.encoder, masks)
    counted = measure.count_parameters(brain.classifier)
    stored = measure.language_bytes(masks, _stored(brain, masks))
    bake_(brain.classifier.encoder)
    speed = _speed(brain)
    brain.keep_time()
    metrics = {
        "recipe": recipe,
        "task": "text",
        "method": method if method in METHODS else f"{BASELINE_PREFIX}{method}",
        "language": hparams.language,
        "data": {
            "name": task.name,
            "train_examples": len(task.rows["train"]),
            "manifest_sha256": task.sha256,
        },
        "dev": {ERROR: best[f"valid_{ERROR}"]},
        "test": {ERROR: test},
        "speed": speed,
        "config": _tuned(brain),
        **shared_fields(hparams, history, history.rounds, best, sparsity, counted, stored),
        "utterances": by_utterance(answers, "PER"),  # a label is a text of one word
        "per_layer_sparsity": sparsity["per_layer"],
    }
    metrics["cost"] |= cost_of_stages(metrics["cost"], earlier)
    for stage in earlier:
        metrics["config"][f"{stage.name}_run_seed"] = stage.facts["seed"]
    run_on_main(_write, args=[Path(hparams.output_folder), metrics, masks])
    logger.info("test error %.2f %%; see %s", test, hparams.output_folder)
    return metrics


def _tuned(brain: TextBrain) -> dict[str, Any]:
    """Return the settings that tell a run from others with the same method and data."""
    hparams, method = brain.hparams, brain.hparams.method
    names = [*TUNED, *OF_METHODS.get(method, OF_MASKS), *OF_SCHEDULES.get(method, ())]
    if hasattr(hparams, "mask_source"):  # no setting: what the file of another run's masks says of itself
        names.append("mask_source")
    if method != "dense":
        names += [name for name, usual in USUAL.items() if getattr(hparams, name) != usual]
    named = {name: getattr(hparams, name) for name in names}
    if "start_sparsity" in named:
        named["start_sparsity"] = brain.schedule.start
    return {name: list(value) if isinstance(value, list) else value for name, value in named.items()}


def _stored(brain: TextBrain, masks: Mapping[str, Tensor]) -> list[Tensor]:
    """Return what a task stores beside its masks: surviving values, other trained weights, the head."""
    trained = [
        (plain_name(name), value)
        for name, value in brain.classifier.encoder.named_parameters()
        if value.requires_grad
    ]
    return [*surviving(trained, masks), *brain.classifier.head.parameters()]


def _speed(brain: TextBrain) -> dict[str, Any]:
    texts = brain.texts["test"]
    batches = [texts.collate([row]).to(brain.device) for row in range(min(TIMED_ROWS, len(texts)))]
    model = brain.classifier.eval()

    def one_pass() -> float:
        start = time.perf_counter()
        for batch in batches:
            model(batch.tokens, batch.mask, batch.segments)
        return time.perf_counter() - start

    with torch.inference_mode():
        one_pass()
        seconds = min(one_pass() for _ in range(3))
    return {
        "examples_per_s": len(batches) / seconds,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
        "device": brain.device_type,
    }


def _write(folder: Path, metrics: Mapping[str, Any], masks: Mapping[str, Tensor]) -> None:
    if masks:
        told = ("method", "backbone", "backbone_sha256", "language", "seed")
        about = {name: metrics[name] for name in told if name in metrics}
        about |= {"sparsity": metrics["config"]["sparsity"], "task": metrics["data"]["name"]}
        save_masks(folder / "mask.safetensors", masks, about)
    plot_curves(folder, metrics["history"])
    plot_layer_sparsity(folder, metrics["per_layer_sparsity"])
    write_metrics(folder, metrics)  # last: its presence says that the run is complete
