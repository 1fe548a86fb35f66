"""What the check of a target prints."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from raft_chaos.reports.commands.targets import checked_line, finding_lines


@dataclass
class Row:
    what: str
    outcome: str
    seen: str = ""
    advice: str = ""
    answer: str = ""


WRONG = Row("put, then get", "wrong", "it read None", "look at `value`", 'n1: status 200, {"a": 1}\nn2: no answer')


def test_a_wrong_finding_has_the_answer_that_it_was_seen_in_and_what_to_do() -> None:
    assert list(finding_lines(WRONG, 80)) == [
        "WRONG   put, then get: it read None",
        '        answer: n1: status 200, {"a": 1}',
        "                n2: no answer",
        "        do: look at `value`",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    long = Row("cut", "wrong", "nothing " * 40, "look " * 40, "status 200, " + "body " * 40)
    lines = list(finding_lines(long, width))
    assert max(map(len, lines)) <= width
    assert sum(line.count("body") for line in lines) == 40


def test_the_last_line_counts_what_is_wrong_and_what_was_left_out_for_that() -> None:
    right, left_out = Row("start", "ok"), Row("kill", "skipped")
    assert checked_line([right], "run it") == "nothing is wrong; run it: run it"
    assert checked_line([right, WRONG, left_out], "") == ("1 of 2 checks is wrong; left out, since they rest on it: 1")
