"""The command ``python -m s3_speechbrain.analysis``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from s3_speechbrain.analysis.inventories import relate, texts_by_language
from s3_speechbrain.analysis.magnitude import save_magnitude_masks
from s3_speechbrain.analysis.page import page, relation_page, summary
from s3_speechbrain.analysis.pairs import PARTS, compare, group_tests, matrix_of
from s3_speechbrain.analysis.sources import labelled, read_masks
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.layers import GROUPS
from s3_speechbrain.masking.config import SCOPES
from s3_speechbrain.report.heatmaps import HeatmapFigure
from s3_speechbrain.report.metrics import dump, read_json, write_text_atomic

EPILOG = """\
Runs may be output folders of any recipe that removes weights, or files with boolean masks:

  python -m s3_speechbrain.analysis overlap results/mask_finetuning/demo/*/* --out results/overlap

The folder then holds overlap.json (all counts and measures), overlap.md (tables) and heat maps; --evidence
evidence/analysis/overlap-NAME.json keeps for RESULTS.md what it needs. Masks that
were trained from one start are alike for that reason alone; to see what training adds:

  python -m s3_speechbrain.analysis magnitude builtin --groups ffn attention --sparsity 0.2 --out magnitude.safetensors
  python -m s3_speechbrain.analysis overlap RUN... --given magnitude.safetensors --out FOLDER
"""
FIGURES = (
    # measure, its chance level, title
    ("iou", "chance_iou", "IOU of kept weights (chance)"),
    ("removed_iou", "chance_removed_iou", "IOU of removed weights (chance)"),
    ("kappa", None, "agreement beyond chance (kappa)"),
)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m s3_speechbrain.analysis",
        description="Compare masks of languages, methods and seeds, with chance levels and permutation tests.",
        epilog=EPILOG,
        formatter_class=form,
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    text = "compare the masks of every pair of runs"
    made = commands.add_parser("overlap", help=text, description=text, epilog=EPILOG, formatter_class=form)
    made.add_argument(
        "runs", nargs="+", metavar="RUN_OR_FILE", help="output folders of runs, or files with masks"
    )
    made.add_argument("--out", required=True, help="folder for overlap.json, overlap.md and heat maps")
    made.add_argument(
        "--by", choices=PARTS, default="layer", help="parts shown beside the total (default: layer)"
    )
    made.add_argument("--labels", nargs="+", help="names of the runs (default: what tells them apart)")
    made.add_argument(
        "--given",
        metavar="RUN_OR_FILE",
        help="masks that chance is conditioned on, for example those that all runs started from",
    )
    made.add_argument("--seed", type=int, default=0, help="of the permutations of groups (default: 0)")
    made.add_argument(
        "--evidence", metavar="FILE", help="a small JSON file too, for evidence/analysis/overlap-NAME.json"
    )
    text = "correlate the likeness of masks with that of phone inventories, over languages"
    made = commands.add_parser("relate", help=text, description=f"{text} (needs the phones extra)")
    made.add_argument("overlap", help="overlap.json of masks of three languages or more")
    made.add_argument("manifests", nargs="+", help="folders of manifests, whose transcripts are pronounced")
    made.add_argument("--out", required=True, help="folder for relation.json, relation.md and phones")
    text = "save the masks that keep the largest weights of a pretrained encoder"
    made = commands.add_parser("magnitude", help=text, description=text)
    made.add_argument("source", help="builtin, a hub name or a local folder")
    made.add_argument("--sparsity", type=float, required=True, help="fraction removed")
    made.add_argument("--groups", nargs="+", default=["ffn"], help=f"of {', '.join(GROUPS)} (default: ffn)")
    made.add_argument(
        "--scope", choices=SCOPES, default="matrix", help="what is ranked together (default: matrix)"
    )
    made.add_argument("--out", required=True, help="the safetensors file to write")
    return parser


def _bar(items: list) -> Any:
    return tqdm(items, desc="pairs", disable=None)


def overlap(given: argparse.Namespace) -> list[Path]:
    """Read the runs, compare them and write the folder; returns the files."""
    files = tqdm(given.runs, desc="reading masks", disable=None)
    runs = [masks for path in files for masks in read_masks(path)]
    base = labelled(read_masks(given.given)[:1], [Path(given.given).stem])[0] if given.given else None
    found = compare(labelled(runs, given.labels), given.by, base, _bar)
    tests = group_tests(found, seed=given.seed)
    folder, names = Path(given.out), [masks["label"] for masks in found["masks"]]
    figures = []
    for measure, chance, title in FIGURES:
        levels = None if chance is None else matrix_of(found, chance)
        values = matrix_of(found, measure)
        np.fill_diagonal(values, np.nan)  # 1 by definition; colours are for what differs
        figures.append(HeatmapFigure(names, names, values, levels, title).draw(folder / f"{measure}.png"))
    parts = list(dict.fromkeys(name for pair in found["pairs"] for name in pair["parts"]))
    kappas = [[pair["parts"].get(name, {}).get("kappa") for name in parts] for pair in found["pairs"]]
    pairs = [f"{names[pair['first']]}, {names[pair['second']]}" for pair in found["pairs"]]
    title = f"agreement beyond chance (kappa) by {given.by}"
    figures.append(HeatmapFigure(pairs, parts, kappas, title=title).draw(folder / f"kappa_by_{given.by}.png"))
    write_text_atomic(folder / "overlap.md", page(found, tests, [path.name for path in figures]))
    write_text_atomic(folder / "overlap.json", dump({**found, "groups": tests}))
    written = [folder / "overlap.json", folder / "overlap.md", *figures]
    if given.evidence:
        write_text_atomic(Path(given.evidence), dump(summary(found, tests)))
        written.append(Path(given.evidence))
    return written


def relation(given: argparse.Namespace) -> list[Path]:
    """Relate masks to phone inventories and write the folder; returns the files."""
    folder = Path(given.out)
    found = relate(read_json(given.overlap), texts_by_language(given.manifests), folder)
    write_text_atomic(folder / "relation.json", dump(found))
    write_text_atomic(folder / "relation.md", relation_page(found))
    return [folder / "relation.json", folder / "relation.md"]


@tell_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = _parser().parse_args(arguments)
    if given.action == "overlap":
        written = overlap(given)
    elif given.action == "relate":
        written = relation(given)
    else:
        written = [save_magnitude_masks(given.source, given.sparsity, given.groups, given.scope, given.out)]
    for path in written:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
