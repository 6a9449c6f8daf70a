"""The runs of the cross-lingual matrix: which there are, in which order, which are left."""

import pytest
from recipe_tools import RECIPES

from s3_speechbrain.brains.transfer import parse, plan_matrix, run_matrix
from s3_speechbrain.errors import UserError

FILE = str(RECIPES / "CommonVoice" / "parp" / "hparams" / "demo.yaml")


@pytest.fixture
def plan(tmp_path):
    def make(*options):
        arguments = [FILE, f"--matrix_folder={tmp_path}", f"--data_folder={tmp_path}", "--sparsity=0.5"]
        return plan_matrix(*parse([*arguments, *options], ""))

    return make


@pytest.fixture
def runner():
    """Return a stand-in for running a cell, which notes names and leaves what a run leaves."""

    class Runner:
        def __init__(self):
            self.ran = []
            self.fails = set()

        def __call__(self, cell):
            self.ran.append(cell.name)
            if cell.name in self.fails:
                return 2
            for path in cell.results:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            return 0

    return Runner()


def names(cells):
    return [cell.name for cell in cells]


def test_a_two_by_two_matrix_has_two_masks_and_six_further_cells(plan):
    matrix = plan("--languages=[en, fr]")
    assert names(matrix.masks) == ["masks/en", "masks/fr"]
    assert names(matrix.cells) == [
        "en-to-en/adjusted",
        "en-to-fr/fixed",
        "en-to-fr/adjusted",
        "fr-to-en/fixed",
        "fr-to-en/adjusted",
        "fr-to-fr/adjusted",
    ]


def test_cells_take_the_mask_of_their_source_and_the_language_of_their_target(plan, tmp_path):
    matrix = plan("--languages=[en, fr]", "--lr=0.002", "--dense_runs=runs/{language}/dense")
    cell = matrix.cells[1]
    mask = tmp_path / "masks" / "en" / "mask.safetensors"
    assert cell.needs == mask
    for argument in (
        f"--mask_file={mask}",
        "--language=fr",
        "--method=foreign",
        "--lr=0.002",
        "--sparsity=0.5",
    ):
        assert argument in cell.arguments
    assert f"--manifest_folder={tmp_path / 'manifests' / 'fr'}" in cell.arguments
    assert matrix.cells[2].arguments[-1] == cell.arguments[-1]
    assert "--method=parp" in matrix.cells[2].arguments
    assert "--dense_run=runs/en/dense" in matrix.masks[0].arguments
    assert "--method=omp" in matrix.masks[0].arguments


def test_sources_kinds_and_the_joint_mask_can_be_chosen(plan):
    matrix = plan("--languages=[fr]", "--sources=[en, it]", "--kinds=[fixed]", "--joint=joint.yaml")
    assert names(matrix.masks) == ["masks/en", "masks/it", "masks/joint"]
    assert names(matrix.cells) == ["en-to-fr/fixed", "it-to-fr/fixed", "joint-to-fr/fixed"]
    joint = matrix.masks[-1]
    assert (joint.program, joint.arguments[0]) == ("joint.py", "joint.yaml")
    assert "--languages=[fr]" in joint.arguments
    assert not any(argument.startswith("--language=") for argument in joint.arguments)


def test_finished_runs_are_left_alone(plan, runner):
    matrix = plan("--languages=[en, fr]")
    assert run_matrix(matrix, "all", "1/1", runner, progress=False) == {}
    assert runner.ran == names([*matrix.masks, *matrix.cells])
    runner.ran.clear()
    (matrix.cells[3].results[0]).unlink()
    assert run_matrix(matrix, "all", "1/1", runner, progress=False) == {}
    assert runner.ran == ["fr-to-en/fixed"]


def test_a_failure_stops_only_what_needs_it(plan, runner):
    matrix = plan("--languages=[en, fr]")
    runner.fails = {"masks/en"}
    missing = run_matrix(matrix, "all", "1/1", runner, progress=False)
    assert missing["masks/en"] == "ended with status 2"
    assert "--stage masks" in missing["en-to-fr/fixed"]
    assert [name for name in runner.ran if name.startswith("fr-")] == names(matrix.cells)[3:]


def test_shards_share_the_runs_of_each_stage(plan, runner):
    matrix = plan("--languages=[en, fr]")
    for stage, cells in (("masks", matrix.masks), ("cells", matrix.cells)):
        for number in (1, 2, 3):
            before = len(runner.ran)
            assert run_matrix(matrix, stage, f"{number}/3", runner, progress=False) == {}
            assert runner.ran[before:] == names(cells)[number - 1 :: 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--languages=[en, en]"], "different names"),
        (["--languages=[]"], "different names"),
        (["--languages=[en]", "--kinds=[frozen]"], "choose among fixed, adjusted"),
        (["--languages=[en]", "--sparsty=0.5"], "unknown option"),
    ],
)
def test_mistakes_are_told_before_any_run(plan, options, message):
    with pytest.raises(UserError, match=message):
        plan(*options)
