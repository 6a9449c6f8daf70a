"""``s3sb report``: one HTML page about runs."""

import argparse
from pathlib import Path

HELP = "write one self-contained HTML page about finished runs"
EPILOG = """\
examples:
  s3sb report results/demo -o report.html
  s3sb report results/demo/fr results/demo/it -o report.html --title "French and Italian, 10 minutes"
  s3sb report evidence/parp -o parp.html --clips 0

The page holds everything it shows (tables, learning curves, sparsity by layer, error against cost, how alike masks
are, test clips with what was said and heard, how to load the models): send it, open it without a network. Test clips
sound where their audio is still on this machine; their licence has to allow it if you share the page.
The tables of the project's own evidence are made by: python -m s3_speechbrain.report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="finished runs, folders of them, or metrics files"
    )
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="default: report.html")
    parser.add_argument("--title", help="of the page (default: how many runs, in which languages)")
    parser.add_argument("--clips", type=int, default=3, metavar="N", help="clips with sound per run (3)")


def run(given: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    from s3_speechbrain.webpage import write_page

    page = write_page(given.runs, Path(given.output), given.title, max(0, given.clips))
    print(f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0
