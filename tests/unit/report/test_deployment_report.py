"""The table of exported models: what was measured, what was refused, under which conditions."""

import json

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.deployment import NOTHING, deployment, deployment_table
from s3_speechbrain.report.gather import gather
from s3_speechbrain.report.runs import Evidence, load_evidence

MEASURED = {
    "runtime": "torch",
    "dtype": "float32",
    "latency_ms": {"median": 123.4, "p95": 150.6},
    "rtf": 0.01234,
    "peak_mb": 812.3,
    "bytes": 34_560_000,
    "CER": 12.345,
    "WER": 40.0,
}
RECORD = {
    "recipe": "s6_damon",
    "method": "s6",
    "backbone": "builtin",
    "language": "fr",
    "selector": "salad",
    "size": {"parameters": 4_560_000},
    "data": {"name": "prompts", "clips": 100, "audio_s": 321.0},
    "opset": 17,
    "threads": 2,
    "load": 0.1,
    "versions": {"torch": "2.14.1", "onnxruntime": "1.31.1"},
    "command": "python -m s3_speechbrain.export results/fr",
    "parity": {"fp32": {"error": 2e-6}},
    "run": "s6_damon/builtin/fr/s6-prompts-10min-s0.500-seed1",
    "variants": [
        MEASURED,
        {"runtime": "torch", "dtype": "int8", "bytes": 9, "refused": "refused int8: error 3.0e-01"},
        {**MEASURED, "runtime": "onnxruntime", "dtype": "int8", "worse": True},
    ],
}


def test_a_line_for_each_variant_and_nothing_of_a_refused_one():
    rows = deployment_table([RECORD]).rows
    assert rows[0] == [
        *("s6 + salad, fr, 4.56 M", "PyTorch", "float32", "123", "151", "0.0123", "812", "34.6 MB"),
        *("12.35", "40.00", ""),
    ]
    assert rows[1][3:] == [""] * 7 + ["refused int8: error 3.0e-01"]
    assert rows[2][1:3] == ["ONNX Runtime", "int8"]
    assert rows[2][-1] == "error above the tolerance"


def test_the_section_states_the_conditions():
    text = deployment(Evidence((), {}, {RECORD["run"]: RECORD}))
    for part in ("2 threads", "load 0.1", "100 test clips, 321 s", "opset 17", "2.0e-06", RECORD["command"]):
        assert part in text
    assert deployment(Evidence((), {})) == NOTHING


def test_records_are_gathered_under_the_name_of_their_run(tmp_path):
    folder = tmp_path / "results" / "export"
    folder.mkdir(parents=True)
    (folder / "export.json").write_text(json.dumps(RECORD))
    (written,) = gather(tmp_path / "results", tmp_path / "evidence")
    assert written == tmp_path / "evidence" / "export" / f"{RECORD['run']}.json"
    assert load_evidence(tmp_path / "evidence").exports == {RECORD["run"]: RECORD}
    assert gather(tmp_path / "results", tmp_path / "evidence") == []
    (folder / "export.json").write_text(json.dumps({**RECORD, "threads": 1}))
    with pytest.raises(UserError, match="--replace"):
        gather(tmp_path / "results", tmp_path / "evidence")


def test_a_record_cannot_lead_out_of_the_evidence(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "export.json").write_text(json.dumps({**RECORD, "run": "../../a/./b"}))
    (written,) = gather(folder, tmp_path / "evidence")
    assert written == tmp_path / "evidence" / "export" / "a" / "b.json"
