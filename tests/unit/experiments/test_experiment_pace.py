"""Times that are left and shares of a machine, worked by hand."""

import pytest

from s3_speechbrain.experiments.pace import Pace, in_words
from s3_speechbrain.experiments.resources import free_memory_gb, share_out


def test_a_kind_is_estimated_from_its_own_updates():
    pace = Pace([("dense", 400, 200.0), ("dense", 400, 120.0), ("mask", 100, 90.0)])
    assert pace.seconds("dense", 100) == pytest.approx(40.0)  # 320 s for 800 updates
    assert pace.seconds("mask", 10) == pytest.approx(9.0)
    assert pace.seconds("lora", 90) == pytest.approx(90 * 410 / 900)


def test_what_was_measured_here_counts_before_what_is_known():
    pace = Pace([("dense", 100, 10.0)])
    pace.add("mask", 100, 50.0)
    assert pace.seconds("dense", 100) == pytest.approx(
        10.0
    )  # the same kind elsewhere before another kind here
    pace.add("dense", 100, 30.0)
    assert pace.seconds("dense", 100) == pytest.approx(30.0)
    assert pace.seconds("lora", 100) == pytest.approx(40.0)


def test_time_left_divides_among_jobs_at_once():
    pace = Pace([("dense", 100, 100.0)])
    waiting = [("dense", 100), ("dense", 200)]
    assert pace.left(waiting, [("dense", 100, 60.0)], 2) == pytest.approx((100 + 200 + 40) / 2)
    assert pace.left([], [("dense", 300, 60.0), ("dense", 100, 500.0)], 2) == pytest.approx(240.0)
    assert Pace().left(waiting, [], 2) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (45, "45 s"), (720, "12 min"), (4800, "1 h 20 min"), (89.6 * 60, "1 h 30 min")],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("machine", "asked", "shares"),
    [
        ((8, 10.0, 3.0), (None, None), (3, 2)),
        ((2, 100.0, 3.0), (None, None), (2, 1)),
        ((8, 100.0, 3.0), (None, 4), (2, 4)),
        ((8, 1.0, 3.0), (None, None), (1, 8)),
        ((8, None, 3.0), (None, None), (8, 1)),
        ((8, 1.0, 3.0), (4, None), (4, 2)),
    ],
)
def test_shares_of_a_machine(machine, asked, shares):
    assert share_out(*machine, *asked) == shares


def test_free_memory_heeds_the_limit_of_a_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 20000000 kB\nMemAvailable:   10000000 kB\n")
    assert free_memory_gb(meminfo, tmp_path) == pytest.approx(10.24)
    (tmp_path / "memory.max").write_text("6000000000\n")
    (tmp_path / "memory.current").write_text("2000000000\n")
    assert free_memory_gb(meminfo, tmp_path) == pytest.approx(4.0)
    assert free_memory_gb(tmp_path / "nothing", tmp_path) is None
