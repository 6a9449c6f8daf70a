"""The table of a recipe's README: one row per method, at the sparsity of its command, best first."""

from s3_speechbrain.report.recipe_table import NOTHING, recipe_table
from s3_speechbrain.report.runs import Evidence


def test_rows_are_the_methods_at_the_sparsity_of_the_command(make_run):
    def make(method, sparsity, error, **changes):
        config = {"sparsity": sparsity, **changes.pop("config", {})}
        return make_run(
            recipe="parp",
            method=method,
            sparsity__masked=sparsity,
            dev__CER=error,
            test__CER=error + 1,
            cost__updates=800,
            cost__wall_s=150.0,
            config=config,
            **changes,
        )

    runs = (
        make("omp", 0.5, 12.0),
        make("omp", 0.3, 10.0),  # another sparsity
        make("parp", 0.5, 11.0),
        make("parp", 0.5, 11.5, config={"interval": 20}),  # dev prefers the other one
        make("mpi", 0.5, 5.0, language="it"),  # fewer methods there
    )
    text = recipe_table(Evidence(runs, {}), "parp")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "`" in line
    ]
    assert rows == [
        ["`parp`", "800", "2.5", "0.50", "11.00", "12.00", "180 kB"],
        ["`omp`", "800", "2.5", "0.50", "12.00", "13.00", "180 kB"],
    ]
    assert text.startswith("fr, builtin backbone, 10 min of prompts")
    assert recipe_table(Evidence(runs, {}), "text_parp") == NOTHING
