"""Deployment: one model in PyTorch and ONNX Runtime side by side, from the records of exports."""

from collections.abc import Mapping, Sequence
from typing import Any

from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.schema import value_of
from s3_speechbrain.report.tables import Table, amount, markdown, number, size

RUNTIMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
NOTHING = "No export has been measured yet."


def _note(row: Mapping[str, Any]) -> str:
    if row.get("refused"):
        return row["refused"]
    if row.get("worse"):
        return "error above the tolerance"
    return "; ".join(row.get("levers", ()))


def deployment_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Set the variants of some exports below each other.

    Parameters
    ----------
    records : sequence of mapping
        As in ``export.json``.

    Returns
    -------
    Table
        A line per variant; cells of a refused one are empty.
    """
    rows = []
    for record in records:
        for row in record["variants"]:
            rows.append(
                [
                    _model(record),
                    RUNTIMES.get(row["runtime"], row["runtime"]),
                    row["dtype"],
                    number(value_of(row, "latency_ms.median"), 0),
                    number(value_of(row, "latency_ms.p95"), 0),
                    number(row.get("rtf"), 4),
                    number(row.get("peak_mb"), 0),
                    size(row.get("bytes")) if not row.get("refused") else "",
                    number(row.get("CER"), 2),
                    number(row.get("WER"), 2),
                    _note(row),
                ]
            )
    header = ["model", "runtime", "type", "10 s clip, median (ms)", "p95 (ms)", "RTF", "peak MB", "file"]
    return Table([*header, "CER", "WER", "note"], rows, 3)


def _model(record: Mapping[str, Any]) -> str:
    method = " + ".join(filter(None, (record["method"], record.get("selector"))))
    return f"{method}, {record['language']}, {amount(record['size']['parameters'])}"


def _conditions(record: Mapping[str, Any]) -> str:
    data, versions = record["data"], record["versions"]
    parity = value_of(record, "parity.fp32.error")
    told = [
        f"{_model(record)} on {record['backbone']}: {record['threads']} threads, "
        f"load {number(record['load'], 1)} before",
        f"{data['clips']} test clips, {number(data['audio_s'], 0)} s, of {data['name']}",
        f"torch {versions['torch']}, onnxruntime {versions['onnxruntime']}, opset {record['opset']}",
    ]
    if parity is not None:
        told.append(f"relative difference of the float32 graph from PyTorch {parity:.1e}")
    return f"* {'; '.join(told)}; `{record['command']}`"


def deployment(evidence: Evidence) -> str:
    """Make the section on exported models."""
    if not evidence.exports:
        return NOTHING
    records = [evidence.exports[name] for name in sorted(evidence.exports)]
    return "\n\n".join(
        [
            "One clip at a time. Variants take turns on the same clips, each in a process of its own. RTF is over all "
            "test clips, the faster of two passes; peak memory counts interpreter and libraries; the file of a PyTorch "
            "variant is its stored weights. Error rates in percent.",
            markdown(deployment_table(records)),
            "\n".join(map(_conditions, records)),
        ]
    )
