"""`pretraining` and `brains` imported each other, while the architecture says that arrows point one way."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import s3_speechbrain

LIBRARY = Path(s3_speechbrain.__file__).parent
BACK = ("brains/keeping.py", "modelfolder")  # the one arrow that docs/architecture.md allows
BASIS = {"errors", "atomic", "memory", "__version__"}


def imported_rooms(file):
    """Name the rooms that a file imports from anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("s3_speechbrain."))


def test_rooms_import_each_other_in_one_direction():
    graph = defaultdict(set)
    for file in LIBRARY.rglob("*.py"):
        place = file.relative_to(LIBRARY)
        room = place.parts[0].removesuffix(".py")
        graph[room] |= {other for other in imported_rooms(file) if (place.as_posix(), other) != BACK}
        graph[room] -= {room}
    list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle in its message
    for room in ("data", "report", "measure"):
        assert graph[room] <= BASIS
    assert not {"pretraining", "experiments"} & set().union(*graph.values())
