"""Spoil a sound model folder in every way of `CASES` and read it: ``python hostile_reader.py GOOD PLACE``.

It runs in a process of its own, as the memory that torch takes shows in the peak of a whole process only. One line
of JSON is printed for each case: its name, the folder, what was said, the error's type, by how many bytes the peak
grew, and whether code was run.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

from hostile_models import CASES

from s3_speechbrain.modelfolder import read_model


def peak() -> int:
    """Return the most bytes that this process ever had in memory."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(good: str, place: str) -> None:
    """Read all of them."""
    read_model(good)
    for name, (spoil, _) in CASES.items():
        inner = Path(place) / name
        folder = inner / "inner" / "model"
        shutil.copytree(good, folder)
        spoil(folder)
        os.chdir(inner)
        before = peak()
        try:
            read_model(folder)
            kind, said = "nothing", ""
        except Exception as error:  # whatever it is, the test judges it
            kind, said = type(error).__name__, str(error)
        found = {"folder": str(folder), "kind": kind, "said": said, "grown": peak() - before}
        ran = (inner / "exploded").exists()
        print(json.dumps({"name": name, **found, "ran": ran}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
