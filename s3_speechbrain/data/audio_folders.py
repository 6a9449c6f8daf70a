"""Audio without transcripts: any folders, dev and test clips of Common Voice layouts left unheard."""

import csv
import os
from pathlib import Path

from s3_speechbrain.errors import UserError

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
LISTED = "train.tsv"


def find_audio(folder: str | Path) -> list[Path]:
    """List a folder's audio files; below a ``train.tsv`` only the clips that it names.

    Parameters
    ----------
    folder : str or Path
        Any folder. Each subfolder with a ``train.tsv`` (Common Voice layout) contributes its training clips only:
        what is in dev, test or no split stays unheard. So it is where the folder lies in such a layout itself, as
        its ``clips`` does.

    Returns
    -------
    list of Path
        Below `folder`; what a ``train.tsv`` names need not exist.

    Raises
    ------
    UserError
        If the folder does not exist or holds no audio that may be heard.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no audio folder {folder}; correct the list of folders")
    layouts = {listed.parent for listed in folder.rglob(LISTED)}
    found = [clip for layout in sorted(layouts) for clip in _training_clips(layout)]
    place, around = _layouts_around(folder)
    if around:
        named = [clip for layout in around for clip in _training_clips(layout)]
        found += [folder / clip.relative_to(place) for clip in named if clip.is_relative_to(place)]
        if not found:
            raise UserError(
                f"{around[0] / LISTED} names no clip in {folder}, and only those it names are heard; "
                "give a folder of training clips or of other audio"
            )
        return found
    for path in sorted(folder.rglob("*")):
        inside = any(parent in layouts for parent in path.parents)
        if path.suffix.lower() in AUDIO_SUFFIXES and not inside:
            found.append(path)
    if not found:
        raise UserError(
            f"{folder} holds no audio ({', '.join(sorted(AUDIO_SUFFIXES))}) and no {LISTED} with clips"
        )
    return found


def _training_clips(layout: Path) -> list[Path]:
    with open(layout / LISTED, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [layout / "clips" / row["path"] for row in rows if row.get("path")]


def _layouts_around(folder: Path) -> tuple[Path, list[Path]]:
    """Return a folder's absolute path and the layouts that it lies in, the nearest first."""
    # a link into a layout is seen through; a link in a layout belongs to that one, wherever its clips are
    for place in (Path(os.path.abspath(folder)), folder.resolve()):
        around = [parent for parent in place.parents if (parent / LISTED).is_file()]
        if around:
            break
    return place, around
