"""The transcript interpreter: the effect of each command, and errors with their place for impossible ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raft_chaos.chaos.execution import format
from raft_chaos.chaos.execution.steps import ExecutionError
from raft_chaos.chaos.testing.transcript import script
from raft_chaos.chaos.testing.transcript.cluster import HandDrivenCluster
from raft_chaos.chaos.testing.transcript.commands import CommandError, Commands
from raft_chaos.chaos.testing.transcript.script import check, replay
from raft_chaos.invariants.verdict import EXIT_USAGE, EXIT_VALID, EXIT_VIOLATED
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

ELECTED = ["cluster n1 n2 n3", "quietly stand n1", "quietly stabilize"]


def play(*lines: str) -> list[str]:
    """The output of the last command."""
    commands = Commands()
    said: list[str] = []
    for line in lines:
        said = commands.do(line)
    return said


def roles(status: list[str]) -> list[str]:
    return [line.split()[1] for line in status]


# ---- the commands --------------------------------------------------------------------------------------------------


def test_nothing_happens_by_itself() -> None:
    assert play("cluster n1 n2 n3", "stand n1") == ["n1 ticks", "  writes: term 1, vote n1"]
    assert play("cluster n1 n2 n3", "stand n1", "network") == ["nothing in flight"]
    frames = play("cluster n1 n2 n3", "stand n1", "persist n1", "network")
    assert frames == [f"n1>{to} RequestVote term 1, last none" for to in ("n2", "n3")]
    assert roles(play("cluster n1 n2 n3", "stand n1", "persist n1", "status")) == [
        "candidate",
        "follower",
        "follower",
    ]


def test_stabilize_continues_until_the_named_nodes_have_nothing_left_to_do() -> None:
    begin = ["cluster n1 n2 n3", "stand n1"]
    assert roles(play(*begin, "stabilize", "status")) == ["leader", "follower", "follower"]
    assert play(*begin, "stabilize", "network") == ["nothing in flight"]
    left = play(*begin, "stabilize n1 n2", "network")
    assert left and all(line.startswith("n1>n3 ") for line in left)
    assert play(*begin, "quietly stabilize") == []


def test_a_command_takes_the_oldest_frame_of_a_link_or_several_or_all() -> None:
    begin = [*ELECTED, "propose n1 x=1 x=2 x=3"]
    got = "n2 receives from n1: AppendEntries term 1, entry"
    first = [line for line in play(*begin, "deliver n1>n2") if line.startswith("n2 rec")]
    assert first == [f"{got} 2 (term 1) after 1 (term 1), commit 1"]
    assert sum(line.startswith("n2 rec") for line in play(*begin, "deliver n1>n2 2")) == 2
    assert sum(line.startswith("n2 rec") for line in play(*begin, "deliver n1>n2 all")) == 3
    assert sum(" receives " in line for line in play(*begin, "deliver n1>n2 n1>n3 all")) == 6
    assert sum(" receives " in line for line in play(*begin, "deliver")) == 6


def test_frames_are_dropped_duplicated_and_delayed() -> None:
    begin = [*ELECTED, "propose n1 x=1 x=2", "quietly drop n1>n3 all"]
    assert len(play(*begin, "network")) == 2
    assert play(*begin, "drop n1>n2", "network") == play(*begin, "network")[1:]
    assert play(*begin, "drop", "network") == ["nothing in flight"]
    first, second = play(*begin, "network")
    assert play(*begin, "duplicate n1>n2", "network") == [first, second, first]
    assert play(*begin, "duplicate n1>n2", "deliver n1>n2", "network") == [second, first]
    assert play(*begin, "delay n1>n2", "network") == [second, first]


def test_a_cut_loses_frames_in_flight_and_later_ones_until_it_is_healed() -> None:
    begin = [*ELECTED, "propose n1 x=1"]
    assert play(*begin, "cut n3") == ["n1>n3 AppendEntries term 1, entry 2 (term 1) after 1 (term 1), commit 1 is lost"]
    assert play(*begin, "cut n1>n3", "tick n1")[-1].endswith(", lost")
    assert len(play(*ELECTED, "cut n1", "tick n1", "network")) == 1
    assert play(*ELECTED, "cut n1", "tick n1", "network") == ["nothing in flight"]
    assert len(play(*ELECTED, "cut n1>n2", "tick n1", "network")) == 1
    assert len(play(*ELECTED, "cut n1", "heal", "tick n1", "network")) == 2


@pytest.mark.parametrize(
    ("keep", "recovered"), [("", "log up to 1"), (" keep=999", "log up to 1"), (" keep=1000", "log up to 2")]
)
def test_a_crash_keeps_the_given_part_of_the_write_under_way(keep: str, recovered: str) -> None:
    begin = [*ELECTED, "propose n1 x=1", "deliver n1>n2", f"crash n2{keep}"]
    assert play(*begin, "status n2") == ["n2 is down"]
    assert play(*begin, "restart n2")[1].endswith(recovered)


def test_frames_to_a_node_that_is_down_are_lost() -> None:
    begin = [*ELECTED, "crash n2", "tick n1"]
    assert play(*begin, "deliver n1>n2")[0].endswith("; is down")
    assert play(*begin, "deliver n1>n2", "drop n1>n3", "network") == ["nothing in flight"]


def test_time_advances_only_by_command() -> None:
    assert play(*ELECTED, "advance 49ms") == []
    beats = play(*ELECTED, "advance 50ms", "network")
    assert sum(line.startswith("n1>n2 AppendEntries") for line in beats) == 1
    # Nobody hears the heartbeats of a leader that nothing is delivered from.
    assert any("RequestVote" in line for line in play(*ELECTED, "advance 500ms", "stabilize n2", "network"))
    assert play(*ELECTED, "run 10s latency=1ms")[-1] == "200 timers fired, 796 frames were delivered, 0 were lost"
    assert play(*ELECTED, "crash n3", "run 1s latency=1ms")[-1].endswith("38 frames were delivered, 19 were lost")


def test_tick_all_takes_the_nodes_in_the_order_of_their_deadlines() -> None:
    times = [line.split()[2] for line in play("cluster n1 n2 n3", "advance 300ms") if line.endswith("ticks")]
    ticks = [line.split()[0] for line in play("cluster n1 n2 n3", "tick all") if line.endswith("ticks")]
    assert ticks == times[:3] and sorted(ticks) == ["n1", "n2", "n3"]


def test_a_follower_says_whom_to_ask() -> None:
    assert play(*ELECTED, "propose n2 x=1") == ["n2 is asked for x=1", "  refuses, leader n1"]


def test_logs_are_as_given_and_a_second_cluster_command_starts_again() -> None:
    begin = "cluster n1 n2 log n1=1,1,3 n2=1 term=4"
    assert play(begin, "log n1 n2") == ["n1  1 1 3, committed 0, applied 0", "n2  1, committed 0, applied 0"]
    assert play(begin, "status n2") == ["n2 follower  term 4, no vote, commit 0, applied 0, last 1"]
    assert play(*ELECTED, "cluster n1", "status") == ["n1 follower  term 0, no vote, commit 0, applied 0, last 0"]


def test_the_judge_says_what_holds_and_what_does_not() -> None:
    assert play(*ELECTED, "judge")[0] == "all hold"
    lost = ["cut n3", "propose n1 x=1", "stabilize", "crash n1", "heal", "stand n3", "stabilize", "judge"]
    assert play(*ELECTED, *lost)[0] == "all hold"
    said = play("cluster n1 n2 n3 mutant=no_up_to_date_check", *ELECTED[1:], *lost)
    assert said[0].startswith("leader_completeness is violated: n3 ")


def test_a_node_that_dies_of_its_own_error_is_reported_and_judged() -> None:
    class Broken(Core):
        def _become_leader(self) -> None:
            raise ZeroDivisionError("a mistake")

    cluster = HandDrivenCluster(["n1", "n2"], parts=Parts(core=Broken), timing=Timing(), logs={}, term=0)
    cluster.tick("n1")
    last = cluster.stabilize(["n1", "n2"])[-1]
    (said,) = format.step(last)
    assert said.startswith(
        "n1 receives from n2: RequestVoteReply term 1, granted; "
        "ends by itself with exit code 70: ZeroDivisionError: a mistake ("
    )
    assert [name for name in cluster.names if cluster.running(name)] == ["n2"]
    with pytest.raises(ExecutionError, match="n1 is exited, and cannot start"):
        cluster.restart("n1")
    violated = [verdict.invariant for verdict in cluster.player.judge.verdicts() if verdict.outcome == "violated"]
    assert violated == ["unexpected_exit"]


# ---- what cannot be done -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("vote n1", "no command 'vote'; there are cluster, stand"),
        ("stand n4", "no node 'n4'; there are n1, n2, n3"),
        ("stand", "expected: stand NODE"),
        ("stand n1", "n1 leads already"),
        ("tick n1 n2", "expected: tick NODE|all"),
        ("persist n1", "n1 has no write under way"),
        ("restart n1", "n1 is up"),
        ("propose n1 x", "expected: propose NODE KEY=VALUE"),
        ("deliver n1", "expected: deliver"),
        ("deliver n1>n4", "no link 'n1>n4'; write n1>n2"),
        ("deliver n1>n1", "no link 'n1>n1'"),
        ("deliver n1>n2", "n1>n2: 0 frames in flight there"),
        ("deliver n1>n2 0", "'0': expected a number of at least 1"),
        ("cut", "expected: cut NODE"),
        ("cut n1 n2 n3", "expected: cut NODE"),
        ("crash n1 keep=1001", "'1001': expected a number of at least 0, at most 1000"),
        ("advance 5", "'5': expected a duration such as 50ms"),
        ("run 5s", "expected: run DURATION latency=DURATION"),
        ("run 5000s latency=1ms", "more than 10000 steps"),
        ("log", "expected: log NODE"),
        ("quietly", "expected: quietly COMMAND"),
        ("cluster", "expected: cluster NODE"),
        ("cluster n1 n1", "every node needs a different name"),
        ("cluster n1 n4=1", "'n4' is no node of this cluster"),
        ("cluster n1 n1=2,1", "terms never decrease along a log"),
        ("cluster n1 n1=a", "'a': expected a number of at least 1"),
        ("cluster n1 mutant=none", "no mutant 'none'"),
        ("cluster n1 batch=0", "'0': expected a number of at least 1"),
    ],
)
def test_errors_say_what_to_write_instead(line: str, says: str) -> None:
    with pytest.raises(CommandError) as error:
        play(*ELECTED, line)
    assert says in str(error.value)


@pytest.mark.parametrize("line", ["tick n1", "propose n1 x=1", "log n1", "crash n1", "persist n1"])
def test_a_node_that_is_down_can_do_nothing(line: str) -> None:
    with pytest.raises(CommandError, match="n1 is down"):
        play(*ELECTED, "crash n1", line)


def test_the_first_command_makes_the_cluster() -> None:
    with pytest.raises(CommandError, match="no cluster yet; begin with: expected: cluster NODE"):
        play("stand n1")


# ---- files ---------------------------------------------------------------------------------------------------------

TEXT = """# A lesson.
cluster n1
  log n1=1
# And on.
log n1
----
n1  1, committed 0, applied 0

# The end.
"""


def test_a_replay_changes_only_the_output() -> None:
    assert replay(TEXT) == (TEXT, [])
    assert replay(TEXT.replace("committed 0", "committed 7\nand more")).text == TEXT
    assert replay(TEXT.replace("----\nn1  1, committed 0, applied 0\n", "----\n")).text == TEXT


def test_a_mistake_is_a_line_of_the_output_with_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(TEXT.replace("log n1\n", "log n2\n"), encoding="utf-8")
    before = path.read_bytes()
    wrong = check(path, rewrite=True)
    assert wrong[0] == f"{path}:5: no node 'n2'; there are n1"
    assert "+error: no node 'n2'; there are n1" in wrong
    assert path.read_bytes() == before, "a file with mistakes is not rewritten"


def test_commands_without_a_separator_are_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "open.txt"
    for text in ("cluster n1\n", "cluster n1\n\nlog n1\n----\n"):
        path.write_text(text, encoding="utf-8")
        assert check(path)[0] == f"{path}:1: expected ---- after this command; it was not run"


def test_the_command_line_shows_a_diff_and_rewrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lesson.txt"
    path.write_text(TEXT.replace("committed 0", "committed 7"), encoding="utf-8")
    assert script.main([str(path)]) == EXIT_VIOLATED
    shown = capsys.readouterr().out
    assert "\n-n1  1, committed 7, applied 0\n+n1  1, committed 0, applied 0\n" in shown
    assert script.main([str(path), "--rewrite"]) == EXIT_VALID
    assert path.read_text(encoding="utf-8") == TEXT
    assert script.main([str(path)]) == EXIT_VALID
    assert capsys.readouterr().out == ""


def test_unusable_files_and_options_are_named_in_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([str(tmp_path / "none.txt")]) == EXIT_USAGE
    assert "none.txt: cannot be used as a transcript" in capsys.readouterr().err
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe")
    assert script.main([str(binary)]) == EXIT_USAGE
    with pytest.raises(SystemExit) as exit_info:
        script.main(["--unknown"])
    assert exit_info.value.code == EXIT_USAGE


def test_a_transcript_has_the_same_output_under_every_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "lesson.txt"
    commands = ["cluster n3 n1 n2", "stand n1", "stabilize", "cut n1", "run 1s latency=3ms", "status", "judge"]
    path.write_text(replay("\n".join([*commands, "----", ""])).text, encoding="utf-8")
    assert len(path.read_text(encoding="utf-8").splitlines()) > 40
    done = subprocess.run(
        [sys.executable, "-m", "raft_chaos.chaos.testing.transcript.script", str(path)],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_VALID, "", "")
