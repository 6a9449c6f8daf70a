"""A grid of real recipes on a tiny corpus: two jobs at once, a chain, and what is found again."""

from s3_speechbrain.experiments.__main__ import main
from s3_speechbrain.report.metrics import read_metrics

GRID = """\
defaults:
    source: {source}
    corpus: tiny
    set: {{language: en, updates: 4, valid_every: 2, batch_seconds: 6, save_model: False}}
grid:
    dense:
        recipe: CommonVoice/finetuning
        set: {{method: dense}}
    mask:
        recipe: CommonVoice/mask_finetuning
        set: {{freeze_updates: 0}}
    omp:
        recipe: CommonVoice/parp
        set: {{method: omp}}
        needs: {{dense_run: dense}}
"""


def test_a_grid_of_recipes(tiny_encoder, tiny_corpus, tmp_path, capsys):
    grid, evidence = tmp_path / "tiny.yaml", tmp_path / "evidence"
    grid.write_text(GRID.format(source=tiny_encoder.name))
    words = ["run", grid, "--data", f"tiny={tiny_corpus}", "--source", f"{tiny_encoder.name}={tiny_encoder}"]
    words += ["--results", tmp_path / "results", "--evidence", evidence, "--jobs", 2, "--threads", 1]
    words = [str(word) for word in words]

    assert main([*words, "--only", "dense", "mask"]) == 0
    assert "2 finished, 0 failed, 0 skipped" in capsys.readouterr().out

    assert main([*words, "--engine", "submitit-local"]) == 0
    told = capsys.readouterr().out
    assert "2 of 3 done, 1 to run" in told
    found = {run["method"]: run for run in map(read_metrics, evidence.rglob("*.json"))}
    assert sorted(found) == ["dense", "mask", "omp"]
    assert found["omp"]["cost"]["stages"][0]["shared"]
    assert str(tmp_path) not in "".join(path.read_text() for path in evidence.rglob("*.json"))

    # on another machine, only the evidence is there: nothing is left to do
    words[words.index("--results") + 1] = str(tmp_path / "elsewhere")
    assert main(words) == 0
    assert "3 of 3 done, 0 to run" in capsys.readouterr().out
