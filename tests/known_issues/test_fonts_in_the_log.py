"""The log of a run was half full of the fonts that a plot did not use."""

import logging

from s3_speechbrain.brains.experiment import start


def test_the_log_of_a_run_tells_nothing_of_fonts(tmp_path):
    (tmp_path / "tiny.yaml").write_text(f"output_folder: {tmp_path / 'run'}\nseed: 1\n")
    start([str(tmp_path / "tiny.yaml")])
    logging.getLogger("matplotlib.font_manager").debug("findfont: score")
    logging.getLogger("s3_speechbrain.brains.ctc").debug("ours")
    told = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert "ours" in told
    assert "findfont" not in told
