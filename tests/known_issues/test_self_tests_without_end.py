"""A self-test that took too long ended in a traceback, and so did a disk without links."""

import os
import subprocess

import pytest
from model_folders import write_toy_model

from s3_speechbrain.errors import UserError
from s3_speechbrain.publish import publish, selftest


def test_a_test_that_takes_too_long(tmp_path, monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(selftest.subprocess, "run", run)
    with pytest.raises(UserError, match="took more than 1800 s to be tried with model: try fewer clips"):
        selftest.check(tmp_path, "model", {"fr": []})


def test_a_disk_without_links(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    model = write_toy_model(tmp_path / "model", tmp_path / "encoder")
    monkeypatch.setattr(os, "link", link)
    folder = publish(model, tmp_path / "out", clips=0).folder
    assert (folder / "model.ckpt").read_bytes() == (folder / "model.safetensors").read_bytes()
