"""Jobs of one language ran one after the other where a tar of another language lay beside unpacked folders."""

import time

import pytest

from s3_speechbrain.experiments.jobs import Job, Link, Plan
from s3_speechbrain.experiments.pace import Pace
from s3_speechbrain.experiments.runner import Runner
from s3_speechbrain.experiments.tasks import Places


class Engine:
    """Counts how many of its jobs run at once."""

    def __init__(self):
        self.now = self.most = 0

    def start(self, task):
        task.folder.mkdir(parents=True, exist_ok=True)
        self.now += 1
        self.most = max(self.most, self.now)
        return time.monotonic()

    def status(self, begun):
        if time.monotonic() - begun < 0.2:
            return None
        self.now -= 1
        return 0

    def stop(self, begun):
        """Nothing goes on."""


@pytest.mark.parametrize(("unpacked", "at_once"), [(True, 2), (False, 1)])
def test_what_is_unpacked_needs_no_turn(tmp_path, unpacked, at_once):
    data = tmp_path / "data"
    data.mkdir()
    (data / "cv-corpus-24.0-de.tar.gz").write_bytes(b"")
    if unpacked:
        (data / "fr").mkdir()
    kinds = ("CommonVoice/finetuning", "demo.yaml", "c", "builtin", {})
    jobs = {
        f"{seed:08d}": Job(
            f"{seed:08d}", f"job {seed}", *kinds, {"language": "fr", "seed": seed, "updates": 10}
        )
        for seed in (1, 2)
    }
    places = Places(tmp_path, tmp_path / "results", {"c": data}, {})
    engine = Engine()
    Runner(Plan(jobs, {}), list(jobs), places, engine, 2, 1, Pace(), lambda *_: None).run()
    assert engine.most == at_once


@pytest.mark.parametrize("at_once", [1, 8, 100])
def test_jobs_that_wait_for_one_another_take_the_time_of_both(tmp_path, at_once):
    kinds = ("CommonVoice/finetuning", "demo.yaml", "c", "builtin", {})
    first, second = (
        Job(name * 8, name, *kinds, {"language": "fr", "seed": seed, "updates": 400}, links)
        for seed, name, links in ((1, "a", ()), (2, "b", (Link("dense_run", "a" * 8),)))
    )
    pace = Pace([(first.kind, 400, 400.0)])
    plan = Plan({first.id: first, second.id: second}, {})
    runner = Runner(
        plan, [first.id, second.id], Places(tmp_path, tmp_path, {}, {}), Engine(), at_once, 1, pace, print
    )
    assert runner.seconds_left() == pytest.approx(800)
