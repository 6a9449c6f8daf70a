"""The page in a real browser: no errors, nothing requested, no sideways scrolling on a phone. Needs Chromium."""

import json
import os
import re
import shutil
import subprocess

import pytest

from s3_speechbrain.report import write_metrics
from s3_speechbrain.webpage import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    *("--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *(
        "--enable-logging=stderr",
        "--allow-file-access-from-files",
        "--virtual-time-budget=4000",
        "--dump-dom",
    ),
)
# Chromium's window is never as narrow as a phone, a frame in it can be.
FRAME = """<!doctype html><body style="margin:0"><iframe id="page" src="{page}" style="width:{width}px;height:900px;
border:0"></iframe><pre id="found"></pre><script>
document.getElementById("page").onload = event => {{
  const inner = event.target.contentDocument, root = inner.documentElement;
  inner.querySelectorAll("details").forEach(part => part.open = true);
  document.getElementById("found").textContent = JSON.stringify({{
    scroll: root.scrollWidth, client: root.clientWidth, charts: inner.querySelectorAll("svg").length,
    players: [...inner.querySelectorAll("audio")].length,
    small: Math.min(...[...inner.querySelectorAll("p, td, th, dd")].map(e => parseFloat(getComputedStyle(e).fontSize))),
    ink: getComputedStyle(inner.body).color, paper: getComputedStyle(inner.body).backgroundColor,
  }});
}};
</script></body>"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium: apt-get install chromium, or set CHROMIUM to a browser's path",
)


def look(folder, page, width, *options):
    """Open the page in a frame of a width; return what its script found, and Chromium's messages."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri(), width=width))
    command = [CHROMIUM, *OPTIONS, *options, f"--user-data-dir={folder / 'profile'}", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout)[1])
    return found, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture
def page(tmp_path, make_run):
    history = [
        {"epoch": i, "updates": 100 * i, "train_loss": 4 / i, "valid_loss": 5 / i, "valid_CER": 60 / i}
        for i in (1, 2)
    ]
    for index, name in enumerate(("a", "b-with-a-rather-long-name-of-a-run-that-does-not-end-soon", "c")):
        changes = {"size__bytes_per_language": 10_000 * (index + 1), "test__CER": 20.0 - index}
        run = make_run(**changes, history=history, command="python train.py " + "--option value " * 30)
        layers = {f"model.encoder.layers.{layer}.attention.q_proj": 0.2 for layer in range(12)}
        examples = [{"id": "x", "reference": "w" * 300, "hypothesis": "ba " * 100}]
        write_metrics(tmp_path / "runs" / name, {**run, "per_layer_sparsity": layers, "examples": examples})
    return write_page([tmp_path / "runs"], tmp_path / "page.html")


@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_and_has_no_errors(page, tmp_path, width):
    found, messages = look(tmp_path, page, width)
    assert messages == []
    assert found["client"] == width
    assert found["scroll"] <= width
    assert found["charts"] == 1 + 3 * 3
    assert found["small"] >= 12


def test_light_and_dark(page, tmp_path):
    light, _ = look(tmp_path, page, 800)
    dark, _ = look(tmp_path, page, 800, "--blink-settings=preferredColorScheme=0")

    def brightness(colour):
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3]))

    assert brightness(light["paper"]) > brightness(light["ink"]) + 300
    assert brightness(dark["paper"]) < brightness(dark["ink"]) - 300
