"""Reading who became leader in the nodes' logs: whole lines only, and no expression that stalls the harness."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_chaos.chaos.run.live.log_reader import LINE_MOST, READ_BYTES, Claim, LogReader
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.template import TemplateError

LINE = LogLine(pattern=r"became leader at term (?P<term>\d+)")


class Scene:
    """One node with a log, and what was read of it."""

    def __init__(self, folder: Path, *lines: LogLine, named: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.file = lines[0].path(folder)
        self.claims: list[Claim] = []
        self.lost: list[str] = []
        self.reader = LogReader(
            lines=lines,
            folders={"n1": folder},
            named=[named or {}] * len(lines),
            claimed=self.claims.append,
            lost=self.lost.append,
        )
        self.reader.follow("n1", 1)

    def append(self, text: str | bytes) -> Scene:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return self

    def read(self) -> list[tuple[str, int, int]]:
        """(leader, term, number of the line) of all claims so far."""
        self.reader.finish()
        return [(claim.leader, claim.term, claim.at) for claim in self.claims]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(tmp_path / "n1", LINE)
    yield one
    one.reader.close()


def test_a_line_is_read_with_its_place(scene: Scene) -> None:
    assert scene.read() == [], "there is no file yet"
    scene.append("starting\nn1 became leader at term 3\r\n")
    assert scene.read() == [("n1", 3, 2)]
    assert scene.claims == [Claim("n1", 1, "n1", 3, "n1 became leader at term 3", "stderr", 2)]
    assert scene.read() == [("n1", 3, 2)], "only once"


def test_a_line_without_its_end_says_nothing_yet(scene: Scene) -> None:
    scene.append("became leader at term 1")
    assert scene.read() == []
    scene.append("2\n")
    assert scene.read() == [("n1", 12, 1)]


def test_half_a_line_of_a_killed_node_does_not_become_one_with_the_next_ones(scene: Scene) -> None:
    scene.append("became leader at term 1").read()
    scene.reader.follow("n1", 2)
    scene.append("2026-11-28 starting\nbecame leader at term 4\n")
    assert [term for _, term, _ in scene.read()] == [4]
    assert scene.claims[0].inc == 2


def test_what_a_node_wrote_before_it_was_killed_is_of_that_incarnation(scene: Scene) -> None:
    scene.append("became leader at term 4\n")
    scene.reader.follow("n1", 2)
    assert [(claim.inc, claim.term) for claim in scene.claims] == [(1, 4)]


@pytest.mark.parametrize("more", [-30, 0, READ_BYTES, 3 * READ_BYTES])
def test_a_line_that_is_too_long_is_passed_over_whole(scene: Scene, more: int) -> None:
    ends = "became leader at term 5"
    scene.append("x" * (LINE_MOST - len(ends) + 1 + more) + ends + "\nbecame leader at term 6\n")
    assert [term for _, term, _ in scene.read()] == ([5, 6] if more < 0 else [6])


@pytest.mark.parametrize("term", ["99999999999999999999", "9007199254740992", "٣"])
def test_a_number_that_is_no_term_says_nothing(scene: Scene, term: str) -> None:
    assert scene.append(f"became leader at term {term}\n").read() == []


def test_bytes_that_are_no_text_are_harmless(scene: Scene) -> None:
    scene.append(b"\xff\xfe\x00became leader at term 7\xff\n\x00\n")
    assert [term for _, term, _ in scene.read()] == [7]


def test_a_log_that_is_rotated_or_written_anew_is_read_on(scene: Scene) -> None:
    scene.append("became leader at term 1\n").read()
    scene.append("became leader at term 2\n")
    scene.file.rename(scene.file.with_suffix(".1"))
    scene.append("became leader at term 3\n")
    assert scene.read() == [("n1", 1, 1), ("n1", 2, 2), ("n1", 3, 1)]
    scene.file.write_text("became leader at term 4, and more than was here before\n")
    assert scene.read()[3:] == [("n1", 4, 1)]


def test_a_pipe_in_the_place_of_a_log_holds_nobody_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n1", LogLine(pattern=LINE.pattern, file="{data}/log"))
    scene.file.parent.mkdir()
    os.mkfifo(scene.file)
    assert scene.read() == []
    scene.reader.close()


def test_a_flood_is_read_in_turns(scene: Scene) -> None:
    scene.append("became leader at term 1\n" + "nothing\n" * 60_000 + "became leader at term 2\n")
    scene.reader.read()
    assert [claim.term for claim in scene.claims] == [1], "the harness has other work to do"
    assert [term for _, term, _ in scene.read()] == [1, 2]
    assert scene.lost == []


@pytest.mark.parametrize("pattern", [r"(a+)+b(?P<term>\d)", r"(?P<term>\d)?(a|aa)*c", r"(a*)*(?P<term>x)"])
def test_an_expression_that_takes_for_ever_is_given_up(tmp_path: Path, pattern: str) -> None:
    slow = LogLine(pattern=pattern)
    slow.check(())
    scene = Scene(tmp_path / "n1", slow, LINE)
    scene.append("a" * 2000 + "!\n" + "a" * 2000 + "!\nbecame leader at term 1\n")
    assert [term for _, term, _ in scene.read()] == [1], "others go on"
    (why,) = scene.lost
    assert "and was given up" in why and pattern in why.replace("\\\\", "\\")
    scene.reader.close()


def test_a_group_may_name_the_leader_by_what_the_log_calls_it(tmp_path: Path) -> None:
    line = LogLine(pattern=r"(?P<leader>\S+) leads in (?P<term>\d+)", named="{host}:{port.peer}")
    line.check(("peer",))
    named = line.nodes_by_name(["n1", "n2"], {"n1": {"peer": 71}, "n2": {"peer": 72}}, {"n2": "10.0.0.2"})
    assert named == {"127.0.0.1:71": "n1", "10.0.0.2:72": "n2"}
    scene = Scene(tmp_path / "n1", line, named=named)
    scene.append("10.0.0.2:72 leads in 3\nsomebody leads in 4\n127.0.0.1:71 leads in 5\n")
    assert scene.read() == [("n2", 3, 1), ("n1", 5, 3)]
    scene.reader.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (LogLine(pattern="leader"), "expected a group for the term"),
        (LogLine(pattern="(?P<term>[0-9"), "pattern: unterminated character set"),
        (LogLine(pattern=r"(?P<term>\d+)(?P<laeder>\w)"), "did you mean 'leader'"),
        (LogLine(pattern=r"(?P<term>\d+)(?P<leader>a)(?P<node>b)"), "mean the same"),
        (LogLine(pattern=r"(?P<term>\d+)", file="../other/stderr.log"), "file: expected"),
        (LogLine(pattern=r"(?P<term>\d+)", file="/etc/passwd"), "file: expected"),
        (LogLine(pattern=r"(?P<term>\d+)", file="{data}"), "file: expected"),
        (LogLine(pattern=r"(?P<term>\d+)", named="{port.web}"), "there are node, number, host, port.client"),
    ],
)
def test_a_wrong_description_of_lines_is_refused(line: LogLine, said: str) -> None:
    with pytest.raises(TemplateError) as refused:
        line.check(("client",))
    assert said in str(refused.value)
