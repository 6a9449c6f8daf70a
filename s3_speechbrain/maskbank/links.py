"""Links in folders that come from elsewhere."""

from pathlib import Path

_SNAPSHOTS, _BLOBS = "snapshots", "blobs"


def leads_out(folder: Path, path: Path) -> bool:
    """Tell whether a file of a folder is a link to somewhere else.

    In the cache of the Hugging Face hub a file is a link from ``snapshots/REVISION`` to ``blobs`` beside
    ``snapshots``; that is the one way out that is no way out.

    Parameters
    ----------
    folder : Path
        The folder.
    path : Path
        A file directly in it.
    """
    if not path.is_symlink():
        return False
    here, target = folder.resolve(), path.resolve().parent
    cache = next((place.parent for place in list(here.parents)[:2] if place.name == _SNAPSHOTS), None)
    return target != here and (cache is None or target != cache / _BLOBS)
