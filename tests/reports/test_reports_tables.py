"""A table as text and as Markdown: alignment, wrapping, escapes."""

from __future__ import annotations

from raft_chaos.reports.tables import LONGEST, Column, Table, markdown_table, text_table

FAULTS = Table(
    "Faults",
    [Column("fault"), Column("at s", "right"), Column("spare"), Column("seen", wraps=True)],
    [["f1", "1.300", "", "n1 runs as incarnation 2"], ["f10", "12.000", "", "a | b"]],
    "a legend",
)


def test_text_aligns_numbers_right_and_leaves_out_empty_columns() -> None:
    assert text_table(FAULTS) == [
        "fault    at s  seen",
        "-----  ------  ------------------------",
        "f1      1.300  n1 runs as incarnation 2",
        "f10    12.000  a | b",
        "a legend",
    ]


def test_a_narrow_terminal_wraps_the_columns_that_may() -> None:
    assert text_table(FAULTS, width=29) == [
        "fault    at s  seen",
        "-----  ------  -------------",
        "f1      1.300  n1 runs as",
        "               incarnation 2",
        "f10    12.000  a | b",
        "a legend",
    ]


def test_a_column_that_is_kept_is_shown_even_if_it_is_empty() -> None:
    table = Table("", [Column("fault"), Column("effect", keep=True)], [["f1", ""]])
    assert text_table(table)[0] == "fault  effect"


def test_long_tables_say_how_much_they_leave_out() -> None:
    table = Table("", [Column("term")], [[str(n)] for n in range(LONGEST + 3)])
    shown = text_table(table)
    assert len(shown) == 2 + LONGEST + 1
    assert shown[-1] == "... and 3 more rows; the JSON report has all of them"
    whole = Table("", table.columns, table.rows, longest=len(table.rows))
    assert len(text_table(whole)) == 2 + LONGEST + 3


def test_markdown_escapes_pipes_and_markup() -> None:
    table = Table("", [Column("name"), Column("count", "right")], [["a|b `c` <d> *e* log_matching _f_", "-1"]])
    head, rule, row = markdown_table(table)
    assert head.split("|")[1].strip() == "name"
    assert rule.startswith("|:--") and rule.endswith("--:|")
    assert row.startswith(r"| a\|b \`c\` \<d\> \*e\* log_matching \_f\_ ")


def test_a_line_end_in_a_cell_breaks_no_row() -> None:
    table = Table("", [Column("name"), Column("log")], [["n1", "one\r\ntwo\x1b[31m"]])
    assert text_table(table)[2] == r"n1    one two\x1b[31m"
    assert markdown_table(table)[2].count("one two") == 1
