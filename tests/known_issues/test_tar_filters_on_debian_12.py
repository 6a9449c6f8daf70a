"""Debian 12's Python 3.11.2 has no tarfile.data_filter; tars could not be unpacked there."""

from s3_speechbrain.data import archive


def test_filters_exist_whatever_the_python():
    assert callable(archive.tarfile.data_filter)
    assert issubclass(archive.tarfile.FilterError, archive.tarfile.TarError)
