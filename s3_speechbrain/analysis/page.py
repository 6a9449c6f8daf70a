"""The comparison of masks as a page in markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from s3_speechbrain.report.tables import Table, amount, markdown, number

WIDE = 12  # masks, up to which a square table is readable


def _square(found: Mapping[str, Any], measure: str, chance: str) -> str:
    """Write a measure above the diagonal and its chance level below."""
    labels = [masks["label"] for masks in found["masks"]]
    cells = [["" for _ in labels] for _ in labels]
    for pair in found["pairs"]:
        first, second = pair["first"], pair["second"]
        cells[first][second] = number(pair["total"][measure], 3)
        cells[second][first] = f"({number(pair['total'][chance], 3)})"
    rows = [[label, *row] for label, row in zip(labels, cells, strict=True)]
    return markdown(Table(["", *labels], rows))


def _pairs(found: Mapping[str, Any]) -> str:
    header = [
        "A",
        "B",
        "IOU",
        "chance",
        "95 % of chance",
        "corrected",
        "IOU of removed",
        "chance",
        "corrected",
    ]
    header += ["cosine", "phi", "kappa", "z"]
    labels = [masks["label"] for masks in found["masks"]]
    rows = []
    for pair in found["pairs"]:
        values = pair["total"]
        rows.append(
            [
                labels[pair["first"]],
                labels[pair["second"]],
                number(values["iou"], 3),
                number(values["chance_iou"], 3),
                " to ".join(number(value, 3) for value in pair["chance_range"]),
                number(values["corrected_iou"], 3),
                number(values["removed_iou"], 3),
                number(values["chance_removed_iou"], 3),
                number(values["corrected_removed_iou"], 3),
                *(number(values[name], 3) for name in ("cosine", "phi", "kappa")),
                number(values["z"], 0),
            ]
        )
    return markdown(Table(header, rows, 2))


def _parts(found: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for pair in found["pairs"] for name in pair["parts"]))
    labels = [masks["label"] for masks in found["masks"]]
    rows = [
        [
            f"{labels[pair['first']]}, {labels[pair['second']]}",
            *(number(pair["parts"].get(name, {}).get("kappa"), 3) for name in names),
        ]
        for pair in found["pairs"]
    ]
    return markdown(Table([f"kappa by {found['by']}", *names], rows))


def _groups(tests: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            fact,
            number(test["difference"], 4),
            f"{test['p']:.2g}",
            f"{test['permutations']}{' (all)' if test['exact'] else ''}",
        ]
        for fact, test in tests.items()
    ]
    header = ["masks grouped by", "kappa within minus between", "p", "permutations"]
    return markdown(Table(header, rows))


def page(
    found: Mapping[str, Any], tests: Mapping[str, Mapping[str, Any]], figures: Sequence[str] = ()
) -> str:
    """Write a comparison as markdown.

    Parameters
    ----------
    found, tests : mapping
        From `compare` and `group_tests`.
    figures : sequence of str
        File names of figures beside the page.

    Returns
    -------
    str
        The page, with a final newline.
    """
    sets = [
        [masks["label"], str(masks["matrices"]), amount(masks["entries"]), number(masks["sparsity"], 3)]
        for masks in found["masks"]
    ]
    blocks = [
        "# Overlap of masks",
        f"Null hypothesis: {found['null']}. `chance` is a measure's value at the expected overlap, `corrected` "
        "puts chance at 0 and identity at 1, `z` counts standard deviations from chance.",
        markdown(Table(["masks", "matrices", "entries", "sparsity"], sets)),
    ]
    if len(sets) <= WIDE:
        blocks += [
            "IOU of the kept weights above the diagonal, chance below:",
            _square(found, "iou", "chance_iou"),
            "IOU of the removed weights above the diagonal, chance below:",
            _square(found, "removed_iou", "chance_removed_iou"),
        ]
    blocks += [f"![{name}]({name})" for name in figures]
    blocks += ["## Pairs", _pairs(found), f"## By {found['by']}", _parts(found)]
    if tests:
        blocks += ["## Groups", "Groups are permuted over masks.", _groups(tests)]
    return "\n\n".join(blocks) + "\n"


def summary(found: Mapping[str, Any], tests: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what reports need of a comparison: small enough to be committed.

    Parameters
    ----------
    found, tests : mapping
        From `compare` and `group_tests`.

    Returns
    -------
    dict
        ``null`` (the hypothesis in words), ``masks`` (their labels), ``pairs`` (the two ``labels`` and ``languages``,
        ``overlap``: IOU of the kept weights, ``chance``: its level under the hypothesis, ``p``: of permuted
        positions, normal), ``groups``: permutations of the masks' languages, methods and seeds.
    """
    masks = found["masks"]

    def of(pair: Mapping[str, Any], fact: str) -> list[str]:
        return [str(masks[pair[place]].get(fact, "")) for place in ("first", "second")]

    return {
        "null": found["null"],
        "masks": [each["label"] for each in masks],
        "pairs": [
            {
                "labels": of(pair, "label"),
                "languages": of(pair, "language"),
                "overlap": round(pair["total"]["iou"], 4),
                "chance": round(pair["total"]["chance_iou"], 4),
                "p": 1.0 if pair["total"]["p"] is None else float(f"{pair['total']['p']:.3g}"),
            }
            for pair in found["pairs"]
        ],
        "groups": {fact: {"difference": test["difference"], "p": test["p"]} for fact, test in tests.items()},
    }


def relation_page(found: Mapping[str, Any]) -> str:
    """Write what `relate` found as markdown.

    Parameters
    ----------
    found : mapping
        From `relate`.

    Returns
    -------
    str
        The page, with a final newline.
    """
    languages = found["languages"]
    rows = [
        [languages[row], *("" if row == column else number(cell, 3) for column, cell in enumerate(cells))]
        for row, cells in enumerate(found["inventory_cosine"])
    ]
    tests = [
        [measure, kind, number(test["correlation"], 3), f"{test['p']:.2g}", str(test["permutations"])]
        for measure, tests in found["masks"].items()
        for kind, test in tests.items()
        if kind != "matrix"
    ]
    sizes = ", ".join(f"{language} {count}" for language, count in found["phones"].items())
    blocks = [
        "# Masks and phone inventories",
        f"Phones of each language as espeak-ng pronounces its transcripts: {sizes}. Cosine of the inventories:",
        markdown(Table(["", *languages], rows)),
        "Correlation of that cosine with the likeness of masks, over pairs of languages; the Mantel test permutes "
        "languages:",
        markdown(Table(["likeness of masks", "correlation", "r", "p", "permutations"], tests, 2)),
    ]
    return "\n\n".join(blocks) + "\n"
