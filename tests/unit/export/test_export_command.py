"""The command: exports, checks, measures, and keeps nothing that is worse than the run."""

import dataclasses
import json

import pytest
import torch
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.export import command, comparison
from s3_speechbrain.export.command import RECORD, gate, run
from s3_speechbrain.export.parity import Parity
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.modelfolder import write_model
from s3_speechbrain.report.gather import gather
from s3_speechbrain.report.runs import load_evidence
from s3_speechbrain.report.sections import SECTIONS

ENGLISH = dataclasses.replace(FACTS, languages={"en": "en/1-0123abcd"}, method="s6", recipe="s6_damon")


@pytest.fixture
def model(tmp_path):
    recogniser = make_model(tmp_path / "encoder", selector="salad", sliced=True)
    return write_model(tmp_path / "run" / "model", recogniser, tokenizer(), ENGLISH).parent


@pytest.fixture
def two_variants(monkeypatch):
    """Measure one variant of PyTorch beside the files: each takes seconds to start."""
    every = comparison.torch_variants
    monkeypatch.setattr(comparison, "torch_variants", lambda folder: every(folder)[::3])


def arguments(model, corpus, *more):
    return [
        str(model),
        f"--data_folder={corpus}",
        *("--threads=1", "--repeats=3", "--noprogressbar", "--tolerance=1000"),
        *more,
    ]


def test_the_command_leaves_files_that_run_and_a_record(model, tiny_corpus, two_variants, tmp_path, capsys):
    assert run(arguments(model, tiny_corpus)) == 0
    out = model / "export"
    record = json.loads((out / RECORD).read_text())
    rows = {(row["runtime"], row["dtype"]): row for row in record["variants"]}
    assert set(rows) == {
        ("torch", "float32"),
        ("torch", "int8"),
        ("onnxruntime", "float32"),
        ("onnxruntime", "int8"),
    }
    exact, same = rows["torch", "float32"], rows["onnxruntime", "float32"]
    assert same["CER"] == exact["CER"] > 0
    assert same["peak_mb"] < exact["peak_mb"]  # no torch in its process
    for row in rows.values():
        if not row.get("refused"):
            assert 0 < row["latency_ms"]["median"] <= row["latency_ms"]["p95"]
            assert row["rtf"] > 0
            assert row["bytes"] > 1000
    assert record["parity"]["fp32"]["error"] < 1e-5
    assert (record["data"]["clips"], record["threads"]) == (4, 1)
    for name in ("fp32", "int8"):
        path = out / f"model.{name}.onnx"
        assert path.stat().st_size == rows["onnxruntime", command.FORMATS[name]]["bytes"]
        assert OnnxRecogniser(path, 1).logits(torch.zeros(8000).numpy()).shape[1] == 6
    assert "ONNX Runtime" in capsys.readouterr().out

    (written,) = gather(model, tmp_path / "evidence")
    assert written == tmp_path / "evidence" / "export" / "s6_damon" / "builtin" / "en" / "s6.json"
    text = SECTIONS["deployment"](load_evidence(tmp_path / "evidence"))
    assert text.count("| s6 + salad, en,") == 4
    assert str(tmp_path) not in text


def test_an_export_that_is_worse_is_not_kept_unless_told(model, tiny_corpus, monkeypatch, capsys):
    row = {"rtf": 0.1, "bytes": 10, "peak_mb": 1.0, "latency_ms": {"median": 1.0, "p95": 1.0}, "WER": 50.0}
    rows = [
        {"runtime": "torch", "dtype": "float32", "CER": 10.0, **row},
        {"runtime": "onnxruntime", "dtype": "float32", "CER": 10.0, **row},
        {"runtime": "onnxruntime", "dtype": "int8", "CER": 10.2, **row},
    ]
    monkeypatch.setattr(comparison, "measure", lambda *_args, **_options: [dict(one) for one in rows])
    assert run(arguments(model, tiny_corpus, "--tolerance=1")) == 1
    out = model / "export"
    assert (out / "model.fp32.onnx").is_file()
    assert not (out / "model.int8.onnx").exists()
    assert "int8: CER 10.20 % is worse than 10.00 %" in capsys.readouterr().out
    assert json.loads((out / RECORD).read_text())["variants"][2]["worse"]

    assert run(arguments(model, tiny_corpus, "--tolerance=1", "--keep_worse", "--formats=int8")) == 0
    assert (out / "model.int8.onnx").is_file()


def test_a_graph_that_differs_from_the_recogniser_is_deleted(model, tiny_corpus, monkeypatch):
    monkeypatch.setattr(command, "compare", lambda *_: Parity(4, 0.1, 0.5))
    with pytest.raises(UserError, match="differs from PyTorch"):
        run(arguments(model, tiny_corpus))
    assert not list((model / "export").glob("*.onnx"))


def test_the_gate_allows_the_tolerance_itself():
    rows = [{"runtime": "torch", "CER": 20.0}, {"runtime": "onnxruntime", "dtype": "int8", "CER": 20.2}]
    assert gate(rows, "CER", 1.0) == {}
    rows[1]["CER"] = 20.21
    assert list(gate(rows, "CER", 1.0)) == ["int8"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--formats=fp16"], "choose from fp32, int8"),
        (["--repeats=0"], "at least 1"),
        (["--language=de"], "this model knows en"),
    ],
)
def test_mistakes_are_told_in_one_line(model, tiny_corpus, more, message):
    with pytest.raises(UserError, match=message):
        run(arguments(model, tiny_corpus, *more))


def test_a_folder_without_a_model_is_told(tiny_corpus, tmp_path):
    with pytest.raises(UserError, match="holds no model"):
        run(arguments(tmp_path, tiny_corpus))


def test_a_variant_that_cannot_start_is_told(tmp_path):
    variant = comparison.Variant("onnxruntime", "float32", tmp_path / "absent.onnx")
    with pytest.raises(UserError, match="cannot be measured: there is no file"):
        comparison.measure([variant], [torch.zeros(8000).numpy()], ["a"], tokenizer(), progress=False)
