"""``s3sb bench``: how fast a model is on this machine."""

import argparse

from s3_speechbrain.cli.options import add_model, json_line, load_model, positive, printable, sound_files
from s3_speechbrain.errors import UserError

NOISE_SECONDS = (1.0, 5.0, 15.0)
HELP = "measure latency and real-time factor of a model on this machine"
EPILOG = """\
examples:
  s3sb bench --model results/demo --language fr
  s3sb bench clips --model results/demo --language fr --threads 1 --json
  s3sb bench --model owner/name --seconds 2 10

The real-time factor (rtf) is seconds of computing per second of audio, reading files not counted; the fastest of
--repeats passes counts, since other load on a machine only ever adds time. latency_ms is the time of one clip, by
its length. Without files it runs on noise; a model that drops frames (SALAD) keeps another share of noise than of
speech, so give it real clips.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="sound files, folders or patterns (default: noise)"
    )
    add_model(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        nargs="+",
        metavar="S",
        help="lengths of noise (1 5 15), where no files are given",
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="N", help="passes over all clips (3)")
    parser.add_argument(
        "--most", type=positive, default=20, metavar="N", help="use so many files at most (20)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(given: argparse.Namespace) -> int:
    """Measure and print."""
    from s3_speechbrain.inference.speed import benchmark
    from s3_speechbrain.report.tables import Table, number, plain

    if given.files and given.seconds:
        raise UserError("--seconds gives lengths of noise, and there are files: leave one of the two out")
    files = sound_files(given.files)[: given.most]
    found = benchmark(lambda: load_model(given), files, given.seconds or NOISE_SECONDS, given.repeats)
    if given.json:
        print(json_line({"model": given.model, **found}))
        return 0
    speed = found["speed"]
    print(
        f"{printable(given.model)}: real-time factor {speed['rtf']:.4f} "
        f"(1 s of audio in {1000 * speed['rtf']:.1f} ms), {speed['threads']} threads, "
        f"{speed['dtype']}, loaded in {found['load_s']:.1f} s, {found['peak_rss_mb']:.0f} MB at its peak\n"
    )
    rows = [
        [printable(row["clip"]), number(row["seconds"]), number(row["latency_ms"], 1)]
        for row in found["clips"]
    ]
    print(plain(Table(("clip", "seconds", "latency (ms)"), rows, 1)))
    return 0
