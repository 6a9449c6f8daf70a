"""A project with a recipe that does nothing but leave results, so that a whole grid takes a second."""

import json
from types import SimpleNamespace

import pytest

from s3_speechbrain.experiments.__main__ import main

SETTINGS = """\
seed: 1
data_folder: !PLACEHOLDER
corpus_name: null
output_folder: results/toy
unpack_folder: null
language: fr
source: builtin
threads: null
noprogressbar: False
method: dense
lr: 0.001
updates: 10
dense_run: null
"""
# The second start of a "cut" run ends well; "wait" leaves a mark and goes on until somebody ends it.
TRAIN = """\
import json, pathlib, sys, time
words = [word for word in sys.argv[2:] if word != "--noprogressbar"]
options = dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2]))
folder = pathlib.Path(options["output_folder"])
folder.mkdir(parents=True, exist_ok=True)
method, begun = options.get("method", "dense"), (folder / "begun").exists()
(folder / "begun").touch()
print("method", method)
if method == "fail" or (method == "cut" and not begun):
    sys.exit("the disk is full")
while method == "wait" and not begun:
    time.sleep(0.05)
if "dense_run" in options:
    assert pathlib.Path(options["dense_run"], "metrics.json").exists()
run = json.loads(pathlib.Path("template.json").read_text())
run |= {"seed": int(options["seed"]), "language": options["language"], "method": "dense"}
run["data"]["name"], run["config"]["method"] = options["corpus_name"], method
(folder / "metrics.json").write_text(json.dumps(run))
"""
# one training of several languages
JOINT = """\
import json, pathlib, sys
words = [word for word in sys.argv[2:] if word != "--noprogressbar"]
options = dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2]))
assert "language" not in options
for language in json.loads(options.get("languages", '["es", "fr"]')):
    folder = pathlib.Path(options["output_folder"], language)
    folder.mkdir(parents=True)
    run = json.loads(pathlib.Path("template.json").read_text())
    run |= {"seed": int(options["seed"]), "language": language, "method": "dense"}
    run["command"] = "python joint.py hparams/joint.yaml --data_folder PATH/speech"
    run["data"]["name"] = options["corpus_name"]
    run["config"] |= {"languages": ["es", "fr"], "updates": 20}
    run["test"]["CER"] = {"es": 10.0, "fr": 20.0}[language]
    (folder / "metrics.json").write_text(json.dumps(run))
"""


@pytest.fixture
def project(tmp_path, make_run):
    """A project; `write` makes a grid file, `go` runs a command and returns its status."""
    recipe = tmp_path / "recipes" / "Toy" / "toy"
    (recipe / "hparams").mkdir(parents=True)
    (tmp_path / "speech").mkdir()
    (recipe / "hparams" / "demo.yaml").write_text(SETTINGS)
    (recipe / "hparams" / "joint.yaml").write_text(SETTINGS + "languages: [es, fr]\n")
    (recipe / "train.py").write_text(TRAIN)
    (recipe / "joint.py").write_text(JOINT)
    template = make_run(recipe="toy", config={"lr": 0.001, "updates": 10})
    (recipe / "template.json").write_text(json.dumps(template))

    def write(text, name="grid"):
        path = tmp_path / f"{name}.yaml"
        path.write_text("defaults: {recipe: Toy/toy, corpus: speech}\ngrid:\n" + text)
        return path

    def go(action, *words):
        places = ["--root", str(tmp_path)] + ["--data", f"speech={tmp_path / 'speech'}"] * (action == "run")
        return main([action, *map(str, words), *places])

    results = tmp_path / "results" / "experiments"
    return SimpleNamespace(root=tmp_path, recipe=recipe, results=results, write=write, go=go)
