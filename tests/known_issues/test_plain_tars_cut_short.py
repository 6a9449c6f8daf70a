"""A tar without compression that had been cut between two files was taken for a whole one."""

import tarfile

import pytest
from cv_corpus import pack, small, write_locale

from s3_speechbrain.data.archive import unpack
from s3_speechbrain.errors import UserError


@pytest.mark.parametrize("member", [3, 5])
@pytest.mark.parametrize("beyond", [0, 100])
def test_it_is_told(tmp_path, member, beyond):
    archive = pack(write_locale(tmp_path / "src" / "en", small()), tmp_path / "cv-en.tar", mode="w")
    with tarfile.open(archive) as tar:
        cut = tar.getmembers()[member].offset
    whole = archive.read_bytes()
    archive.write_bytes(whole[: cut + beyond])
    with pytest.raises(UserError, match=r"damaged \(it ends early\): download it again"):
        unpack(archive, tmp_path / "cache", {"en"}, progress=False)
    archive.write_bytes(whole)
    assert unpack(archive, tmp_path / "cache", {"en"}, progress=False) == {"en"}
