"""What a bank holds, shown: one clip per language through one backbone, and what each language costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speechbrain.utils.distributed import main_process_only

from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.brains.experiment import read_settings
from s3_speechbrain.brains.plan import Plan, language_arguments
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.data.preparation import reopen
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.recogniser import SharedRecogniser
from s3_speechbrain.maskbank import MaskBank, read_header
from s3_speechbrain.report import read_metrics
from s3_speechbrain.report.demo import demo_table
from s3_speechbrain.report.runs import pool
from s3_speechbrain.report.schema import value_of
from s3_speechbrain.report.tables import Table, number, plain, size


@main_process_only
def show(argv: Sequence[str], plan: Plan) -> None:
    """Print how a command for several languages ended.

    Parameters
    ----------
    argv : sequence of str
        The command.
    plan : Plan
        What it asked for. If languages are missing (other shards train them) they are named; a bank is loaded, heard
        and listed; for other methods the error rates are.
    """
    missing = plan.unfinished()
    if missing:
        print(f"not finished yet: {', '.join(missing)}")
        return
    if plan.bank is None:
        print(demo_table(pool(read_metrics(plan.folder / language) for language in plan.languages)))
        return
    clips = []
    for language in plan.languages:
        # Runs of one language have manifests in their own folder.
        own = language_arguments(argv, plan, language) if plan.mode == "independent" else argv
        manifests = Path(str(read_settings(own)["manifest_folder"]))
        clips.append(example_clip(language, plan.folder / language, manifests))
    print(f"One backbone in memory, {len(clips)} languages from {plan.bank}:\n")
    print(f"{hear(plan.bank, clips)}\n\n{bank_table(plan.bank)}")


@dataclass(frozen=True)
class Clip:
    """A recording with what is said in it."""

    language: str
    path: Path
    reference: str


def example_clip(language: str, run: Path, manifests: Path) -> Clip:
    """Find the first test clip that a finished run has recorded as an example, whether it was good or bad.

    Parameters
    ----------
    language : str
        Which.
    run : Path
        The folder with the run's ``metrics.json``.
    manifests : Path
        The folder that its data were prepared in.

    Returns
    -------
    Clip
        With the reference that was scored.

    Raises
    ------
    UserError
        If the run is not finished, or its data are not there any more.
    """
    example = read_metrics(run)["examples"][0]
    prepared = reopen(manifests / language)
    if prepared is None:
        raise UserError(f"{manifests / language} holds no complete manifests: delete {run} to train again")
    rows = {row.id: row for row in read_manifest(prepared.csvs["test"])}
    wav = rows[example["id"]].wav.replace("$data_root", str(prepared.data_root), 1)
    return Clip(language, Path(wav), example["reference"])


def hear(bank: str | Path, clips: Sequence[Clip], source: str | None = None) -> str:
    """Load a bank's backbone once, recognise a clip of each language, and set the texts beside the references.

    Parameters
    ----------
    bank : path
        The bank's folder.
    clips : sequence of Clip
        Of languages in the bank.
    source : str, optional
        As for `SharedRecogniser.from_bank`.

    Returns
    -------
    str
        Two lines per clip.

    Raises
    ------
    UserError
        If a language is not in the bank, or the backbone is not the bank's.
    """
    recogniser = SharedRecogniser.from_bank(bank, source, [clip.language for clip in clips])
    try:
        waves = [read_audio(clip.path) for clip in clips]
    except ValueError as error:
        raise UserError(f"a clip cannot be read: {error}") from None
    heard = recogniser.transcribe(waves, [clip.language for clip in clips])
    width = max(len(clip.language) for clip in clips)
    return "\n".join(
        f"{clip.language:<{width}}  reference  {clip.reference}\n{'':<{width}}  heard      {text or '(nothing)'}"
        for clip, text in zip(clips, heard, strict=True)
    )


def bank_table(bank: str | Path) -> str:
    """Return a terminal table of a bank's languages: error rates of their runs, and bytes of their files.

    The backbone comes once on top of them; where it is stored is not the bank's matter.
    """
    opened = MaskBank(bank)
    rows, total = [], 0
    for language in opened.languages:
        path = opened.existing(language)
        metrics, stored = read_header(path).metrics, path.stat().st_size
        total += stored
        rows.append([language, *_rates(metrics), size(stored)])
    rows.append(["all", "", "", "", size(total)])
    return plain(Table(["language", "dev CER/PER", "test CER/PER", "test WER", "bytes in bank"], rows))


def _rates(metrics: Mapping) -> list[str]:
    error = "PER" if value_of(metrics, "test.PER") is not None else "CER"
    return [number(value_of(metrics, name), 1) for name in (f"dev.{error}", f"test.{error}", "test.WER")]
