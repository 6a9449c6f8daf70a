"""A file is the old one or the new one, whatever happens while it is written."""

import os
import signal

import pytest

from s3_speechbrain.atomic import write_atomic


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    return path


def test_a_file_is_written_and_replaced(path):
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_others_may_read_it_as_they_may_read_any_new_file(path):
    plain = path.with_name("plain")
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(path, monkeypatch, step):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_killed_writer_leaves_the_old_file_and_does_not_hinder_the_next(path, step):
    child = os.fork()
    if child == 0:
        setattr(os, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        write_atomic(path, b"new")
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
