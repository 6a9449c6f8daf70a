"""The claims of PARP (Lai et al., NeurIPS 2021, arXiv 2106.05933)."""

from collections.abc import Callable

from s3_speechbrain.report.claims.choosing import (
    TWICE,
    best,
    candidates,
    clipped_otherwise,
    gathered,
    option,
    pooled,
    recorded_alike,
    removed,
    trained_for,
    versus,
)
from s3_speechbrain.report.claims.model import (
    FAILS,
    HOLDS,
    LEVEL,
    MISSING,
    NOISE,
    UNDECIDED,
    Claim,
    Comparison,
    Fact,
    Part,
)
from s3_speechbrain.report.clipping import clipped_like
from s3_speechbrain.report.cross_lingual import JOINT, source_of
from s3_speechbrain.report.runs import Evidence, Run
from s3_speechbrain.report.tables import number

PAPER_NAME = "PARP"
MODERATE, STRONG = (0.3, 0.5), 0.9
MAIN = (0.5, 0.7)
FOREIGN = 0.8  # the paper's sparsity for masks of other languages
TEXT_RIVALS = {"omp": "OMP", "mpi": "MPI", "baseline_rp_uniform": "RP, uniform"}


def _at(method: str, sparsity: float, frozen: bool | None = False) -> Callable[[Run], bool]:
    """Want a method at a sparsity, with or without the head alone at first; None takes both."""

    def wanted(run: Run) -> bool:
        head_first = bool(option(run, "head_only_updates", 0))
        return run["method"] == method and removed(run) == sparsity and frozen in (None, head_first)

    return wanted


def _sparsities(evidence: Evidence) -> list[float]:
    found = {removed(run) for run in evidence.runs if run["method"] == "parp"}
    return sorted(found | set(MAIN))


def parp_beats_others(evidence: Evidence) -> list[Part]:
    """(vii) PARP against the other ways to one sparsity, dense finetuning, its variants, and what freezing does."""
    parts: list[Part] = []
    dense = candidates(evidence, lambda run: run["method"] == "dense")
    for sparsity in _sparsities(evidence):
        parp = (f"PARP at {sparsity}", candidates(evidence, _at("parp", sparsity)))
        for method in ("omp", "imp", "mpi", "rp"):
            other = (f"{method.upper()} at {sparsity}", candidates(evidence, _at(method, sparsity)))
            parts.append(versus(parp, other, main=sparsity in MAIN))
        if sparsity in MAIN:
            parts.append(_equal_cost(evidence, sparsity))
        if sparsity in MODERATE:
            parts.append(versus(parp, ("dense finetuning", dense), NOISE))
    strong = [
        (f"{title} at {STRONG}", candidates(evidence, _at(method, STRONG)))
        for method, title in (("parp_p", "PARP-P"), ("parp", "PARP"))
    ]
    parts.append(versus(strong[0], strong[1]))
    frozen = (
        "dense finetuning, frozen at first",
        candidates(evidence, lambda run: run["method"] == "dense_freeze"),
    )
    parts.append(versus(("dense finetuning", dense), frozen, main=False))
    half = [candidates(evidence, _at("parp", MAIN[0], freeze)) for freeze in (False, True)]
    titles = (f"PARP at {MAIN[0]}", f"PARP at {MAIN[0]}, frozen at first")
    parts.append(versus((titles[0], half[0]), (titles[1], half[1]), main=False))
    return [*parts, *clipped_otherwise(evidence, titles[0], _clipped_at_half)]


def _clipped_at_half(run: Run) -> bool:
    return run["method"] == "parp" and removed(run) == MAIN[0] and not option(run, "head_only_updates", 0)


def _equal_cost(evidence: Evidence, sparsity: float) -> Comparison:
    """Compare PARP with OMP at an equal number of updates in all, where OMP takes two trainings."""
    wanted = _at("parp", sparsity)
    longer = candidates(evidence, lambda run: wanted(run) and trained_for(run) == TWICE)
    omp = (f"OMP at {sparsity}", candidates(evidence, _at("omp", sparsity)))
    title = f"PARP at {sparsity}, as many updates in all"
    return versus((title, longer), omp, main=False, same_length=False)


def foreign_masks_serve(evidence: Evidence) -> list[Part]:
    """(viii) Masks of other languages, adjusted by PARP and kept as they are."""
    runs = [run for run in evidence.runs if run["method"] == "baseline_parp_foreign"]
    if not runs:
        return []
    sparsity = min((removed(run) for run in runs), key=lambda each: abs(each - FOREIGN))

    def among(methods: tuple[str, ...], own: bool) -> dict:
        return candidates(
            evidence,
            lambda run: (
                run["method"] in methods
                and removed(run) == sparsity
                and source_of(run) != JOINT
                and (source_of(run) == run["language"]) == own
            ),
        )

    sides = {
        "adjusted": [among(("baseline_parp_foreign",), own) for own in (False, True)],
        "fixed": [among(("baseline_foreign",), False), among(("omp",), True)],
    }
    found = []
    for kind, (foreign, mine) in sides.items():
        foreign, mine = recorded_alike(foreign, mine)
        mine = {place: clipped_like(each, foreign.get(place, ())) for place, each in mine.items()}
        ours = pooled(f"masks of other languages at {sparsity}, {kind}", foreign, source_of)
        theirs = best(f"own masks at {sparsity}, {kind}", mine)
        found.append(Comparison(ours, theirs, NOISE, main=kind == "adjusted"))
    return found


def one_subnetwork_serves(evidence: Evidence) -> list[Part]:
    """(ix) One subnetwork for several languages, beside dense finetuning and PARP."""
    joint = candidates(evidence, lambda run: run["method"] == "baseline_parp_joint")
    parts: list[Part] = []
    for sparsity in sorted({removed(s.first) for each in joint.values() for s in each}):
        ours = (
            f"one subnetwork at {sparsity}",
            {
                place: left
                for place, each in joint.items()
                if (left := [s for s in each if removed(s.first) == sparsity])
            },
        )
        rivals = {
            "one dense model for all": (lambda run: run["method"] == "dense_all", True),
            f"PARP at {sparsity}, a run per language": (_at("parp", sparsity), True),
            "dense finetuning, a model per language": (lambda run: run["method"] == "dense", False),
        }
        for title, (wanted, main) in rivals.items():
            parts.append(versus(ours, (title, candidates(evidence, wanted)), NOISE, main))
    return parts


def masks_overlap(evidence: Evidence) -> list[Part]:
    """(x) Overlap of the masks of different languages, against the chance level of their sparsities."""
    return [
        _overlap(name, found) for name, found in evidence.analyses.items() if name.startswith("overlap-")
    ] or [Fact("overlap of masks of different languages", "", MISSING)]


def _overlap(name: str, found: dict) -> Fact:
    pairs = [pair for pair in found["pairs"] if pair["languages"][0] != pair["languages"][1]]
    title = f"IOU of the kept weights, {name.removeprefix('overlap-')}"
    if not pairs:
        return Fact(title, "", MISSING)
    level = LEVEL / len(pairs)  # Bonferroni: every pair has to pass
    above = [pair["overlap"] > pair["chance"] and pair["p"] < level for pair in pairs]
    below = [pair["overlap"] <= pair["chance"] for pair in pairs]
    mean, chance = (sum(pair[key] for pair in pairs) / len(pairs) for key in ("overlap", "chance"))
    return Fact(
        title,
        f"{number(mean, 3)}, by chance {number(chance, 3)} (mean of {len(pairs)} pairs)",
        HOLDS if all(above) else FAILS if all(below) else UNDECIDED,
        rule=f"above chance in every pair, p below {LEVEL:g} / {len(pairs)}",
        behind=f"{len(found['masks'])} masks; null hypothesis: {found['null']}",
    )


def text_encoders_too(evidence: Evidence) -> list[Part]:
    """(xi) The same on text encoders."""

    def sides(method: str, sparsity: float) -> dict:
        return gathered(
            evidence,
            lambda run: run.get("task") == "text" and run["method"] == method and removed(run) == sparsity,
        )

    parts: list[Part] = []
    found = {removed(run) for run in evidence.runs if run.get("task") == "text" and run["method"] == "parp"}
    for sparsity in sorted(found):
        parp = (f"PARP at {sparsity}", sides("parp", sparsity))
        parts.append(
            versus(parp, ("dense finetuning", sides("dense", 0.0)), NOISE, main=sparsity == min(found))
        )
        for method, title in TEXT_RIVALS.items():
            parts.append(versus(parp, (f"{title} at {sparsity}", sides(method, sparsity))))
    return parts


PARP = (
    Claim(
        "parp",
        "vii",
        PAPER_NAME,
        "In one finetuning PARP is better than OMP, IMP, MPI and RP at the same sparsity, at a moderate one at least "
        "as good as dense finetuning, and PARP-P is better at 0.9",
        "-10.9 and -12.6 WER (absolute) against the full model on 10 min of LibriSpeech without a language model "
        "(abstract)",
        ("pruning", "masks_against_weights", "clipping"),
        parp_beats_others,
        "Lengths are those of the last training: OMP and IMP train on top of others (see the updates), so PARP with "
        "as many updates in all stands beside OMP; the paper's dense model keeps its transformer frozen for 10,000 "
        "updates and PARP does not, so what freezing costs is compared too.",
    ),
    Claim(
        "foreign_masks",
        "viii",
        PAPER_NAME,
        "Masks of other languages are nearly as good as a language's own once PARP adjusts them",
        "no loss at sparsity 0.8 over ten languages (abstract, job scripts); fixed masks lose",
        ("cross_lingual",),
        foreign_masks_serve,
        "The masks of all other languages count together, as if they were seeds. Updates are those of the run and of "
        "the dense run that it made its own mask with; what made a mask that was read from a file is not counted.",
    ),
    Claim(
        "one_subnetwork",
        "ix",
        PAPER_NAME,
        "One subnetwork serves several languages",
        "one run for ten languages (abstract); its table is not verified",
        ("many_languages", "masks_against_weights"),
        one_subnetwork_serves,
        "The dense model for all languages has the same pooled training; one model per language is the costlier way.",
    ),
    Claim(
        "overlap",
        "x",
        PAPER_NAME,
        "Masks of different languages overlap more than chance",
        '"high overlap" for all pairs (figure; its values are not verified)',
        ("cross_lingual",),
        masks_overlap,
        "Chance is what two random masks of the same sparsity in every matrix share; masks that start from the same "
        "weights overlap for that reason already, which the null hypothesis of the file tells.",
        after="python -m s3_speechbrain.analysis overlap RUN... --out FOLDER "
        "--evidence evidence/analysis/overlap-NAME.json",
    ),
    Claim(
        "text",
        "xi",
        PAPER_NAME,
        "PARP works for text encoders too",
        "BERT and XLNet (abstract); tasks and numbers are not verified",
        ("text",),
        text_encoders_too,
        "Error is the share of wrong labels; PARP has to be as good as dense finetuning at the smallest sparsity and "
        "better than the others at each.",
    ),
)
