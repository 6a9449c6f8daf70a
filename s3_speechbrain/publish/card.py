"""The model card: front matter that the hub understands, and text, both from what the run recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from s3_speechbrain.publish.examples import PROMPTS, Example, attribution
from s3_speechbrain.publish.selftest import Check

TASK = "automatic-speech-recognition"
RATES = {"WER": "wer", "CER": "cer", "PER": "per"}
DATASETS = {"common_voice": "mozilla-foundation/common_voice", "librispeech": "openslr/librispeech_asr"}
TITLES = {
    PROMPTS: "Asterisk core sounds",
    "common_voice": "Common Voice",
    "librispeech": "LibriSpeech",
}


@dataclass(frozen=True)
class CardFacts:
    """What a card tells.

    Attributes
    ----------
    title : str
        Name of the model.
    kind : str
        One sentence: what it is.
    metrics : mapping of str to mapping
        The runs' metrics, by language.
    licence : str
        Of the weights, as the hub writes it: ``apache-2.0``.
    backbone, revision : str, str or None
        What the model was made from.
    library : str
        What loads it first.
    tags : sequence of str
        For the hub's search.
    usage : sequence of str
        Sections about how to load it.
    notes : sequence of str
        Limits, one sentence each.
    examples : sequence of Example
        Clips in the folder.
    checks : sequence of Check
        What the self-test found.
    """

    title: str
    kind: str
    metrics: Mapping[str, Mapping[str, Any]]
    licence: str
    backbone: str
    revision: str | None
    library: str
    tags: Sequence[str]
    usage: Sequence[str]
    notes: Sequence[str] = ()
    examples: Sequence[Example] = field(default_factory=list)
    checks: Sequence[Check] = field(default_factory=list)


def make_card(facts: CardFacts) -> str:
    """Return the text of ``README.md``."""
    sections = [
        f"# {facts.title}\n\n{facts.kind}\n",
        _results(facts),
        *facts.usage,
        _training(facts),
        _limits(facts),
        _attribution(facts),
        _checks(facts),
    ]
    body = "\n".join(section for section in sections if section)
    return f"---\n{front_matter(facts)}\n---\n{body}"


def front_matter(facts: CardFacts) -> str:
    """Return the YAML that the hub reads."""
    results = [result for language in facts.metrics for result in eval_results(facts.metrics[language])]
    data = ModelCardData(
        language=list(facts.metrics) or None,
        license=facts.licence,
        library_name=facts.library,
        pipeline_tag=TASK,
        tags=sorted({"speech", "CTC", "s3-speechbrain", *facts.tags}),
        datasets=sorted({_dataset(metrics) for metrics in facts.metrics.values()}) or None,
        base_model=_base_model(facts.backbone),
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=facts.title if results else None,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def eval_results(metrics: Mapping[str, Any]) -> list[EvalResult]:
    """Return the error rates on the test sets of one language as the hub's model index has them."""
    sets = {"test": metrics.get("test", {}), **metrics.get("extra_tests", {})}
    corpus = metrics["data"]["name"]
    return [
        EvalResult(
            task_type=TASK,
            task_name="Automatic Speech Recognition",
            dataset_type=_dataset(metrics),
            dataset_name=f"{TITLES.get(corpus, corpus)} ({metrics['language']})",
            dataset_config=metrics["language"],
            dataset_split=name,
            dataset_args={"language": metrics["language"]},
            metric_type=RATES[rate],
            metric_name=f"{name.capitalize()} {rate}",
            metric_value=round(value, 2),
        )
        for name, rates in sets.items()
        for rate, value in rates.items()
        if rate in RATES
    ]


def _dataset(metrics: Mapping[str, Any]) -> str:
    corpus = metrics["data"]["name"]
    return DATASETS.get(corpus, corpus)


def _base_model(backbone: str) -> str | None:
    """Name the backbone where the hub has it; the built-in one is a student of Whisper-base's encoder."""
    if backbone == "builtin":
        return "openai/whisper-base"
    return backbone if backbone.count("/") == 1 and not backbone.startswith("PATH/") else None


def _results(facts: CardFacts) -> str:
    rows = []
    for language, metrics in facts.metrics.items():
        test, dev = metrics.get("test", {}), metrics.get("dev", {})
        names = [name for name in RATES if name in test]
        rates = " | ".join(f"{test[name]:.2f} | {dev.get(name, float('nan')):.2f}" for name in names)
        rows.append((names, f"| {language} | {rates} |"))
    if not rows or not rows[0][0]:
        return ""
    heads = " | ".join(f"test {name} % | dev {name} %" for name in rows[0][0])
    rule = "|---" * (1 + 2 * len(rows[0][0])) + "|"
    table = "\n".join(row for _, row in rows)
    note = "Greedy decoding unless the command says otherwise."
    return f"## Results\n\n| language | {heads} |\n{rule}\n{table}\n\n{note}\n"


def _training(facts: CardFacts) -> str:
    rows = []
    for language, metrics in facts.metrics.items():
        minutes, corpus = metrics["data"].get("train_minutes"), metrics["data"]["name"]
        sparsity = metrics.get("sparsity", {}).get("masked", 0)
        rows.append(
            f"| {language} | {metrics['recipe']}/{metrics['method']} | {TITLES.get(corpus, corpus)} | "
            f"{'' if minutes is None else f'{minutes:.1f}'} | {100 * sparsity:.1f} | {metrics.get('seed', '')} |"
        )
    at = f" at revision {facts.revision}" if facts.revision else ""
    table = "\n".join(rows)
    commands = sorted({metrics["command"] for metrics in facts.metrics.values() if "command" in metrics})
    shell = "\n```\n" + "\n".join(commands) + "\n```\n" if commands else ""
    return (
        f"## Training\n\nBackbone: `{facts.backbone}`{at}. `metrics.json` holds all that was measured.\n\n"
        "| language | recipe/method | data | minutes of audio | masked weights removed % | seed |\n"
        f"|---|---|---|---|---|---|\n{table}\n{shell}"
    )


def _limits(facts: CardFacts) -> str:
    notes = "\n".join(f"- {note}" for note in facts.notes)
    return f"## Limits\n\n{notes}\n" if notes else ""


def _attribution(facts: CardFacts) -> str:
    lines = [attribution(metrics["data"]["name"], language) for language, metrics in facts.metrics.items()]
    rows = [f"- {line}" for line in lines if line]
    if not rows:
        return ""
    rows += [f'- `{one.file}` is a clip of it, decoded to 16 kHz: "{one.text}".' for one in facts.examples]
    return "## Attribution of the data\n\n" + "\n".join(rows) + "\n"


def _checks(facts: CardFacts) -> str:
    rows = [
        f"| {one.way} | {one.language} | {one.clips} | {one.equal} | {one.difference:.2f} |"
        for one in facts.checks
        if one.clips
    ]
    if not rows:
        return ""
    table = "\n".join(rows)
    return (
        "## Tried before it was published\n\nIn a new process, without a network, on clips of the test set, against "
        "the texts of the run.\n\n| loaded with | language | clips | equal texts | characters that differ % |\n"
        f"|---|---|---|---|---|\n{table}\n"
    )
