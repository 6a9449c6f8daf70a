import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.report.runs import Stat
from s3_speechbrain.report.tables import (
    Table,
    amount,
    display_width,
    markdown,
    number,
    number_range,
    plain,
    size,
    spread,
)


def test_markdown_sets_text_left_and_numbers_right():
    table = Table(["method", "CER"], [["masks", "9.1"], ["dense", ""]])
    assert markdown(table) == "| method | CER |\n| --- | ---: |\n| masks | 9.1 |\n| dense |  |"


def test_a_pipe_or_a_line_break_in_a_cell_does_not_break_the_table():
    lines = markdown(Table(["a|b"], [["x\ny"]])).splitlines()
    assert lines == [r"| a\|b |", "| --- |", "| x y |"]


def test_plain_text_is_aligned():
    table = Table(["lang", "CER"], [["fr", "9.10"], ["kab", "12.30"]])
    assert plain(table) == "lang    CER\n----  -----\nfr     9.10\nkab   12.30"


def test_a_ragged_row_is_refused():
    with pytest.raises(ValueError, match="2 cells under 1 headings"):
        Table(["a"], [["1", "2"]])


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("é", 1), ("e\u0301", 1), ("語", 2)])
def test_width_counts_terminal_columns(text, width):
    assert display_width(text) == width


def test_numbers_have_a_fixed_number_of_digits():
    assert number(12.3456) == "12.35"
    assert number(-0.001) == "0.00"
    assert number(None) == ""
    assert spread(Stat(12.0, 2.0, 3)) == "12.00 ± 2.00 (3)"
    assert spread(Stat(12.0, None, 1), 1) == "12.0"
    assert spread(Stat(12.0, None, 2), 1) == "12.0 (2)"
    assert spread(None) == ""
    assert number_range([0.2, 0.04, 0.2]) == "0.04 to 0.20"
    assert number_range([3, 3], 0) == "3"
    assert number_range([]) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (180_400, "180 kB"),
        (99_960, "100 kB"),
        (999_600, "1.00 MB"),
        (22_380_000, "22.4 MB"),
        (1.2e9, "1.20 GB"),
        (None, ""),
    ],
)
def test_sizes_have_three_digits_and_decimal_units(count, text):
    assert size(count) == text


def test_amounts_of_parameters_carry_no_byte():
    assert amount(3_100_000) == "3.10 M"
    assert amount(512) == "512"


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_any_text_gives_one_line_per_row(rows):
    table = Table(["a", "b"], [[cell.replace("\r", "") for cell in row] for row in rows])
    for written in (markdown(table), plain(table)):
        assert len(written.split("\n")) == len(rows) + 2
