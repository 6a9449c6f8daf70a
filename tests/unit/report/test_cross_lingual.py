"""The cross-lingual matrix: cells from runs, changes worked by hand, table, figure, command."""

import pytest

from s3_speechbrain.report.cross_lingual import (
    command_of,
    cross_lingual,
    cross_lingual_figures,
    matrices_of,
    text_of,
)
from s3_speechbrain.report.runs import Evidence

ERRORS = {  # (kind, source, target): test CER
    ("omp", "en", "en"): 20.0,
    ("omp", "fr", "fr"): 40.0,
    ("baseline_foreign", "en", "fr"): 44.0,
    ("baseline_foreign", "fr", "en"): 21.0,
    ("baseline_parp_foreign", "en", "en"): 10.0,
    ("baseline_parp_foreign", "en", "fr"): 30.0,
}


@pytest.fixture
def make_cell(make_run):
    def make(method, source, target, error, seed=1, sparsity=0.5):
        config = (
            {} if method == "omp" else {"mask_source": {"language": source, "method": "omp", "seed": seed}}
        )
        command = (
            f"python PATH/train.py hparams/demo.yaml --data_folder PATH/prompts --sparsity=0.5 --language={target} "
            f"--output_folder=results/x --method={method} --manifest_folder=results/m --mask_file=PATH/mask.safetensors"
        )
        return make_run(
            recipe="parp",
            method=method,
            language=target,
            seed=seed,
            sparsity__masked=sparsity,
            dev={"CER": error + 1, "WER": 90.0},
            test={"CER": error, "WER": 90.0},
            config=config,
            command=command,
        )

    return make


@pytest.fixture
def runs(make_cell):
    return [make_cell(*place, error) for place, error in ERRORS.items()]


def test_a_cell_is_the_run_of_a_source_on_a_target(runs):
    (matrix,) = matrices_of(runs)
    assert (matrix.sources, matrix.targets, matrix.kinds) == (
        ["en", "fr"],
        ["en", "fr"],
        ["fixed", "adjusted"],
    )
    assert matrix.cell("fixed", "en", "en").mean == 20  # one-shot pruning: one's own mask
    assert matrix.cell("fixed", "en", "fr").mean == 44
    assert matrix.cell("fixed", "en", "fr", "dev").mean == 45
    assert matrix.cell("adjusted", "fr", "en") is None


def test_changes_worked_by_hand(runs):
    (matrix,) = matrices_of(runs)
    assert matrix.change("fixed", "en", "fr") == pytest.approx(10)
    assert matrix.change("fixed", "fr", "en") == pytest.approx(5)
    assert matrix.mean_change("fixed") == pytest.approx(7.5)
    assert matrix.change("adjusted", "en", "fr") is None  # no cell with French's own mask adjusted
    assert matrix.mean_change("adjusted") is None


def test_seeds_are_pooled_although_their_masks_have_seeds_too(make_cell):
    runs = [make_cell("baseline_foreign", "en", "fr", 40.0 + seed, seed) for seed in (1, 2, 3)]
    (matrix,) = matrices_of(runs)
    cell = matrix.cell("fixed", "en", "fr")
    assert (cell.mean, cell.count) == (42, 3)


def test_sparsities_form_matrices_of_their_own_and_own_masks_alone_form_none(make_cell):
    runs = [make_cell("baseline_foreign", "en", "fr", 40.0, sparsity=share) for share in (0.5, 0.8)]
    assert [matrix.place[3] for matrix in matrices_of(runs)] == [0.5, 0.8]
    assert matrices_of([make_cell("omp", "en", "en", 20.0)]) == []
    assert matrices_of([make_cell("parp", "en", "en", 20.0)]) == []


def test_runs_that_were_clipped_otherwise_are_no_further_seeds_of_a_cell(runs, make_cell):
    harder = make_cell("omp", "fr", "fr", 30.0)
    harder["config"] = {**harder["config"], "max_grad_norm": 0.1}
    (matrix,) = matrices_of([*runs, harder])  # alone it is no matrix
    assert matrix.cell("fixed", "fr", "fr").mean == 40
    foreign = make_cell("baseline_foreign", "en", "fr", 33.0)
    foreign["config"] = {**foreign["config"], "max_grad_norm": 0.1}
    clipped, usual = matrices_of([*runs, harder, foreign])
    assert clipped.change("fixed", "en", "fr") == pytest.approx(10)
    assert clipped.title == f"{usual.title}, gradients clipped at 0.1"
    assert (
        len(cross_lingual_figures(Evidence((*runs, harder, foreign), {}))) == 3
    )  # usual: fixed and adjusted


def test_the_joint_mask_comes_last_and_stays_out_of_the_mean(runs, make_cell):
    (matrix,) = matrices_of([*runs, make_cell("baseline_foreign", "joint", "fr", 80.0)])
    assert matrix.sources == ["en", "fr", "joint"]
    assert matrix.change("fixed", "joint", "fr") == pytest.approx(100)
    assert matrix.mean_change("fixed") == pytest.approx(7.5)
    assert command_of(matrix).endswith("--joint hparams/joint.yaml")


def test_values_behind_a_blank_go_with_their_options(make_cell):
    runs = [make_cell("omp", "en", "en", 20.0), make_cell("baseline_foreign", "en", "fr", 30.0)]
    for run in runs:
        run["command"] = (
            "python train.py hparams/demo.yaml --data_folder PATH/prompts --language en --seed 1 --method omp "
            "--sparsity 0.8 --dense_run results/dense --output_folder results/own --noprogressbar"
        )
    (matrix,) = matrices_of(runs)
    assert command_of(matrix) == (
        "python cross_lingual.py hparams/demo.yaml --data_folder PATH/prompts --seed 1 --sparsity 0.8 "
        '--noprogressbar --languages="[en, fr]"'
    )


def test_the_block_shows_tables_figures_and_the_command_of_the_matrix(runs):
    evidence = Evidence(tuple(runs), {})
    block = cross_lingual(evidence)
    assert "mask fixed +7.5 %" in block
    assert "| en | 20.00 | 44.00 |" in block
    command = next(line for line in block.splitlines() if line.startswith("python"))
    assert command == (
        "python cross_lingual.py hparams/demo.yaml --data_folder PATH/prompts --sparsity=0.5 "
        '--languages="[en, fr]"'
    )
    figures = cross_lingual_figures(evidence)
    assert len(figures) == 2
    assert all(path in block for path in figures)
    fixed = next(figure for path, figure in figures.items() if path.endswith("fixed.png"))
    assert fixed.values == [[pytest.approx(0), pytest.approx(10)], [pytest.approx(5), pytest.approx(0)]]


def test_without_runs_the_block_says_so():
    assert cross_lingual(Evidence((), {})) == "No cross-lingual run yet."


def test_a_terminal_gets_aligned_tables(runs):
    (matrix,) = matrices_of(runs)
    text = text_of(matrix)
    assert "sparsity 0.50" in text.splitlines()[0]
    assert "mask adjusted by PARP:" in text
