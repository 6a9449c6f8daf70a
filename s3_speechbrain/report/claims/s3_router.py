"""The claims of S3-Router (Fu et al., NeurIPS 2022, arXiv 2211.01522)."""

from collections.abc import Sequence

from s3_speechbrain.report.claims.choosing import (
    TWICE,
    Candidates,
    candidates,
    clipped_otherwise,
    gathered,
    place_name,
    removed,
    trained_for,
    variants,
    versus,
)
from s3_speechbrain.report.claims.model import (
    FAILS,
    HOLDS,
    MISSING,
    NOISE,
    Claim,
    Comparison,
    Contender,
    Fact,
    Part,
)
from s3_speechbrain.report.clipping import CLIPPING
from s3_speechbrain.report.main_table import BACKBONE, row_of
from s3_speechbrain.report.multilingual import PAPER, saved_share
from s3_speechbrain.report.runs import Evidence, Run, Setting
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.sweep import dense_beside, lowest_on_dev, masked_share, sweeps
from s3_speechbrain.report.tables import number

PAPER_NAME = "S3-Router"
DENSE = ("dense", "dense_freeze")
SMALL = (0.04, 0.14)  # sparsities where the paper finds the lowest error with wav2vec2-base
STILL = 0.2  # up to where it finds masks better than dense finetuning
LANGUAGES = 11
BESIDE = {"frozen": "frozen encoder, head alone", "lora": "LoRA", "bitfit": "BitFit"}
OTHER_MASKS = {
    "mask_warm": "masks begun with another language's",
    "mask_taught": "masks taught by the dense model",
    "mask_by_global": "masks, one ranking of all matrices",
    "mask_by_threshold": "masks, thresholds that train",
    "mask_allotted": "masks, a sparsity for each group",
}
POINT = 0.01  # the paper's 88.5 % come without their arithmetic
PRUNED = (0.5, 0.7)


def _added(run: Run) -> bool:
    return "added_to_bank" in run


def _is_mask(run: Run) -> bool:
    return row_of(run) == "mask" and not _added(run)


def _dense(run: Run) -> bool:
    return run["method"] in DENSE


def masks_reach_dense(evidence: Evidence) -> list[Part]:
    """(i) Masks against dense finetuning and against what else a language may cost."""
    masks = ("masks", candidates(evidence, _is_mask))
    dense = ("dense finetuning", candidates(evidence, _dense))
    parts = [versus(masks, dense, NOISE), versus(masks, dense, 0.0, main=False)]
    for method, title in BESIDE.items():
        parts.append(versus(masks, (title, candidates(evidence, lambda run, m=method: run["method"] == m))))
    return [
        *parts,
        *_other_masks(evidence, masks, dense),
        *_clipped_otherwise(evidence),
        *_twice_as_long(evidence),
        *_other_backbones(evidence),
    ]


def _other_masks(
    evidence: Evidence, masks: tuple[str, Candidates], dense: tuple[str, Candidates]
) -> list[Part]:
    """Compare what goes beyond the paper, as far as it was run, with plain masks and with dense finetuning."""
    parts = []
    for method, title in OTHER_MASKS.items():
        found = title, candidates(evidence, lambda run, m=method: run["method"] == m)
        if found[1]:
            parts += [
                versus(found, masks, main=False),
                versus(found, dense, NOISE, main=False),
            ]
    return parts


def _clipped_otherwise(evidence: Evidence) -> list[Part]:
    """Compare each method with itself under other limits of the gradient's norm: what does clipping do?"""
    kinds = {"mask": "masks", **OTHER_MASKS, "dense": "dense finetuning", **BESIDE}
    parts: list[Part] = []
    for method, title in kinds.items():
        parts += clipped_otherwise(
            evidence, title, lambda run, m=method: row_of(run) == m and not _added(run)
        )
    return parts


def _twice_as_long(evidence: Evidence) -> list[Part]:
    """Compare masks with dense finetuning where both trained longer, if they did: do masks only need more time?"""
    masks, dense = (
        candidates(evidence, lambda run, k=kind: k(run) and trained_for(run) == TWICE)
        for kind in (_is_mask, _dense)
    )
    if not masks or not dense:
        return []
    titles = ("masks, twice as long", "dense finetuning, twice as long")
    return [versus((titles[0], masks), (titles[1], dense), NOISE, main=False)]


def _other_backbones(evidence: Evidence) -> list[Part]:
    others = {run["backbone"] for run in evidence.runs if _is_mask(run) and error_name(run) == "CER"}
    parts = []
    for backbone in sorted(others - {BACKBONE}):
        sides = [
            gathered(evidence, lambda run, kind=kind, b=backbone: run["backbone"] == b and kind(run))
            for kind in (_is_mask, _dense)
        ]
        titles = (f"masks, {backbone}", f"dense finetuning, {backbone}")
        parts.append(versus((titles[0], sides[0]), (titles[1], sides[1]), NOISE, main=False))
    return parts


def _at(title: str, chosen: dict[str, Setting | None]) -> Contender:
    return Contender(title, {place: setting for place, setting in chosen.items() if setting is not None})


def small_sparsity_is_best(evidence: Evidence) -> list[Part]:
    """(ii) The curve of error over sparsity: its two ends, its lowest point, dense finetuning beside it."""
    recorded = Evidence(tuple(run for run in evidence.runs if "utterances" in run), {})
    found = {
        place_name(sweep[0].first): sweep
        for sweep in [*sweeps(evidence), *sweeps(recorded)]  # of a language, the one with utterances counts
        if sweep[0].first["backbone"] == BACKBONE
    }
    if not found:
        return []

    def where(title: str, low: float, high: float) -> Contender:
        return _at(
            title,
            {
                place: lowest_on_dev([s for s in sweep if low <= masked_share(s) <= high])
                for place, sweep in found.items()
            },
        )

    lowest = where("masks at the best sparsity", 0.001, 1.0)
    first = _at("masks at the smallest sparsity", {place: sweep[0] for place, sweep in found.items()})
    last = _at("masks at the largest sparsity", {place: sweep[-1] for place, sweep in found.items()})
    small, large = where("masks at 0.04 to 0.14", *SMALL), where("masks above 0.14", SMALL[1] + 1e-3, 1.0)
    dense = _at("dense finetuning", {place: dense_beside(evidence, sweep) for place, sweep in found.items()})
    places = {place: masked_share(setting) for place, setting in lowest.settings.items()}
    inside = all(SMALL[0] <= share <= SMALL[1] for share in places.values())
    return [
        Comparison(small, large),
        Comparison(lowest, first),
        Comparison(lowest, last),
        Comparison(small, dense, NOISE, main=False),
        Comparison(where("masks at 0.2", STILL - 1e-3, STILL + 1e-3), dense, 0.0, main=False),
        Fact(
            "sparsity with the lowest dev error",
            ", ".join(f"{place} {number(share)}" for place, share in places.items()),
            HOLDS if inside else FAILS,
            main=False,
            rule="0.04 to 0.14 in every language",
        ),
    ]


def order_preserving_is_best(evidence: Evidence) -> Sequence[Part]:
    """(iii) The initialisation of the scores."""
    return variants(evidence, _is_mask, "init", "order_preserving", ("sparsity", "groups", CLIPPING))


def ffn_is_enough(evidence: Evidence) -> Sequence[Part]:
    """(iv) Masks on the feed-forward layers alone."""
    parts = variants(evidence, _is_mask, "groups", ["ffn"], ("sparsity", "init", CLIPPING), NOISE)
    both = "ffn + attention"
    return [
        part if part.theirs.title == both else Comparison(part.ours, part.theirs, NOISE, main=False)
        for part in parts
    ]


def storage_is_saved(evidence: Evidence) -> list[Part]:
    """(v) Parameters that masks save against a dense model per language."""
    share = saved_share(evidence, LANGUAGES)
    title, rule = (
        f"parameters saved for {LANGUAGES} languages",
        f"within a point of {100 * PAPER:.1f} %, or more",
    )
    if share is None:
        return [Fact(title, "", MISSING, rule=rule)]
    verdict = HOLDS if share >= PAPER - POINT else FAILS
    return [Fact(title, f"{number(100 * share, 1)} %", verdict, rule=rule, behind="sizes, no error rates")]


def pruning_beats_others(evidence: Evidence) -> list[Part]:
    """(vi) S3-Router's pruning of finetuned weights."""
    parts = []
    for sparsity in PRUNED:
        sides = {
            method: candidates(
                evidence, lambda run, m=method, s=sparsity: run["method"] == m and removed(run) == s
            )
            for method in ("s3_prune", "omp", "imp", "parp")
        }
        ours = (f"S3-Router's pruning at {sparsity}", sides["s3_prune"])
        for method in ("omp", "imp", "parp"):
            parts.append(versus(ours, (f"{method.upper()} at {sparsity}", sides[method])))
        longer = {
            place: left for place, each in sides["parp"].items() if (left := [s for s in each if _twice(s)])
        }
        parts.append(
            versus(
                ours, (f"PARP at {sparsity}, as many updates in all", longer), main=False, same_length=False
            )
        )
    return parts


def _twice(setting: Setting) -> bool:
    return trained_for(setting.first) == TWICE


S3_ROUTER = (
    Claim(
        "masks",
        "i",
        PAPER_NAME,
        "Masks over a frozen encoder reach or beat dense finetuning, and beat a frozen encoder, LoRA and BitFit",
        "-5.0 % relative token error over ten languages, better in 10 of 10 (table of XLSR, one hour each)",
        ("masks_against_weights", "clipping", "more_languages", "whisper"),
        masks_reach_dense,
        'Dense finetuning with and without the head alone at first compete on dev; "reach" allows the noise of a '
        'training, "better" allows nothing.',
    ),
    Claim(
        "sparsity",
        "ii",
        PAPER_NAME,
        "Error over sparsity is U-shaped, with the lowest point at a small sparsity",
        "lowest at 0.04 to 0.14, better than dense finetuning up to 0.2 (read off curves, wav2vec2-base, LibriSpeech)",
        ("sparsity_of_masks", "masks_against_weights"),
        small_sparsity_is_best,
        "Both ends have to be worse than the lowest point, and the paper's range better than all larger sparsities.",
    ),
    Claim(
        "initialisation",
        "iii",
        PAPER_NAME,
        "The order-preserving initialisation of the scores is the best",
        "the released default for wav2vec2 and XLSR (code); its ablation's numbers are not verified",
        ("mask_settings", "masks_against_weights", "clipping"),
        order_preserving_is_best,
        "Each other initialisation at the same sparsity, on the same layers; learning rates compete on dev.",
    ),
    Claim(
        "ffn",
        "iv",
        PAPER_NAME,
        "Masks on the feed-forward layers alone are as good as masks on attention as well",
        "the released recipes mask nothing else (code)",
        ("mask_settings", "masks_against_weights"),
        ffn_is_enough,
        'The same fraction is removed of fewer weights; "as good" allows the noise of a training.',
    ),
    Claim(
        "storage",
        "v",
        PAPER_NAME,
        "Eleven languages over one backbone save most of the parameters of eleven models",
        "88.5 % saved (text), without the arithmetic",
        ("masks_against_weights",),
        storage_is_saved,
        "A mask costs one bit per masked weight, 1/32 of a float32 parameter; head and letters are counted.",
    ),
    Claim(
        "mask_pruning",
        "vi",
        PAPER_NAME,
        "Its pruning of finetuned weights beats OMP, IMP and PARP",
        "10 min, WER at 0.5 / 0.7: 39.4 / 47.5 against OMP 61.4 / 99.6, IMP 53.8 / 91.7, PARP 41.1 / 54.0 "
        "(read off curves, wav2vec2-base, test-clean)",
        ("pruning", "clipping"),
        pruning_beats_others,
        "It trains twice, as OMP does; PARP trains once, so PARP with as many updates in all stands beside it.",
    ),
)
