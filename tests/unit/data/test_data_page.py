from pathlib import Path

from s3_speechbrain.data.languages import LANGUAGES
from s3_speechbrain.data.validation import FAULTS

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_page_names_every_fault_with_its_meaning():
    assert [name for name, meaning in FAULTS.items() if f"| `{name}` | {meaning} |" not in PAGE] == []


def test_the_page_has_a_row_for_every_language():
    assert [name for name in LANGUAGES if f"\n| {name} | " not in PAGE] == []
