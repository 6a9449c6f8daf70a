"""What a recipe's own command gives and how long it takes, for its README."""

from functools import partial

from s3_speechbrain.report.main_table import BYTES_COUNT, DEV_SELECTS, stored_bytes
from s3_speechbrain.report.runs import Evidence, Setting, best_on_dev, data_label
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.tables import Table, markdown, number, size, spread

# the sparsity that a README's command asks for; None where it is not asked for, and dev chooses
RECIPES = {"finetuning": None, "mask_finetuning": None, "parp": 0.5, "text_parp": 0.5, "s6_damon": 0.5}
NOTHING = "Not measured yet."


def recipe_table(evidence: Evidence, recipe: str) -> str:
    """Make the table of a recipe: each method where most of the recipe's runs are, with its cost and error.

    Parameters
    ----------
    evidence : Evidence
        The committed runs.
    recipe : str
        A key of `RECIPES`.
    """
    sparsity = RECIPES[recipe]
    places: dict[tuple, dict[str, list[Setting]]] = {}
    for setting in evidence.settings:
        run = setting.first
        if run["recipe"] != recipe:
            continue
        removed = run["sparsity"]["masked"]
        if sparsity is not None and removed and abs(removed - sparsity) > 0.01:
            continue
        place = (run["backbone"], run["data"]["name"], data_label(run), run["language"], error_name(run))
        places.setdefault(place, {}).setdefault(run["method"], []).append(setting)
    if not places:
        return NOTHING
    place = max(sorted(places), key=lambda each: (len(places[each]), sum(map(len, places[each].values()))))
    chosen = [best_on_dev(settings) for settings in places[place].values()]
    chosen.sort(key=lambda setting: setting.error("test").mean)
    backbone, corpus, training, language, name = place
    header = ["method", "updates", "minutes", "sparsity", f"dev {name}", f"test {name}", "bytes"]
    note = (
        f"{language}, {backbone} backbone, {training} of {corpus}; all stages of a run together, on a machine that "
        f"did other work as well. {DEV_SELECTS} {BYTES_COUNT}"
    )
    return f"{note}\n\n{markdown(Table(header, [_row(setting) for setting in chosen], 1))}"


def _row(setting: Setting) -> list[str]:
    return [
        f"`{setting.first['method']}`",
        number(setting.stat("cost.updates").mean, 0),
        number(setting.stat("cost.wall_s").mean / 60, 1),
        number(setting.stat("sparsity.masked").mean, 2),
        spread(setting.error("dev")),
        spread(setting.error("test")),
        size(stored_bytes([setting])),
    ]


RECIPE_SECTIONS = {f"recipe-{name}": partial(recipe_table, recipe=name) for name in RECIPES}
