"""The claims as tables: all of them with their verdicts, and for each what was compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from s3_speechbrain.report.claims.model import (
    LEVEL,
    MISSING,
    Claim,
    Comparison,
    Contender,
    Fact,
    Part,
    combined,
    share_of,
)
from s3_speechbrain.report.claims.parp import PARP
from s3_speechbrain.report.claims.s3_router import S3_ROUTER
from s3_speechbrain.report.claims.s6_damon import S6_DAMON
from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, manifests_note
from s3_speechbrain.report.paired import DRAWS, Difference
from s3_speechbrain.report.runs import Evidence, mean_over
from s3_speechbrain.report.scatter import Scatter, Scatters, taught
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.tables import Table, markdown, number, number_range, spread

CLAIMS = (*S3_ROUTER, *PARP, *S6_DAMON)


def rules(scatters: Scatters) -> str:
    """Say how verdicts are made."""
    return (
        "A change is relative, of the mean test error over the languages that both sides have, negative where ours is "
        "lower. Of the seeds of a setting those count that the other side has as well, where there are such; the "
        "tables show the means of all. **Better** holds if the whole 95 % interval is below 0 and does not hold if it "
        "is above; **no worse than by M %** asks the same of M; all else is undecided. The interval adds up two "
        f"sources of chance: other utterances (a bootstrap of {DRAWS:,} draws within each language) and other seeds "
        f"(Student's t of what trainings that differ in the seed alone differ by). {_told(scatters)} p flips the sign "
        "of utterances and so speaks of these trainings alone. Where runs did not record their utterances, every pair "
        "of language and seed has to agree and the exact two-sided sign test to give less than "
        f"{LEVEL:g}, which takes six pairs (five that agree give 0.0625). A claim holds if all of its main parts hold "
        "and does not hold if one does not; the overview shows the part that decides. Settings of a method compete on "
        "dev, those with most seeds alone; of them, settings that did not record their utterances leave first where "
        "both sides have some that did, and those with another length of the last training where both share one."
    )


def _told(scatters: Scatters) -> str:
    """Say what seeds change."""
    if scatters.overall is None:
        return "Nothing has been trained with several seeds yet, so that there are no intervals."

    def words(each: Scatter) -> str:
        return f"{number(each.percent, 1)} % of the error ({each.freedom} degrees of freedom)"

    own = [f"{name} {words(each)}" for name, each in scatters.by_recipe.items()]
    rest = f"{'other' if own else 'all'} recipes, pooled over all that have no teacher, {words(scatters.overall)}"
    students = (
        " Students are compared among themselves by their own, as they share a teacher, else by the last one."
    )
    shared = students if any(map(taught, scatters.settings)) else ""
    return f"Their standard deviation: {', '.join([*own, rest])}.{shared}"


@dataclass(frozen=True)
class Judged:
    """A claim with its parts on some evidence."""

    claim: Claim
    parts: Sequence[Part]

    @property
    def verdict(self) -> str:
        """By the main parts."""
        return combined(self.parts)

    @property
    def deciding(self) -> Part | None:
        """What the verdict rests on: the first main part with that verdict, else the first that was measured."""
        measured = [part for part in self.parts if part.main and part.verdict != MISSING]
        return next((part for part in measured if part.verdict == self.verdict), next(iter(measured), None))


def judged(claim: Claim, evidence: Evidence) -> Judged:
    """Compare what a claim asks for."""
    scatters = Scatters(evidence.settings)
    parts = claim.parts(evidence)
    return Judged(
        claim, [replace(part, scatters=scatters) if isinstance(part, Comparison) else part for part in parts]
    )


def _signed(value: float, digits: int = 1) -> str:
    text = number(value, digits)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def _change(difference: Difference) -> str:
    text = f"{_signed(difference.change)} %"
    if difference.interval:
        text += f" ({' to '.join(_signed(edge) for edge in difference.interval)})"
    return text


def _behind(difference: Difference) -> str:
    runs = number_range(difference.runs, 0)
    parts = [
        f"{len(difference.languages)} language{'s' * (len(difference.languages) > 1)}",
        "one run a side" if max(difference.runs) == 1 else f"{runs} runs a side",
    ]
    if difference.single:
        parts[1] = "one run each" if max(difference.runs) == 1 else f"one run against {max(difference.runs)}"
    parts.append(f"{difference.utterances:,} utterances" if difference.utterances else "means only")
    return ", ".join(parts)


def _test(difference: Difference) -> str:
    kind = "sign flips" if difference.utterances else f"sign test of {len(difference.changes)}"
    return f"p = {difference.p:.2g} ({kind})"


def _ours(part: Part | None) -> str:
    if part is None:
        return ""
    return part.found if isinstance(part, Fact) else f"{_change(part.difference)}: {part.title}"


def _overview_row(found: Judged) -> list[str]:
    claim, part = found.claim, found.deciding
    difference = part.difference if isinstance(part, Comparison) else None
    goal = f"; our goal: {claim.goal}" if claim.goal else ""
    return [
        f"[({claim.numeral})](#claim-{claim.name}) {claim.paper}: {claim.sentence}",
        f"**{found.verdict}**" + (f" ({share_of(found.parts)})" if found.parts else ""),
        claim.published + goal,
        _ours(part),
        _behind(difference) if difference else part.behind if isinstance(part, Fact) else "",
        _test(difference) if difference else "",
        "<br>".join(f"`{line}`" for line in claim.commands),
    ]


def claims(evidence: Evidence) -> str:
    """Make the section on the papers' claims: the overview, then each claim."""
    found = [judged(claim, evidence) for claim in CLAIMS]
    header = ["claim", "verdict", "the paper", "ours, where it decides", "behind it", "test", "command"]
    overview = Table(header, [_overview_row(each) for each in found], len(header))
    blocks = [rules(Scatters(evidence.settings)), markdown(overview)]
    return "\n\n".join([*blocks, f"{SEEDS_NOTE} {DEV_SELECTS}", *map(_subsection, found)])


def claims_short(evidence: Evidence) -> str:
    """Make the README's list of claims: verdict and our number."""
    found = [judged(claim, evidence) for claim in CLAIMS]
    rows = [
        [f"{each.claim.paper}: {each.claim.sentence}", each.verdict, _ours(each.deciding)] for each in found
    ]
    note = (
        "Mechanical verdicts; rules, intervals, all comparisons and their commands: [RESULTS.md](RESULTS.md)."
    )
    return f"{markdown(Table(['claim', 'verdict', 'ours'], rows, 3))}\n\n{note}"


def one_claim(evidence: Evidence, claim: Claim) -> str:
    """Make the block of one claim."""
    return _body(judged(claim, evidence))


def _subsection(found: Judged) -> str:
    claim = found.claim
    return f'<a id="claim-{claim.name}"></a>\n\n### ({claim.numeral}) {claim.sentence}\n\n{_body(found)}'


def _body(found: Judged) -> str:
    claim = found.claim
    blocks = [f"**{found.verdict.capitalize()}.** Published: {claim.published}. {claim.explanation}"]
    compared = [part for part in found.parts if isinstance(part, Comparison) and part.difference]
    if compared:
        sides = _contenders(compared)
        settings = [setting for side in sides for setting in side.settings.values()]
        blocks[0] += manifests_note(settings)
        blocks.append(_sides_table(sides))
    if found.parts:
        blocks.append(_parts_table(found.parts))
    whole = found.parts and all(part.verdict != MISSING for part in found.parts)
    title = "Measured with:" if whole else "What is not measured:"
    blocks.append(f"{title}\n\n```bash\n" + "\n".join(claim.commands) + "\n```")
    return "\n\n".join(blocks)


def _contenders(compared: Sequence[Comparison]) -> list[Contender]:
    """List all sides once, each with the languages that it is compared in; no row is a part of another one."""
    seen: dict[tuple[str, frozenset], Contender] = {}
    for part in compared:
        for side in (part.ours, part.theirs):
            shown = side.only(part.difference.languages)
            # pooled sides make new settings, which equal each other only by their runs
            cells = frozenset((place, *map(id, setting.runs)) for place, setting in shown.settings.items())
            seen.setdefault((shown.title, cells), shown)
    return [
        side
        for (title, cells), side in seen.items()
        if not any(title == other and cells < more for other, more in seen)
    ]


def _sides_table(sides: Sequence[Contender]) -> str:
    places = list(dict.fromkeys(place for side in sides for place in side.settings))
    name = error_name(next(iter(sides[0].settings.values())).first)
    precisions = [_precisions(side) for side in sides]
    told = len(set(precisions)) > 1  # where all are equal there is nothing to compare
    rows = []
    for side, precision in zip(sides, precisions, strict=True):
        settings = [side.settings.get(place) for place in places]
        present = [setting for setting in settings if setting]
        dotted = f"test.{error_name(present[0].first)}"
        rows.append(
            [
                side.title,
                *(spread(setting.error("test") if setting else None) for setting in settings),
                spread(mean_over(settings, dotted)),
                number_range([run["cost"]["updates"] for setting in present for run in setting.runs], 0),
                *([precision] * told),
            ]
        )
    header = [f"test {name}", *places, "mean", "updates, all stages", *(["computed in"] * told)]
    return markdown(Table(header, rows))


def _precisions(side: Contender) -> str:
    runs = [run for setting in side.settings.values() for run in setting.runs]
    return ", ".join(sorted({value_of(run, "config.precision", "") for run in runs}))


def _parts_table(parts: Sequence[Part]) -> str:
    rows = []
    for part in parts:
        start = [part.title, "main" if part.main else "beside", part.rule]
        if isinstance(part, Fact):
            rows.append([*start, part.found, "", part.behind, "", part.verdict])
            continue
        found = part.difference
        if found is None:
            rows.append([*start, *[""] * 4, part.verdict])
            continue
        won = sum(change < 0 for change in found.changes)
        rows.append(
            [
                *start,
                _change(found),
                f"{won} of {len(found.changes)}",
                _behind(found),
                _test(found),
                part.verdict,
            ]
        )
    header = ["part", "", "holds if", "change (95 %)", "pairs won", "behind it", "test", "verdict"]
    return markdown(Table(header, rows, len(header)))


CLAIM_SECTIONS = {
    "claims": claims,
    "claims-short": claims_short,
    **{f"claim-{claim.name}": partial(one_claim, claim=claim) for claim in CLAIMS},
}
