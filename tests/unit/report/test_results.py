import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.report import write_metrics
from s3_speechbrain.report.main_table import LANGUAGES
from s3_speechbrain.report.metrics import dump
from s3_speechbrain.report.results import build, render, results_page, stale
from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.sections import SECTIONS, backbones, languages, summary, sweep

NOTHING = Evidence((), {})


def row(text, start):
    """Return the cells of the first table row that starts with a text."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def evidence(make_run):
    runs = [
        make_run(language=language, seed=seed, test__CER=10.0 + place + 2 * seed)
        for place, language in enumerate(LANGUAGES)
        for seed in (1, 2)
    ]
    runs.append(
        make_run(method="dense", sparsity__masked=0.0, test__CER=15.0, size__bytes_per_language=22_400_000)
    )
    runs.append(make_run(method="frozen", backbone="builtin-random", sparsity__masked=0.0, test__CER=80.0))
    return Evidence(tuple(runs), {})


@pytest.fixture
def project(tmp_path, evidence):
    for position, run in enumerate(evidence.runs):
        write_metrics(tmp_path / "evidence" / str(position), run)
    (tmp_path / "README.md").write_text("# Name\n\n<!-- results:summary -->\n<!-- /results -->\n\nEnd.\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "plain.md").write_text("No markers.\n")
    return tmp_path


def test_the_main_table_by_hand(evidence):
    text = languages(evidence)
    # en: seeds give 12 and 14, mean 13, deviation sqrt(2) = 1.41; ru lies 4 higher; the mean of all is 15
    masks = row(text, "masks")
    assert masks[1] == "13.00 ± 1.41 (2)"
    assert masks[5] == "17.00 ± 1.41 (2)"
    assert masks[6] == "15.00 ± 1.41 (2)"
    assert masks[7:] == ["180 kB", "3.10 M"]
    # dense was run in fr alone: the other cells and the mean stay empty
    assert row(text, "dense finetuning")[1:] == ["", "", "15.00", "", "", "", "22.4 MB", "3.10 M"]
    assert row(text, "random network, frozen + head")[3] == "80.00"
    assert row(text, "LoRA")[1:] == [""] * 8


def test_the_summary_has_languages_as_columns_and_bytes(evidence):
    text = summary(evidence)
    assert row(text, "test CER (%)")[1:] == [*LANGUAGES, "mean", "bytes per language"]
    assert row(text, "masks")[1:3] == ["13.0 ± 1.4 (2)", "14.0 ± 1.4 (2)"]
    assert "selected on dev; test is run once" in text


def test_commands_seeds_and_effort_are_told(evidence, make_run):
    text = languages(evidence)
    assert "python train.py hparams/demo.yaml --language fr  # fr mask, seeds 1, 2" in text
    trial = make_run(sparsity__masked=0.2)
    assert "masks: 1 to 2" in languages(Evidence((*evidence.runs, trial), {}))


def test_no_evidence_gives_a_whole_page_of_empty_cells():
    page = results_page(NOTHING)
    assert row(page, "masks")[1:] == [""] * 8
    assert page.count("\n## ") == 17
    assert all(SECTIONS[name](NOTHING) for name in SECTIONS)


def test_the_sweep_names_its_lowest_point_and_lists_dense(make_run):
    errors = {0.0: 20.0, 0.08: 16.0, 0.6: 40.0}
    runs = [
        make_run(
            sparsity__masked=share, dev__CER=error, test__CER=error + 1, config={"sparsity": share, "lr": 1}
        )
        for share, error in errors.items()
    ]
    dense = make_run(method="dense", sparsity__masked=0.0, dev__CER=18.0, test__CER=18.5)
    text = sweep(Evidence((*runs, dense), {}))
    assert "20.00 at 0.00, 16.00 at 0.08, 40.00 at 0.60" in text
    assert row(text, "masks")[4:6] == ["20.00", "21.00"]
    assert row(text, "dense finetuning")[4:6] == ["18.00", "18.50"]
    assert "docs/figures/sparsity_builtin_prompts_10min_fr.png" in text
    assert "No sweep yet." in sweep(Evidence(tuple(runs[:2]), {}))


def test_other_backbones_compare_masks_with_dense_by_hand(make_run):
    def whisper(method, seed, cer):
        return make_run(
            backbone="whisper-base-encoder", language="ckb", method=method, seed=seed, test__CER=cer
        )

    runs = [
        whisper("dense", 1, 20.0),
        whisper("dense", 2, 30.0),
        whisper("mask", 1, 18.0),
        whisper("mask", 2, 31.0),
    ]
    cells = row(backbones(Evidence(tuple(runs), {})), "whisper-base-encoder")
    assert cells[1:5] == ["prompts", "ckb", "CER", "10 min"]
    # means 25 and 24.5: 2 % less; masks win with seed 1 alone
    assert cells[6:8] == ["25.00 ± 7.07 (2)", "24.50 ± 9.19 (2)"]
    assert cells[9:11] == ["-2.0", "1 of 2"]


def test_masks_are_compared_with_the_dense_variant_that_dev_chooses(make_run):
    def whisper(method, dev, cer):
        return make_run(backbone="whisper-base-encoder", method=method, dev__CER=dev, test__CER=cer)

    runs = (whisper("dense", 8.0, 10.0), whisper("dense_freeze", 7.0, 12.0), whisper("mask", 7.0, 9.0))
    cells = row(backbones(Evidence(runs, {})), "whisper-base-encoder")
    assert cells[6:8] == ["12.00", "9.00"]
    assert cells[9] == "-25.0"
    assert cells[13] == "0, 2, 1"


def test_a_comparison_across_different_data_carries_a_warning(make_run):
    runs = (make_run(), make_run(method="dense", data__manifest_sha256="cd"))
    assert "Not comparable" in languages(Evidence(runs, {}))


def test_building_twice_changes_nothing_and_check_agrees(project):
    pages = {"RESULTS.md", "README.md", "every_setting.md"}
    assert {path.name for path in stale(project)} == pages
    assert {path.name for path in build(project)} == pages
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert build(project) == []
    assert stale(project) == []
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    readme = (project / "README.md").read_text()
    assert readme.startswith("# Name\n\n<!-- results:summary -->\n\n| test CER (%) |")
    assert readme.endswith("\n\n<!-- /results -->\n\nEnd.\n")


def test_typing_a_number_by_hand_is_found(project):
    build(project)
    page = project / "RESULTS.md"
    page.write_text(page.read_text().replace("13.00", "9.00"))
    assert stale(project) == [page]


def test_a_sweep_leaves_a_figure_that_check_watches(project, make_run):
    for share in (0.0, 0.2, 0.4):
        write_metrics(
            project / "evidence" / f"s{share}", make_run(language="it", sparsity__masked=share, seed=9)
        )
    figure = project / "docs" / "figures" / "sparsity_builtin_prompts_10min_it.png"
    assert figure in build(project)
    assert build(project) == []
    figure.unlink()
    assert stale(project) == [figure]


def test_links_are_relative_to_the_page():
    text = "<!-- results:summary -->\n<!-- /results -->\n"
    assert "](../RESULTS.md)" in render(text, NOTHING, "docs/page.md")
    assert "](RESULTS.md)" in render(text, NOTHING, "README.md")


def test_markers_in_fenced_code_are_left_alone():
    text = "```\n<!-- results:NAME -->\n<!-- /results -->\n```\n"
    assert render(text, NOTHING, "docs/page.md") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "\n<!-- results:nothing -->\n<!-- /results -->\n",
            r"page\.md:2: no section 'nothing'; there are summary",
        ),
        ("<!-- results:sweep -->\n", r"page\.md:1: this block is never closed"),
        ("<!-- /results -->\n", r"page\.md:1: .* closes no block"),
        ("<!-- results:sweep -->\n<!-- results:sweep -->\n", r"page\.md:2: close the block of line 1"),
    ],
)
def test_a_wrong_marker_is_named_with_its_line(text, message):
    with pytest.raises(UserError, match=message):
        render(text, NOTHING, "page.md")


def test_a_wrong_evidence_file_stops_before_anything_is_written(project):
    (project / "evidence" / "bad.json").write_text(dump({"recipe": "x"}))
    with pytest.raises(UserError, match=r"bad\.json"):
        build(project)
    assert not (project / "RESULTS.md").exists()
