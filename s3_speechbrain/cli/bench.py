"""``s3sb bench``: how fast a model is on this machine."""

import argparse
import json

from s3_speechbrain.cli.options import add_model, load_model, positive, sound_files

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
        default=[1.0, 5.0, 15.0],
        metavar="S",
        help="lengths of noise (1 5 15)",
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

    files = sound_files(given.files)[: given.most]
    found = benchmark(lambda: load_model(given), files, given.seconds, given.repeats)
    if given.json:
        print(json.dumps({"model": given.model, **found}, ensure_ascii=False))
        return 0
    speed = found["speed"]
    print(
        f"{given.model}: real-time factor {speed['rtf']:.4f} (1 s of audio in {1000 * speed['rtf']:.1f} ms), "
        f"{speed['threads']} threads, {speed['dtype']}, loaded in {found['load_s']:.1f} s, "
        f"{found['peak_rss_mb']:.0f} MB at its peak\n"
    )
    rows = [[row["clip"], number(row["seconds"]), number(row["latency_ms"], 1)] for row in found["clips"]]
    print(plain(Table(("clip", "seconds", "latency (ms)"), rows, 1)))
    return 0
