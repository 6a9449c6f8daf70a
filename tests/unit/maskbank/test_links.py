"""Links out of a folder are told from those of the hub's cache."""

import pytest

from s3_speechbrain.maskbank.links import leads_out


@pytest.mark.parametrize(
    ("folder", "target", "out"),
    [
        ("bank", "bank/other", False),
        ("bank", "secret", True),
        ("bank", "blobs/x", True),
        ("snapshots/abc", "blobs/x", False),
        ("snapshots/abc/backbone", "blobs/x", False),
        ("snapshots/abc", "blobs/deep/x", True),
        ("snapshots/abc", "secret", True),
        ("snapshots/abc/backbone/deep", "blobs/x", True),
    ],
)
def test_only_the_hubs_blobs_are_no_way_out(folder, target, out, tmp_path):
    for name in (folder, target):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / target).write_text("content")
    link = tmp_path / folder / "link"
    link.symlink_to(tmp_path / target)
    assert leads_out(tmp_path / folder, link) == out
    assert not leads_out(tmp_path / target, tmp_path / target)
