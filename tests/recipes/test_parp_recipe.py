"""The pruning recipe: every method end to end, exactly sparse where it is looked at, resumable, checked."""

import json
import shutil
from pathlib import Path

import pytest
import speechbrain as sb
import torch
from recipe_tools import RECIPES, killed_after, load_recipe
from speech_corpus import write_corpus
from toy_encoders import write_encoder

from s3_speechbrain.brains import results
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import compose
from s3_speechbrain.brains.pruned import ParpBrain
from s3_speechbrain.brains.stages import find_run, same_vocabulary
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.pruning import ParpSchedule, load_masks, masks_about, prunable, removed, save_masks

PARP, DENSE = "CommonVoice/parp", "CommonVoice/finetuning"
QUICK = ("--sparsity=0.4", "--interval=3", "--rewind_updates=2", "--round_updates=2")
ENTRIES, ZEROS = 4320, 1728  # two layers of 2,048 weights and 112 biases; 0.4 of them
NAMES = {
    "parp": "parp",
    "parp_p": "parp_p",
    "mpi": "mpi",
    "rp": "rp",
    "rp_uniform": "baseline_rp_uniform",
    "omp": "omp",
    "imp": "imp",
    "parp_mask": "baseline_parp_mask",
    "s3_prune": "s3_prune",
}
UPDATES = {"omp": {"dense": 6}, "s3_prune": {"dense": 6}, "parp_mask": {"parp": 6}} | {
    "imp": {"rewind": 2, "round-1": 2, "round-2": 2, "round-3": 2, "round-4": 2}
}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """Plots are tested elsewhere and would take half of the time here."""
    for name in ("plot_curves", "plot_layer_sparsity"):
        monkeypatch.setattr(results, name, lambda *_: None)


def checkpoint(folder: Path, best: bool = True) -> dict:
    """Return the trained tensors of the best, or of the latest, checkpoint of a run."""
    from speechbrain.utils.checkpoints import Checkpointer

    found = Checkpointer(folder / "checkpoints").find_checkpoint(**({"min_key": "CER"} if best else {}))
    return torch.load(found.path / "trained.ckpt", weights_only=True)


@pytest.fixture
def looked_at(monkeypatch):
    """Record (stage, zeros among the pruned weights) of every validation and test of PARP."""
    seen = []
    original = CTCBrain.on_stage_start

    def on_stage_start(self, stage, epoch=None):
        if isinstance(self, ParpBrain) and stage != sb.Stage.TRAIN:
            weights = prunable(self.recogniser.encoder)
            seen.append((stage, sum(int((weight == 0).sum()) for weight in weights.values())))
        return original(self, stage, epoch)

    monkeypatch.setattr(CTCBrain, "on_stage_start", on_stage_start)
    return seen


@pytest.mark.parametrize("method", NAMES)
def test_every_method_runs_to_its_metrics(run, tmp_path, looked_at, method):
    metrics = run(PARP, "run", f"--method={method}", *QUICK)
    assert metrics["method"] == NAMES[method]
    masks = load_masks(tmp_path / "run" / "mask.safetensors")
    biases = method != "s3_prune"  # whose matrices of 256 and 512 weights lose 102 and 205 each
    assert removed(masks) == (ZEROS if biases else 8 * 102 + 4 * 205)
    assert sum(keep.numel() for keep in masks.values()) == (ENTRIES if biases else 4096)
    assert metrics["sparsity"]["masked"] == pytest.approx(0.4, abs=0.001)
    about = masks_about(tmp_path / "run" / "mask.safetensors")
    assert about == {
        "method": method,
        "sparsity": 0.4,
        "seed": 1,
        "language": "en",
        "backbone": metrics["backbone"],
        "backbone_sha256": metrics["backbone_sha256"],
    }

    stages = {stage["name"]: stage["updates"] for stage in metrics["cost"].get("stages", [])}
    assert stages == ({**UPDATES[method], "final": 6} if method in UPDATES else {})
    assert metrics["cost"]["updates"] == 6 + sum(UPDATES.get(method, {}).values())
    assert all((tmp_path / "run" / stage / "stage.json").is_file() for stage in UPDATES.get(method, {}))
    if "dense" in stages:  # a stage serves other runs like a whole run does
        stage = find_run(tmp_path / "run" / "dense", "dense_run", ["dense"], {"language": "en"})
        assert stage.cost["updates"] == 6
        assert same_vocabulary(stage.folder, tmp_path / "run")

    # not pruned: projection with its norm, positional convolution (weight-normed), three norms per two layers
    labels, others = 8, (2 * 8 + 9 * 16) + (16 * 8 * 4 + 4 + 16) + (1 + 2 * 2) * 2 * 16
    weights = ENTRIES - ZEROS if biases else 4096 - removed(masks) + 224
    head, vocabulary, packed = (
        4 * (16 + 1) * labels,
        2 * 7 + 1,
        sum(-(-k.numel() // 8) for k in masks.values()),
    )
    assert metrics["size"]["bytes_per_language"] == 4 * (weights + others) + head + vocabulary + packed
    assert all(zeros >= ZEROS for stage, zeros in looked_at)
    if method in ("parp", "parp_p"):
        assert {zeros for stage, zeros in looked_at if stage == sb.Stage.TEST} == {ZEROS}


def test_parp_is_exactly_sparse_at_every_reprune_and_dense_in_between(run, tmp_path, monkeypatch, looked_at):
    trace = []
    original = ParpBrain.on_fit_batch_end

    def on_fit_batch_end(self, *arguments):
        before = sum(int((weight == 0).sum()) for weight in self.pruned.values())
        original(self, *arguments)
        after = sum(int((weight == 0).sum()) for weight in self.pruned.values())
        trace.append((self.optimizer_step, before, after))

    monkeypatch.setattr(ParpBrain, "on_fit_batch_end", on_fit_batch_end)
    metrics = run(PARP, "run", "--sparsity=0.4", "--interval=2", "--updates=7", "--valid_every=4")
    assert [step for step, _, _ in trace] == [1, 2, 3, 4, 5, 6, 7]
    assert [after for step, _, after in trace if step in (2, 4, 6, 7)] == [ZEROS] * 4
    assert all(before < 200 for _, before, _ in trace)  # revived by the first update that follows
    assert [zeros for stage, zeros in looked_at] == [ZEROS] * 3  # two validations and the test
    assert metrics["cost"]["reprunes"] == 4
    for best in (True, False):  # what is stored is what was validated
        state = checkpoint(tmp_path / "run", best)
        pruned = [value for name, value in state.items() if ".layers." in name and "norm" not in name]
        assert sum(int((value == 0).sum()) for value in pruned) == ZEROS


def test_parp_p_tests_a_checkpoint_of_the_target_sparsity_though_an_earlier_one_is_better(run, monkeypatch):
    original = CTCBrain.on_stage_end

    def on_stage_end(self, stage, loss, epoch=None):
        if stage == sb.Stage.VALID and self.optimizer_step < 9:
            self.errors.character_edits = 0  # as if the lower sparsities were perfect
        return original(self, stage, loss, epoch)

    monkeypatch.setattr(CTCBrain, "on_stage_end", on_stage_end)
    options = ("--start_sparsity=0.1", "--growth=1.0", "--updates=12", "--interval=3", "--valid_every=3")
    metrics = run(PARP, "run", "--method=parp_p", "--sparsity=0.4", *options)
    assert [row["valid_CER"] for row in metrics["history"]][:2] == [0, 0]
    assert metrics["cost"]["best_update"] == 12
    assert metrics["dev"]["CER"] == metrics["history"][-1]["valid_CER"] > 0
    assert metrics["sparsity"]["masked"] == 0.4


def test_imp_rewinds_to_the_same_bits_before_every_training(run, tmp_path, monkeypatch):
    starts = []
    original = UpdateBrain.on_fit_start

    def on_fit_start(self):
        encoder, head = self.recogniser.encoder, self.recogniser.head
        values = {**prunable(encoder), **dict(head.named_parameters())}
        starts.append({name: value.detach().clone() for name, value in values.items()})
        return original(self)

    monkeypatch.setattr(UpdateBrain, "on_fit_start", on_fit_start)
    run(PARP, "run", "--method=imp", "--sparsity=0.3", "--rewind_updates=2", "--round_updates=2")
    rewind, *trainings = starts
    assert len(trainings) == 4  # three rounds and the last training
    state = checkpoint(tmp_path / "run" / "rewind", best=False)
    for values in trainings:
        for name, value in values.items():
            prefix = "encoder" if "layers" in name else "head"
            assert torch.equal(value, state[f"{prefix}.{name}"]), name
    assert not all(torch.equal(value, trainings[0][name]) for name, value in rewind.items())
    masks = [load_masks(tmp_path / "run" / f"round-{k}" / "mask.safetensors") for k in (1, 2, 3)]
    assert [removed(each) for each in masks] == [432, 864, 1296]  # 0.1, 0.2, 0.3 of 4,320
    assert all(bool((masks[0][name] | ~keep).all()) for name, keep in masks[2].items())
    last = load_masks(tmp_path / "run" / "mask.safetensors")
    assert all(torch.equal(last[name], keep) for name, keep in masks[2].items())
    assert not (tmp_path / "run" / "round-1" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("method", "kills"),
    [("parp_p", [4]), ("omp", [4, 5]), ("imp", [1, 3])],  # updates after which the process ends
)
def test_a_killed_run_goes_on_to_the_same_weights_masks_and_numbers(run, tmp_path, method, kills):
    options = (
        f"--method={method}",
        "--dropout=0.1",
        "--ckpt_interval_minutes=0",
        "--ckpt_interval_steps=1",
        "--reset_moments=True",
        *("--sparsity=0.2", "--interval=3", "--rewind_updates=0", "--round_updates=3"),
    )
    whole = run(PARP, "whole", *options)
    for kill in kills:
        with killed_after(kill):
            run(PARP, "killed", *options)
    resumed = run(PARP, "killed", *options)
    for row, again in zip(whole["history"], resumed["history"], strict=True):
        assert {**row, "seconds": 0} == {**again, "seconds": 0}
    assert (whole["dev"], whole["test"]) == (resumed["dev"], resumed["test"])
    expected, found = checkpoint(tmp_path / "whole", best=False), checkpoint(tmp_path / "killed", best=False)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    for folder, metrics in (("whole", whole), ("killed", resumed)):
        masks = load_masks(tmp_path / folder / "mask.safetensors")
        assert removed(masks) == 864
        assert metrics["cost"]["updates"] == whole["cost"]["updates"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_encoder, tiny_corpus):
    """A finished dense run and a finished OMP run on it, in a folder that all tests of the module may read."""
    folder = tmp_path_factory.mktemp("finished")
    common = (
        f"--data_folder={tiny_corpus}",
        f"--source={tiny_encoder}",
        f"--unpack_folder={folder / 'unpacked'}",
        *("--language=en", "--updates=6", "--valid_every=3", "--batch_seconds=6", "--noprogressbar"),
    )
    for recipe, name, *options in (
        (DENSE, "dense", "--method=dense"),
        (PARP, "omp", "--method=omp", f"--dense_run={folder / 'dense'}", "--sparsity=0.4"),
    ):
        yaml = RECIPES / recipe / "hparams" / "demo.yaml"
        load_recipe(recipe).main([str(yaml), *common, f"--output_folder={folder / name}", *options])
    return folder


def test_several_methods_share_one_dense_run_and_its_cost_is_counted_apart(run, tmp_path, finished):
    dense = json.loads((finished / "dense" / "metrics.json").read_text())["cost"]
    omp = json.loads((finished / "omp" / "metrics.json").read_text())
    scores = run(PARP, "scores", "--method=s3_prune", f"--dense_run={finished / 'dense'}", *QUICK)
    for metrics in (omp, scores):
        cost = metrics["cost"]
        assert (cost["updates"], cost["own_updates"]) == (12, 6)
        assert cost["wall_s"] == pytest.approx(dense["wall_s"] + cost["own_wall_s"])
        assert [stage["shared"] for stage in cost["stages"]] == [True, False]
    assert not (tmp_path / "scores" / "dense").exists()
    # the frozen weights below the scores are the finetuned ones: kept values are stored, the backbone's are not
    state = checkpoint(tmp_path / "scores")
    assert not [name for name in state if name.endswith("original")]


def test_masks_of_another_run_can_be_fixed_or_be_parps_first_ones(run, tmp_path, finished):
    file = f"--mask_file={finished / 'omp' / 'mask.safetensors'}"
    fixed = run(PARP, "fixed", "--method=foreign", file, *QUICK)
    assert fixed["method"] == "baseline_foreign"
    assert fixed["config"]["mask_source"] == {"language": "en", "method": "omp", "seed": 1, "sparsity": 0.4}
    given, kept = (
        load_masks(folder / "mask.safetensors") for folder in (finished / "omp", tmp_path / "fixed")
    )
    assert all(torch.equal(given[name], keep) for name, keep in kept.items())
    adjusted = run(PARP, "adjusted", "--method=parp", file, *QUICK)
    assert adjusted["method"] == "baseline_parp_foreign"
    assert adjusted["config"]["mask_source"]["method"] == "omp"


def told(capsys, recipe_arguments) -> str:
    with pytest.raises(SystemExit, match="2"):
        load_recipe(PARP).main(recipe_arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method=pap"], "method is 'pap': choose one of parp"),
        (["--sparsity=1.0"], "sparsity 1.0 is not in [0, 1)"),
        (["--sparsity=50"], "sparsity 50 is not in [0, 1)"),
        (["--method=imp", "--sparsity=0.45"], "steps of 0.1"),
        (["--interval=2"], "valid_every 3 is no multiple of interval 2"),
        (["--interval=0"], "interval is 0"),
        (
            ["--method=parp_p", "--start_sparsity=0.6", "--interval=3"],
            "start_sparsity 0.6 is above sparsity 0.5",
        ),
        (["--scope=matrix", "--interval=3"], "scope is 'matrix'"),
        (["--method=foreign"], "missing --mask_file"),
        (["--method=foreign", "--mask_file=nowhere"], "no file of masks nowhere"),
        (["--method=mpi", "--mask_file=nowhere"], "method mpi takes no mask_file"),
        (["--method=omp", "--dense_run=nowhere"], "dense_run nowhere is no finished run"),
        (["--method=omp", "--test_only"], "dense is not complete: run once without --test_only"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, capsys, options, message):
    assert message in told(capsys, arguments(PARP, "run", *options))


@pytest.fixture
def masks(finished, tmp_path):
    """A copy of OMP's file of masks that a test may spoil."""
    return shutil.copy(finished / "omp" / "mask.safetensors", tmp_path / "mask.safetensors")


def test_masks_that_do_not_fit_are_refused(arguments, capsys, masks, tmp_path, finished):
    def tell(*options):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return told(capsys, arguments(PARP, "run", "--method=foreign", f"--mask_file={masks}", *options))

    assert "removes 0.4 of the weights, not 0.7" in tell("--sparsity=0.7")
    assert "no parameter in this encoder" in tell("--sparsity=0.4", "--biases=False")
    other = write_encoder(tmp_path / "other")
    assert "is of the backbone" in tell("--sparsity=0.4", f"--source={other}")
    save_masks(masks, {name: keep[:3] for name, keep in load_masks(masks).items()})
    assert "use masks of this backbone" in tell("--sparsity=0.4")
    content = masks.read_bytes()
    masks.write_bytes(content[: len(content) // 2])
    assert "is damaged" in tell("--sparsity=0.4")


def test_dense_runs_that_do_not_agree_are_refused(arguments, capsys, tmp_path, finished):
    def tell(folder, *options):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return told(capsys, arguments(PARP, "run", "--method=omp", f"--dense_run={folder}", *options))

    dense = finished / "dense"
    german = write_corpus(tmp_path / "german", "de")
    assert "has language en, this run de" in tell(dense, "--language=de", f"--data_folder={german}")
    other = write_encoder(tmp_path / "other")
    assert "has backbone PATH/" in tell(dense, f"--source={other}")
    assert "config.head_only_updates 0, this run 2" in tell(dense, "--freeze_updates=2")
    assert "data.manifest_sha256" in tell(dense, "--limit=3")
    assert "is a run of method omp" in tell(finished / "omp")
    copy = shutil.copytree(dense, tmp_path / "dense")
    (copy / "characters.txt").write_text("changed")
    assert "another vocabulary" in tell(copy)
    shutil.rmtree(copy)
    shutil.copytree(dense, copy, ignore=shutil.ignore_patterns("CKPT*"))
    assert "no checkpoints any more" in tell(copy)


def test_other_settings_are_refused_while_only_an_early_stage_has_begun(run, arguments, capsys, monkeypatch):
    monkeypatch.setattr(CTCBrain, "train", lambda self: self.checkpointer.save_checkpoint() and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(PARP, "run", "--method=omp", *QUICK)
    assert "holds a run with other settings" in told(
        capsys, arguments(PARP, "run", "--method=omp", "--sparsity=0.3")
    )


@pytest.mark.parametrize(
    "path", sorted(RECIPES.glob("*/parp/hparams/*.yaml")), ids=lambda p: "/".join(p.parts[-4::3])
)
def test_validations_of_every_file_fall_on_reprunes_of_the_target(path):
    text = compose(path, "data_folder: somewhere").getvalue()
    values = {
        line.split(":")[0]: line.split(":")[1].split("#")[0].strip()
        for line in text.splitlines()
        if ": " in line
    }
    updates, every, interval = (int(values[key]) for key in ("updates", "valid_every", "interval"))
    schedule = ParpSchedule(0.9, interval, updates, 0.7, float(values["growth"]))
    assert every % interval == 0
    assert all(schedule.due(update) for update in [*range(every, updates, every), updates])
    assert schedule.at_target(updates)
