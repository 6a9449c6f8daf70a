"""Write the model card of a pretrained backbone from what its run left behind.

python -m s3_speechbrain.pretraining.card FOLDER     # FOLDER holds pretraining.json, curve.jsonl and sources.json
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from s3_speechbrain.errors import UserError, tell_user_errors

FRONT_MATTER = """---
license: apache-2.0
language: [multilingual]
library_name: transformers
pipeline_tag: feature-extraction
tags: [speech, wav2vec2, s3-speechbrain]
base_model: {teacher}
---
"""

TEXT = """# {name}: a small wav2vec2-shaped speech encoder

{parameters:.1f} M parameters, layer-norm variant, 16 kHz waveform in, 50 frames per second out; float16 weights, {megabytes:.1f} MB.
It is the default backbone of S3-SpeechBrain (`source: builtin`), made so that demo and tests run on real weights without a download.

## How it was made

| | |
|---|---|
| target | regression of layers of a teacher (DistilHuBERT's loss), pairs (student, teacher): {pairs} |
| teacher | the encoder of {teacher} (OpenAI, MIT licence), frozen |
| data | {hours} h of speech, below; never dev or test clips of any set |
| updates | {updates}, {audio_heard_h} h of audio heard, {wall_h:.1f} h on two CPU cores |
| learning rate, batch, seed | {lr}, {batch_seconds} s, {seed} |
| held-out loss | {first:.3f} after the first round, {last:.3f} at the end (predicting the mean of each channel: about 1.49) |

{sources}

![loss over updates](curve.png)

| updates | training loss | held-out loss |
|---|---|---|
{curve}

```
{command}
```

{note}

## What it is not

- It is small and heard little speech: use XLS-R, wav2vec2 or Whisper encoders where error rates matter.
- It is not self-supervised end to end: its teacher was trained with transcripts.
- It has heard a few languages, few speakers and mostly read speech; noise, dialects and children are not covered.
- Frames are centred 32.5 ms after those of an encoder without this extractor's context.

What it reaches after finetuning, against the same network with random weights: see RESULTS.md of the project.
"""


def write_card(folder: str | Path) -> Path:
    """Write ``README.md`` into a backbone's folder.

    Parameters
    ----------
    folder : str or Path
        Holds ``pretraining.json`` and ``curve.jsonl`` of the run, ``model.safetensors``, and ``sources.json``, a list
        of {folder, what, licence} for the folders of audio.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    UserError
        If a file is missing or a folder of the run has no entry in ``sources.json``.
    """
    folder = Path(folder)
    for name in ("pretraining.json", "curve.jsonl", "sources.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} holds no {name}; copy it from the run's output folder (sources.json: write it)"
            )
    run = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    curve = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    sources = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    text = FRONT_MATTER.format(teacher=run["teacher"]) + TEXT.format(
        name=folder.name,
        megabytes=(folder / "model.safetensors").stat().st_size / 1e6,
        parameters=run["parameters"] / 1e6,
        wall_h=run["wall_s"] / 3600,
        first=run["first_valid"]["loss"],
        last=run["last_valid"]["loss"],
        sources=_source_table(run["folders"], sources),
        curve="\n".join(
            f"| {r['updates']} | {r['train']['loss']:.3f} | {r['valid']['loss']:.3f} |" for r in curve
        ),
        note=run.get("note", ""),
        **{key: run[key] for key in KEYS},
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder / "README.md"


KEYS = ("pairs", "teacher", "hours", "updates", "audio_heard_h", "lr", "batch_seconds", "seed", "command")


def _source_table(folders: Mapping[str, Mapping], sources: Sequence[Mapping[str, str]]) -> str:
    known = {entry["folder"]: entry for entry in sources}
    missing = sorted(set(folders) - set(known))
    if missing:
        raise UserError(f"sources.json says nothing of {missing[0]}; add its what and licence")
    rows = [
        f"| {known[name]['what']} | {found['kept']} of {found['found']} | {found['hours']:.2f} | {known[name]['licence']} |"
        for name, found in folders.items()
    ]
    return "\n".join(["| audio | clips used | hours | licence |", "|---|---|---|---|", *rows])


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Write the card of one folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the backbone's folder")
    print(write_card(parser.parse_args(argv).folder))


if __name__ == "__main__":
    main()
