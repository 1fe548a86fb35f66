"""Playing executions: a recorded execution gives the run again, and each step is done or reported as impossible.

Only times differ from the run: nodes' events have the times of the nodes' own clocks, which show the run's time unless
a fault changes them, and a kill is timed `STEP_US` after the step before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from builders.executions import ELECTION, GET, PUT, WRITE, Lines, execution, play, player, recorded
from builders.schedules import NODES, TIMING, fault, short
from builders.storms import stormy, without_clocks
from raft_chaos.chaos.execution.player import STEP_US, Mode, Player
from raft_chaos.chaos.execution.recording import record
from raft_chaos.chaos.execution.steps import (
    OUTSIDE,
    Crash,
    Deliver,
    Execution,
    ExecutionError,
    Input,
    Invoke,
    Note,
    NotPlayableError,
    Persist,
    Return,
    Start,
    Step,
    Submit,
    Timeout,
    check,
    keep,
    without_times,
)
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run.lockstep.driver import LockstepDriver
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.events import HARNESS, PhaseStarted
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.log_file import FILE

SEEDS = (8, 20, 22)
COMMITTED = execution((*ELECTION, *WRITE))


BY_TIME = {checker.invariant for checker in Judge(pace=None).checkers if checker.goes_by_time}


def outcomes(verdicts: Sequence[Verdict]) -> list[tuple[str, str, int]]:
    """All but those that go by time: an execution has none that matters."""
    return [(one.invariant, one.outcome, one.judged) for one in verdicts if one.invariant not in BY_TIME]


# ---- a run, and its execution ------------------------------------------------------------------------------------


def run_and_play(plan: Schedule, mutant: str | None) -> tuple[Lines, Lines]:
    """The lines of the run and of the play; compares everything else that must be equal."""
    simulated, its_execution = record(plan, TIMING, parts_of(mutant))
    check(its_execution)
    ran, played = Lines(), Lines()
    disks, its_disks = MemoryDriver(parts_of(mutant)), MemoryDriver(parts_of(mutant))
    run = VirtualRun(plan, timing=TIMING, driver=disks, recorder=ran)
    assert run.go().trace_sha256 == simulated.trace_sha256, "a run is the same recorded or not"
    one = Player(its_execution, its_disks, recorder=played)
    came_to = one.play()
    assert came_to.done == list(range(len(its_execution.steps)))
    assert outcomes(came_to.verdicts) == outcomes(simulated.analysis.invariants)
    cluster = run.cluster
    assert [(one.nodes[n].state, one.nodes[n].incarnation) for n in NODES] == [
        (cluster.state(n), cluster.incarnation(n)) for n in NODES
    ]
    assert [_content(its_disks._disks[n]) for n in NODES] == [_content(disks._disks[n]) for n in NODES]
    return ran, played


def _content(disk: MemoryDisk) -> dict[str, bytes]:
    return {name: bytes(content) for name, content in disk.files.items()}


@pytest.mark.parametrize("mutant", [None, "truncate_on_stale_append"])
@pytest.mark.parametrize("seed", SEEDS)
def test_playing_the_execution_of_a_run_gives_the_same_events_except_for_times(seed: int, mutant: str | None) -> None:
    ran, played = run_and_play(stormy(seed), mutant)
    assert played.timeless() == ran.timeless()


def test_a_command_whose_session_had_expired_fails_as_it_did_in_the_run() -> None:
    """It was submitted, and is certain to have had no effect all the same."""
    plan = stormy(8)
    plan = replace(plan, header=replace(plan.header, features=Features(max_sessions=1)))
    ran, played = run_and_play(plan, None)
    assert any("session expired" in str(line) for line in played.all)
    assert played.timeless() == ran.timeless()


@pytest.mark.parametrize("seed", SEEDS)
def test_if_all_clocks_are_right_only_kills_have_other_times(seed: int) -> None:
    ran, played = run_and_play(without_clocks(stormy(seed)), None)
    assert len(ran.of("node_killed")) > 3
    assert [line for line in played.all if line[1].get("kind") != "node_killed"] == [
        line for line in ran.all if line[1].get("kind") != "node_killed"
    ]


def cut_off() -> Schedule:
    """A node is paused; then no node hears another; then no node runs; each for longer than clients wait."""
    grudge = {node: [other for other in NODES if other != node] for node in NODES}
    return short(
        fault("f1", 400_000, Pause(["n2"]), 300_000),
        fault("f2", 500_000, Partition("halves", grudge), 2_100_000),
        fault("f3", 2_700_000, Kill(NODES, [4_500_000] * 3), 4_500_000),
        safety_us=(320_000, 7_500_000),
        every_us=100_000,
    )


def test_operations_without_an_answer_end_as_in_the_run() -> None:
    ran, played = run_and_play(cut_off(), None)
    assert played.timeless() == ran.timeless()
    assert {said for _, said, _ in history(played)} == {"invoke", "ok", "info", "fail"}
    assert len(played.of("node_paused")) == 1


def test_the_recorded_runs_cover_crashes_failpoints_and_clocks() -> None:
    steps = [step for seed in SEEDS for step in recorded(seed).steps]
    deliveries = [(n, s.sent_by, s.node, s.nth) for n in SEEDS for s in recorded(n).steps if isinstance(s, Deliver)]
    assert len(set(deliveries)) < len(deliveries), "messages that arrive twice"
    assert any(isinstance(step, Crash) and step.keep_bytes for step in steps)
    assert len({step.stop for step in steps if isinstance(step, Input)}) > 6, "failpoints"
    assert len([step for step in steps if isinstance(step, Start)]) > 6 * len(NODES)
    assert all(any(isinstance(fault.action, Clock) for fault in stormy(seed).faults) for seed in SEEDS)


def test_an_execution_ends_at_the_requested_violation() -> None:
    whole = recorded(16, "truncate_on_stale_append")
    came_to = player(whole, "truncate_on_stale_append").play("leader_completeness")
    assert came_to.violates("leader_completeness")
    assert came_to.done == list(range(len(came_to.done))) and len(came_to.done) < len(whole.steps)
    assert not play(keep(whole, came_to.done[:-1]), "truncate_on_stale_append").violates("leader_completeness")


# ---- the same each time ------------------------------------------------------------------------------------------

DIGESTS = """
from builders.executions import play, recorded
print(*(play(recorded(seed, "no_client_dedup")).trace_sha256 for seed in (1, 2)))
"""


def test_an_execution_gives_the_same_result_in_another_process() -> None:
    here = [play(recorded(seed, "no_client_dedup")).trace_sha256 for seed in (1, 2)]
    assert [play(recorded(seed, "no_client_dedup")).trace_sha256 for seed in (1, 2)] == here
    there = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here


def test_an_execution_without_times_plays() -> None:
    """Of a seed without transfers: a leader gives one up by the time, and without times that is another moment."""
    whole = recorded(2)
    bare = replace(
        whole, steps=[Note(step.event) if isinstance(step, Note) else without_times(step) for step in whole.steps]
    )
    bare = keep(bare, [number for number, step in enumerate(bare.steps) if not isinstance(step, Note)])
    lines = Lines()
    came_to = player(bare, mode="lenient", sink=lines).play()
    assert len(came_to.done) > 0.9 * len(bare.steps)
    times = [line["t_us"] for stream, line in lines.all if stream == ("harness", 0) or stream == ("history", 0)]
    assert times == sorted(times), "each step a little later than the one before"


def test_a_timeout_without_a_time_comes_when_it_is_due() -> None:
    one = player(execution((Start("n1"), Timeout("n1"), Persist("n1"), Timeout("n1"), Persist("n1"))))
    for number, step in enumerate(one.execution.steps):
        due_us = one.nodes["n1"].deadline_us
        assert one.do(number, step) == ""
        if isinstance(step, Timeout):
            assert one.now_us == due_us >= TIMING.election_timeout_min_us
    assert one.view.nodes["n1"].term == 2


# ---- steps that cannot be done -----------------------------------------------------------------------------------

LEADS = (*ELECTION, Persist("n1"))
ASKED = (*LEADS, Invoke("c0/0"), Submit("n1", "c0/0"))
STOPPED = (*LEADS, Invoke("c0/0"), Submit("n1", "c0/0", stop="before_write"))


@pytest.mark.parametrize(
    ("before", "step", "said"),
    [
        (ELECTION, Start("n1"), "(start): n1 is up, and cannot start"),
        ((), Crash("n1"), "(crash): n1 is not running, and cannot crash"),
        (ELECTION, Deliver(4, "n2", 1), "(deliver): step 4 sent 1 messages to n2, so there is no message 1"),
        (ELECTION, Deliver(0, "n2"), "(deliver): step 0 sent 0 messages to n2, so there is no message 0"),
        (ELECTION, Deliver(6, "n3"), "(deliver): step 6 sent 0 messages to n3, so there is no message 0"),
        ((*ELECTION, Crash("n3")), Deliver(4, "n3"), "(deliver): n3 is not running, and takes no input"),
        ((), Timeout("n1"), "(timeout): n1 is not running, and takes no input"),
        ((*LEADS, Crash("n2")), Timeout("n2"), "(timeout): n2 is not running, and takes no input"),
        ((), Persist("n1"), "(persist): n1 is not running, and takes no input"),
        (ELECTION, Persist("n3"), "(persist): n3 has no write under way"),
        (LEADS, Persist("n1"), "(persist): n1 has no write under way"),
        ((*ELECTION, Crash("n1"), Start("n1")), Persist("n1"), "(persist): n1 has no write under way"),
        ((), Submit("n1", "c0/0"), "(submit): c0/0 was not invoked"),
        ((Invoke("c0/0"),), Submit("n1", "c0/0"), "(submit): n1 is not running, and takes no input"),
        (
            (*LEADS, Invoke("c0/0"), Return("c0/0", type="fail")),
            Submit("n1", "c0/0"),
            "(submit): c0/0 has failed, so it cannot happen any more",
        ),
        ((Invoke("c0/0"),), Invoke("c0/0"), "(invoke): c0/0 was invoked before"),
        ((Invoke("c0/0"), Return("c0/0")), Invoke("c0/0"), "(invoke): c0/0 was invoked before"),
        ((), Return("c0/0"), "(return): c0/0 is not open"),
        ((Invoke("c0/0"), Return("c0/0")), Return("c0/0"), "(return): c0/0 is not open"),
        (ASKED, Return("c0/0", type="fail"), "(return): c0/0 was submitted, so it may have happened"),
        (
            ASKED,
            Return("c0/0", type="fail", error="session expired, says nobody"),
            "(return): c0/0 was submitted, so it may have happened",
        ),
        (ASKED, Return("c0/0", answer=10), "(return): step 10 has no answer"),
        (STOPPED, Persist("n1"), "(persist): n1 stopped at its failpoint, and can only crash"),
        (STOPPED, Timeout("n1"), "(timeout): n1 stopped at its failpoint, and can only crash"),
        (STOPPED, Submit("n1", "c0/0"), "(submit): n1 stopped at its failpoint, and can only crash"),
        (STOPPED, Deliver(6, "n1"), "(deliver): n1 stopped at its failpoint, and can only crash"),
    ],
)
def test_strict_mode_refuses_an_impossible_step_and_lenient_mode_skips_it(
    before: Sequence[Step], step: Step, said: str
) -> None:
    number = len(before)
    whole = execution((*before, step))
    check(whole)
    with pytest.raises(ExecutionError) as error:
        play(whole)
    assert str(error.value) == f"step {number} {said}"
    goes_on = Invoke("c1/0")
    came_to = play(execution((*before, step, goes_on)), mode="lenient")
    assert came_to.done == [*range(number), number + 1]
    assert came_to.trace_sha256 == play(execution((*before, goes_on))).trace_sha256, "it took no time, either"


def test_a_node_that_stopped_can_start_again() -> None:
    came_to = play(execution((*STOPPED, Crash("n1"), Start("n1"), Timeout("n1"), Persist("n1"))))
    assert len(came_to.done) == len(STOPPED) + 4


WHOLE = recorded(2)


MODES: tuple[Mode, ...] = ("lenient", "helpful")


@pytest.mark.parametrize("seed", range(18))
def test_the_steps_that_were_done_can_be_played_in_strict_mode(seed: int) -> None:
    random, share, mode = Random(seed), (0.02, 0.3, 0.8)[seed % 3], MODES[seed % 2]
    kept = [number for number in range(300) if random.random() > share]
    part = keep(WHOLE, kept, redirect=mode == "helpful")
    if random.random() < 0.5:
        part = replace(part, steps=[without_times(step) for step in part.steps])
    check(part)
    came_to = play(part, mode=mode)
    done = [came_to.substituted.get(number, step) for number, step in enumerate(part.steps)]
    again = play(keep(replace(part, steps=done), came_to.done))
    assert again.trace_sha256 == came_to.trace_sha256
    assert outcomes(again.verdicts) == outcomes(came_to.verdicts)
    assert not any(verdict.outcome == "violated" for verdict in again.verdicts), (
        "over the unmodified core nothing breaks"
    )


# ---- helpful -----------------------------------------------------------------------------------------------------


def test_helpful_mode_takes_the_nearest_message_in_flight() -> None:
    beats = (*LEADS, Timeout("n1"), Timeout("n1"), Timeout("n1"))  # 9, 10 and 11 each send a heartbeat
    one = execution((*beats, Deliver(8, "n2")))
    with pytest.raises(ExecutionError, match="step 12"):
        play(one)
    assert play(one, mode="helpful").substituted == {12: Deliver(7, "n2")}, "7 and 9 are as near: the earlier"
    one = execution((*beats, Deliver(7, "n2"), Deliver(8, "n2"), Deliver(8, "n2"), Deliver(8, "n2")))
    came_to = play(one, mode="helpful")
    assert came_to.substituted == {13: Deliver(9, "n2"), 14: Deliver(10, "n2"), 15: Deliver(11, "n2")}
    one = execution((*beats, Deliver(8, "n2", stop="before_send")))
    assert play(one, mode="helpful").substituted[12] == Deliver(7, "n2", stop="before_send")


def test_helpful_mode_does_not_take_a_message_of_another_sender() -> None:
    one = execution((*ELECTION, Deliver(0, "n2"), Deliver(1, "n3")))
    came_to = play(one, mode="helpful")
    assert came_to.substituted == {8: Deliver(7, "n2")}, "n1 sent that, and n2 sent nothing to n3"
    assert came_to.done == list(range(9))


def test_a_message_that_could_not_be_delivered_stays_in_flight() -> None:
    """It cannot be delivered only as long as its receiver is down."""
    one = execution((*ELECTION, Persist("n1"), Crash("n2"), Deliver(7, "n2"), Start("n2"), Deliver(8, "n2")))
    came_to = play(one, mode="helpful")
    assert came_to.substituted == {12: Deliver(7, "n2")}


# ---- ends of nodes -----------------------------------------------------------------------------------------------


def exits(lines: Lines) -> list[tuple[str, int, int, str]]:
    return [(e["subject"], e["subject_inc"], e["exit_code"], e["log_tail"]) for e in lines.of("node_exited")]


def test_a_node_that_dies_of_an_error_is_reported_and_stays_down(monkeypatch: pytest.MonkeyPatch) -> None:
    one = player(execution((*ASKED, Persist("n1"), Deliver(10, "n2"), Start("n1"))), mode="lenient", sink=Lines())
    for number, step in enumerate(one.execution.steps[:11]):
        assert one.do(number, step) == ""
    driven = one.nodes["n1"].driven
    assert driven is not None
    monkeypatch.setattr(driven.wal, "sync", lambda: 1 // 0)  # type: ignore[attr-defined]
    assert one.do(11, one.execution.steps[11]) == "", "the death of the node is the result of the step"
    assert one.nodes["n1"].state == "exited"
    assert "unexpected_exit" in [violation.invariant for violation in one.judge.new_violations()]
    assert one.do(13, one.execution.steps[13]) == "n1 is exited, and cannot start"
    assert one.do(12, one.execution.steps[12]).startswith("step 10 sent 0 messages to n2")


class _Damaged:
    """A driver on whose disks n1 is refused from its second start on."""

    def __init__(self) -> None:
        self._driver = MemoryDriver(parts_of(None))

    def start(self, config: Any, now_us: int) -> Any:
        if config.incarnation > 1:
            self._driver._disks["n1"].files[FILE][12] ^= 1
        return self._driver.start(config, now_us)


def test_a_node_that_dies_at_its_start_is_reported() -> None:
    steps = (*LEADS, Crash("n1"), Start("n1"), Timeout("n1"))
    lines = Lines()
    came_to = Player(execution(steps), _Damaged(), mode="lenient", recorder=lines).play()
    assert came_to.done == list(range(len(LEADS) + 2))
    ((node, incarnation, _, said),) = exits(lines)
    assert (node, incarnation) == ("n1", 2) and said.startswith("CorruptLogError")
    assert came_to.violates("unexpected_exit")


@pytest.mark.parametrize("kept", [0, 5, 10_000])
def test_a_crash_keeps_at_most_the_unsynced_bytes(kept: int) -> None:
    one = player(execution((Start("n1"), Timeout("n1"), Crash("n1", kept))))
    one.play()
    content = FaultDisk(one._driver._disks["n1"]).read(FILE)  # type: ignore[attr-defined]
    whole = player(execution((Start("n1"), Timeout("n1"), Persist("n1"))))
    whole.play()
    synced = whole._driver._disks["n1"].files[FILE]  # type: ignore[attr-defined]
    assert len(synced) > len(content) if kept < 100 else content == synced
    assert synced.startswith(content)


# ---- clients -----------------------------------------------------------------------------------------------------


def history(lines: Lines) -> list[tuple[str, str, Any]]:
    return [(line["op"], line["type"], line.get("value")) for stream, line in lines.all if stream == ("history", 0)]


def test_a_command_that_arrives_twice_is_answered_twice_and_returns_once() -> None:
    """The second answer, to a client that asked again, is the first one's (§8), and names the same entry."""
    again = (Submit("n1", "c0/0"), Persist("n1"), Deliver(18, "n2"), Persist("n2"), Deliver(21, "n1"))
    for answer in (13, 18):
        lines = Lines()
        came_to = play(execution((*ELECTION, *WRITE[:-1], *again, Return("c0/0", answer=answer))), sink=lines)
        assert history(lines) == [("c0/0", "invoke", "1"), ("c0/0", "ok", None)]
        assert lines.all[-1][1]["index"] == 2
        assert not any(verdict.outcome == "violated" for verdict in came_to.verdicts)


def test_an_operation_may_fail_without_an_answer_only_if_no_node_took_it() -> None:
    refused = (*ELECTION, Invoke("c0/0"), Submit("n2", "c0/0"), Return("c0/0", type="fail", error="no leader"))
    lines = Lines()
    play(execution(refused), sink=lines)
    assert history(lines)[-1] == ("c0/0", "fail", None)
    assert lines.all[-1][1]["error"] == "no leader"
    for stop in ("before_report", "before_write"):
        taken = (*LEADS, Invoke("c0/0"), Submit("n1", "c0/0", stop=stop), Crash("n1"), Return("c0/0", type="fail"))
        with pytest.raises(ExecutionError, match="it may have happened"):
            play(execution(taken))


def test_an_answer_that_never_came_leaves_the_outcome_open() -> None:
    lines = Lines()
    steps = (*ELECTION, *WRITE[:-1], Return("c0/0", error="no answer in time"))
    assert not play(execution(steps), sink=lines).violates("acknowledged_writes")
    assert history(lines)[-1] == ("c0/0", "info", None)


def test_a_read_returns_what_its_node_answers() -> None:
    read = (
        Invoke("c1/0"),  # 19
        Submit("n1", "c1/0"),  # 20
        Persist("n1"),
        Deliver(20, "n2"),
        Persist("n2"),
        Deliver(23, "n1"),
        Return("c1/0", answer=20),
    )
    lines = Lines()
    came_to = play(execution((*ELECTION, *WRITE, *read)), sink=lines)
    assert history(lines)[-1] == ("c1/0", "ok", "1")
    assert ("acknowledged_writes", "valid", 2) in outcomes(came_to.verdicts)


def test_a_command_cannot_be_submitted_without_its_invocation() -> None:
    """Without its invocation a write could have been read that is in no history: every core would be convicted."""
    unasked = keep(COMMITTED, [number for number in range(len(COMMITTED.steps)) if number not in (12, 18)])
    came_to = play(unasked, mode="lenient")
    assert len(came_to.done) < len(unasked.steps)
    outside = replace(unasked, calls=[replace(PUT, process=OUTSIDE)])
    assert len(play(outside).done) == len(unasked.steps), "somebody beside the run's clients"


# ---- notes and turns ---------------------------------------------------------------------------------------------


def test_a_note_keeps_its_time_and_place() -> None:
    note = Note(PhaseStarted(node=HARNESS, inc=1, t_us=777_777, phase="safety"))
    lines = Lines()
    play(execution((Start("n1"), note, Start("n2"))), sink=lines)
    assert [line["kind"] for _, line in lines.all][2] == "phase_started"
    assert lines.all[-1][1]["t_us"] == 777_777 + STEP_US


def test_a_node_acts_once_on_the_inputs_of_a_turn() -> None:
    third = replace(GET, id="c2/0", client="c2", process=2, session="c2.2")

    def sent(more: bool) -> int:
        lines = Lines()
        asked = (Invoke("c1/0"), Invoke("c2/0"), Submit("n1", "c1/0", more=more), Submit("n1", "c2/0"))
        play(execution((*ELECTION, *WRITE, *asked), [PUT, GET, third]), sink=lines)
        return len(lines.of("message_sent"))

    assert sent(False) == sent(True) + 1, "one message with both entries"


def test_a_node_that_crashes_within_a_turn_has_not_acted() -> None:
    lines = Lines()
    play(execution((*LEADS, Deliver(7, "n2", more=True), Crash("n2"), Start("n2"))), sink=lines)
    assert not [line for line in lines.of("entry_appended") if line["node"] == "n2"]


# ---- real processes ----------------------------------------------------------------------------------------------


def in_lockstep(one: Execution, folder: Path, mutant: str | None) -> str:
    run = RunDir(folder / "run")
    with Supervisor() as supervisor, LockstepDriver(run, mutant, supervisor) as driver:
        return Player(one, driver).play().trace_sha256


@pytest.mark.live
def test_real_processes_make_the_same_trace(tmp_path: Path) -> None:
    """With crashes that keep some bytes, failpoints, restarts, and messages that arrive twice."""
    mutant = "no_client_dedup"
    whole = recorded(1, mutant)
    assert [step for step in whole.steps if isinstance(step, Crash) and step.keep_bytes]
    assert [step for step in whole.steps if getattr(step, "stop", None)]
    assert in_lockstep(whole, tmp_path, mutant) == play(whole, mutant).trace_sha256


@pytest.mark.live
def test_real_processes_cannot_take_several_inputs_at_once(tmp_path: Path) -> None:
    together = execution((*ELECTION, Deliver(4, "n3", more=True)))
    with pytest.raises(NotPlayableError, match="step 8: only `sim` can give a node several inputs at once"):
        in_lockstep(together, tmp_path, None)
