"""A table as text and as Markdown: alignment, wrapping, escapes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

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
    long = "n1 runs as incarnation 2, and n2 as incarnation 3"
    table = Table("", FAULTS.columns, [["f1", "1.300", "", long]], "a legend")
    assert text_table(table, width=40) == [
        "fault   at s  seen",
        "-----  -----  -------------------------",
        "f1     1.300  n1 runs as incarnation 2,",
        "              and n2 as incarnation 3",
        "a legend",
    ]


NODES = Table(
    "Nodes",
    [Column("node"), *(Column(f"{what} most of all", "right") for what in ("CPU", "memory", "files"))],
    [["n1", "4.5", "26.4", "54"], ["n2", "10.0", "25.2", "4"]],
)


def test_headers_break_between_words_before_anything_else_does() -> None:
    assert text_table(NODES, width=40) == [
        "node  CPU most   memory  files most",
        "        of all  most of      of all",
        "                    all",
        "----  --------  -------  ----------",
        "n1         4.5     26.4          54",
        "n2        10.0     25.2           4",
    ]


VERDICTS = Table(
    "Invariants",
    [Column("invariant"), Column("verdict"), Column("judged", "right"), Column("finding", wraps=True)],
    [["leader_completeness", "VIOLATED", "14", "n1 lacks what was committed"], ["log_matching", "valid", "2210", ""]],
)


def test_a_text_that_few_rows_have_stands_below_its_row_where_it_has_no_column() -> None:
    assert text_table(VERDICTS, width=42) == [
        "invariant            verdict   judged",
        "-------------------  --------  ------",
        "leader_completeness  VIOLATED      14",
        "  finding: n1 lacks what was committed",
        "log_matching         valid       2210",
    ]


def test_a_table_that_fits_no_terminal_becomes_blocks_in_which_no_number_is_broken() -> None:
    names = ("opened at s", "closed at s", "pieces", "packets", "messages")
    columns = [Column("link"), *(Column(name, "right") for name in names), Column("observed", wraps=True)]
    rows = [["n1 > n2", "12345.678", "12346.789", "1234567", "1234567", "1234567", "nothing " * 8]]
    assert text_table(Table("Links", columns, rows), width=40) == [
        "link n1 > n2",
        "  opened at s: 12345.678,",
        "  closed at s: 12346.789,",
        "  pieces: 1234567, packets: 1234567,",
        "  messages: 1234567",
        "  observed: nothing nothing nothing",
        "    nothing nothing nothing nothing",
        "    nothing",
    ]


CELLS = st.text("ab c", max_size=30)
COLUMNS = st.builds(
    Column, st.sampled_from(["at s", "finding", "CPU mean %"]), st.sampled_from(["left", "right"]), st.booleans()
)


@settings(deadline=None)
@given(
    st.lists(COLUMNS, min_size=1, max_size=8).flatmap(
        lambda columns: st.tuples(
            st.just(columns), st.lists(st.lists(CELLS, min_size=len(columns), max_size=len(columns)), max_size=5)
        )
    ),
    st.integers(40, 200),
)
def test_no_table_is_wider_than_the_terminal_and_no_cell_is_lost(
    drawn: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = drawn
    lines = text_table(Table("", columns, rows), width)
    assert max(map(len, lines), default=0) <= width
    letters = "".join(letter for row in rows for cell in row for letter in cell if letter != " ")
    assert Counter("".join(lines)) >= Counter(letters)


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
