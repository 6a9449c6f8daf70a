"""RESULTS.md and the page of every setting, and the generated blocks of README and docs, kept equal to the evidence."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.cross_lingual import cross_lingual_figures
from s3_speechbrain.report.every_setting import GENERATED, PAGE, every_setting_page, where_every_setting_is
from s3_speechbrain.report.metrics import write_text_atomic
from s3_speechbrain.report.multilingual import FIGURE, bytes_curves
from s3_speechbrain.report.pareto import pareto_figures
from s3_speechbrain.report.plots import (
    bytes_data,
    digest,
    plot_bytes,
    plot_sparsity_curve,
    sparsity_curve_data,
    stored_digest,
)
from s3_speechbrain.report.pruning import pruning_figures
from s3_speechbrain.report.runs import Evidence, Setting, load_evidence
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.sections import SECTIONS
from s3_speechbrain.report.structured import UNITS_LEFT, structured_figures
from s3_speechbrain.report.sweep import FIGURES, dense_beside, sweep_name, sweep_title, sweeps
from s3_speechbrain.report.tokens import KEEP_RATIO, token_figures

OPENING = re.compile(r"^<!-- results:([\w-]+) -->$")
CLOSING = "<!-- /results -->"
FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"\]\((?![a-z]+:|[#/])([^)\s]+)\)")
PARTS = (
    ("Claims", "claims"),
    ("Five languages from ten minutes each", "languages"),
    ("One backbone for five languages", "multilingual"),
    ("A language added to the bank", "added_language"),
    ("Error against sparsity", "sweep"),
    ("Masks against dense finetuning elsewhere", "backbones"),
    ("Pruning while adapting", "pruning"),
    ("Masks of other languages", "cross_lingual"),
    ("One subnetwork for several languages", "joint_subnetwork"),
    ("Fewer tokens", "tokens"),
    ("Fewer structures", "structured"),
    ("Error against time", "pareto"),
    ("Deployment", "deployment"),
    ("Benchmarks", "benchmarks"),
    ("Compute", "compute"),
    ("Software", "versions"),
)


def _relative_links(text: str, folder: str) -> str:
    """Rewrite links that are relative to the project's root for a page in `folder`."""
    if folder in ("", "."):
        return text
    return LINK.sub(lambda found: f"]({Path(os.path.relpath(found[1], folder)).as_posix()})", text)


def render(text: str, evidence: Evidence, where: str) -> str:
    """Fill the blocks between markers in one page.

    Parameters
    ----------
    text : str
        The page. A block is ``<!-- results:NAME -->`` and ``<!-- /results -->``, each alone on its line;
        fenced code is left alone.
    evidence : Evidence
        What the blocks are made from.
    where : str
        The page's path from the project's root, for messages and for relative links.

    Returns
    -------
    str
        The page with fresh blocks; the same page if nothing changed.

    Raises
    ------
    UserError
        If a marker names no section, is not closed, or closes nothing.
    """
    lines: list[str] = []
    opened: int | None = None
    fenced = False
    for position, line in enumerate(text.splitlines(keepends=True), start=1):
        bare = line.rstrip("\r\n")
        if opened is None and FENCE.match(bare):
            fenced = not fenced
        found = None if fenced else OPENING.match(bare)
        if found and opened is not None:
            raise UserError(f"{where}:{position}: close the block of line {opened} with {CLOSING} first")
        if found:
            if found[1] not in SECTIONS:
                raise UserError(
                    f"{where}:{position}: no section '{found[1]}'; there are {', '.join(SECTIONS)}"
                )
            opened = position
            block = _relative_links(SECTIONS[found[1]](evidence), os.path.dirname(where))
            lines += [line, "\n", block, "\n\n"]
        elif bare == CLOSING and not fenced:
            if opened is None:
                raise UserError(f"{where}:{position}: {CLOSING} closes no block; open one or delete the line")
            opened = None
            lines.append(line)
        elif opened is None:
            lines.append(line)
    if opened is not None:
        raise UserError(f"{where}:{opened}: this block is never closed; add a line {CLOSING}")
    return "".join(lines)


def results_page(evidence: Evidence) -> str:
    """Return the whole of RESULTS.md."""
    blocks = [
        "# Results",
        f"{GENERATED} Error rates are in percent. An empty cell is a run that has not been made.",
    ]
    for number, (title, name) in enumerate(PARTS, start=1):
        blocks += [f"## {number}. {title}", SECTIONS[name](evidence)]
    blocks += [f"## {len(PARTS) + 1}. Every setting", where_every_setting_is(evidence)]
    return "\n\n".join(blocks) + "\n"


def pages(root: Path, evidence: Evidence) -> dict[Path, str]:
    """Return every generated page with the content it should have."""
    wanted = {root / "RESULTS.md": results_page(evidence)}
    written = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    for path in [*written, *sorted((root / "recipes").rglob("README.md"))]:
        if path.is_file():
            wanted[path] = render(
                path.read_text(encoding="utf-8"), evidence, path.relative_to(root).as_posix()
            )
    return wanted | {root / PAGE: every_setting_page(evidence)}


def _figure_parts(evidence: Evidence, sweep: list[Setting]) -> tuple[dict, dict, str, str]:
    name = error_name(sweep[0].first)
    dense = dense_beside(evidence, sweep)
    curves = {
        f"masks, {split}": [(round(s.first["sparsity"]["masked"], 3), s.error(split)) for s in sweep]
        for split in ("dev", "test")
    }
    levels = {f"dense, {split}": dense.error(split).mean for split in ("dev", "test")} if dense else {}
    return curves, levels, sweep_title(sweep), name


def figures(root: Path, evidence: Evidence) -> dict[Path, tuple[Any, Callable[[Path], Path]]]:
    """Return every figure with the numbers that it shows, and the function that draws it."""
    wanted: dict[Path, tuple[Any, Callable[[Path], Path]]] = {
        root / path: (figure.data, figure.draw) for path, figure in cross_lingual_figures(evidence).items()
    }
    swept = {f"{FIGURES}/{sweep_name(sweep)}": _figure_parts(evidence, sweep) for sweep in sweeps(evidence)}
    for path, (curves, levels, title, error) in {**swept, **pruning_figures(evidence)}.items():
        wanted[root / path] = (
            sparsity_curve_data(curves, levels, title, error),
            partial(plot_sparsity_curve, curves=curves, levels=levels, title=title, error=error),
        )
    against = {path: (parts, KEEP_RATIO) for path, parts in token_figures(evidence).items()}
    against |= {path: (parts, UNITS_LEFT) for path, parts in structured_figures(evidence).items()}
    against |= pareto_figures(evidence)
    for path, ((curves, levels, title, error), along) in against.items():
        shown = {"curves": curves, "levels": levels, "title": title, "error": error, "along": along}
        wanted[root / path] = (sparsity_curve_data(**shown), partial(plot_sparsity_curve, **shown))
    curves = bytes_curves(evidence)
    if curves:
        wanted[root / FIGURE] = (bytes_data(curves), partial(plot_bytes, curves=curves))
    return wanted


def build(root: str | Path = ".", evidence_folder: str | Path | None = None) -> list[Path]:
    """Write the generated pages, the blocks in README.md, docs/ and recipes, and the figures that are out of date.

    Parameters
    ----------
    root : path
        The project's root.
    evidence_folder : path, optional
        The committed runs; ``root/evidence`` by default.

    Returns
    -------
    list of Path
        The files that changed.

    Raises
    ------
    UserError
        If there is no evidence, one of its files or a marker is wrong, or a page to be written is of somebody else;
        nothing is written then.
    """
    root = Path(root)
    folder = Path(evidence_folder or root / "evidence")
    if not folder.is_dir():
        raise UserError(
            f"no evidence in {folder}: give the folder that gathered runs are in, with --evidence"
        )
    for path in (root / "RESULTS.md", root / PAGE):
        if path.is_file() and GENERATED not in path.read_text(encoding="utf-8"):
            raise UserError(
                f"{path} was not made by this command and would be replaced: move it, or give --root"
            )
    evidence = load_evidence(folder)
    changed = []
    for path, text in pages(root, evidence).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text_atomic(path, text)
            changed.append(path)
    for path, (data, draw) in figures(root, evidence).items():
        if stored_digest(path) != digest(data):
            changed.append(draw(path))
    return changed


def stale(root: str | Path = ".", evidence_folder: str | Path | None = None) -> list[Path]:
    """Return the generated files that differ from what the evidence gives; writes nothing.

    Figures are compared by the numbers they were drawn from; pixels depend on the version of matplotlib.
    """
    root = Path(root)
    evidence = load_evidence(evidence_folder or root / "evidence")
    differing = [
        path
        for path, text in pages(root, evidence).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path, (data, _) in figures(root, evidence).items():
        if stored_digest(path) != digest(data):
            differing.append(path)
    return differing
