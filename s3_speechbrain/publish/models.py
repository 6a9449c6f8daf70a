"""A model as a folder that anyone can load."""

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_speechbrain.modelfolder import LoadedModel, read_model, write_model
from s3_speechbrain.modelfolder.files import WEIGHTS
from s3_speechbrain.publish.card import CardFacts, make_card
from s3_speechbrain.publish.examples import Example, add_example
from s3_speechbrain.publish.plain import write_plain
from s3_speechbrain.publish.selftest import Check, check
from s3_speechbrain.publish.source import Clip
from s3_speechbrain.publish.stock import HYPERPARAMS, stock_obstacle, write_stock

CHECKPOINT = "model.ckpt"  # what SpeechBrain's Pretrainer asks for


def fill_model_folder(
    folder: Path, model: LoadedModel, metrics: Mapping[str, Any] | None, dtype: str
) -> None:
    """Write a model and what the other toolkits need to load it."""
    write_model(folder, model.recogniser, model.tokenizer, model.config.facts, metrics, dtype)
    if stock_obstacle(model.config) is None:
        write_stock(folder, model.config)
        _link_or_copy(folder / WEIGHTS, folder / CHECKPOINT)
    if model.config.obstacle is None:
        write_plain(folder, model.config)


def _link_or_copy(old: Path, new: Path) -> None:
    """Store the content once on this disk, as the hub does with equal files, where the disk can."""
    try:
        os.link(old, new)
    except OSError:  # exFAT and many disks of the network have no links
        shutil.copyfile(old, new)


def ways_of(folder: Path, model: LoadedModel) -> list[str]:
    """Return how a folder can be loaded."""
    ways = ["model"]
    if (folder / HYPERPARAMS).is_file():
        ways.append("speechbrain")
    if model.config.obstacle is None:
        ways.append("transformers")
    return ways


def check_model(
    folder: Path, clips: Mapping[str, Sequence[Clip]], expected: Mapping[str, Sequence[str] | None]
) -> list[Check]:
    """Try a folder in every way that it is meant for; see `selftest.check`."""
    audio = {language: [clip.audio for clip in own] for language, own in clips.items()}
    ways = ways_of(folder, read_model(folder)) if audio else []
    return [found for way in ways for found in check(folder, way, audio, expected)]


def add_examples(
    folder: Path, metrics: Mapping[str, Mapping[str, Any]], clips: Mapping[str, Sequence[Clip]]
) -> list[Example]:
    """Copy a clip of each language that may be passed on."""
    found = [
        add_example(folder, metrics[language]["data"]["name"], language, list(own))
        for language, own in clips.items()
        if language in metrics
    ]
    return [example for example in found if example is not None]


def model_card(
    folder: Path,
    name: str,
    model: LoadedModel,
    metrics: Mapping[str, Mapping[str, Any]],
    licence: str,
    examples: Sequence[Example],
    checks: Sequence[Check],
    address: str | None = None,
) -> str:
    """Return the card of a model folder; `address` (default: `name`) is what its commands load."""
    config, facts = model.config, model.config.facts
    sound = examples[0].file if examples else "clip.wav"
    language = examples[0].language if examples else next(iter(facts.languages))
    ways = ways_of(folder, model)
    languages = ", ".join(facts.languages)
    parameters = sum(value.numel() for value in model.recogniser.parameters())
    family = config.encoder.model_type
    notes = []
    if "speechbrain" not in ways:
        notes.append(
            f"Plain SpeechBrain cannot run this model: {stock_obstacle(config)}. It needs s3_speechbrain."
        )
    else:
        notes.append(
            "Plain SpeechBrain and plain transformers let padding into a batch, which can change texts; "
            "transcribe one clip at a time with them. s3_speechbrain gives a clip the same text alone and in a batch."
        )
    if "transformers" not in ways:
        notes.append(f"Plain transformers cannot run this model: {config.obstacle}.")
    notes.append(
        "Error rates are those of the test set named above; other speakers, noise and accents do worse."
    )
    return make_card(
        CardFacts(
            title=name,
            kind=f"Speech recognition ({languages}): a {family} encoder with a CTC head, {parameters / 1e6:.1f} M "
            f"parameters, made with {facts.recipe}/{facts.method} of S3-SpeechBrain.",
            metrics=metrics,
            licence=licence,
            backbone=facts.backbone,
            revision=facts.revision,
            library="speechbrain" if "speechbrain" in ways else "s3-speechbrain",
            tags=[family, facts.method, *(["speechbrain", "pytorch"] if "speechbrain" in ways else [])],
            usage=_usage(address or name, sound, ways, language if len(facts.languages) > 1 else None),
            notes=notes,
            examples=examples,
            checks=checks,
        )
    )


def _usage(address: str, sound: str, ways: Sequence[str], language: str | None) -> list[str]:
    spoken = "" if language is None else f" --language {language}"
    model = json.dumps(address, ensure_ascii=False)
    copies = json.dumps(f"pretrained/{Path(address).name}", ensure_ascii=False)
    texts = {
        "model": (
            "## Use it with s3_speechbrain\n\nReads data only and runs no code of this folder.\n\n"
            f"```\ns3sb transcribe {sound} --model {shlex.quote(address)}{spoken}\n```\n"
        ),
        "speechbrain": (
            f"## Use it with plain SpeechBrain\n\nSpeechBrain executes `{HYPERPARAMS}`: read it first, and pin the "
            "revision. s3_speechbrain need not be installed.\n\n"
            "```python\nfrom speechbrain.inference.ASR import EncoderASR\n\n"
            f"asr = EncoderASR.from_hparams(source={model}, savedir={copies})\n"
            f'print(asr.transcribe_file("{sound}"))\n```\n'
        ),
        "transformers": (
            "## Use it with plain transformers\n\n```python\nimport soundfile\nfrom transformers import pipeline\n\n"
            f'recognise = pipeline("automatic-speech-recognition", model={model})\n'
            f'samples, rate = soundfile.read("{sound}", dtype="float32")  # a file\'s name would need ffmpeg\n'
            'print(recognise({"raw": samples, "sampling_rate": rate})["text"])\n```\n'
        ),
    }
    return [texts[way] for way in ways]


def dump_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return what ``metrics.json`` holds: the record of the one language, or all by language."""
    if not metrics:
        return None
    return next(iter(metrics.values())) if len(metrics) == 1 else json.loads(json.dumps(metrics))
