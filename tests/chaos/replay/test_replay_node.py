"""Replaying nodes from their journals: exact replays, and for any change the first difference or an error."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from builders.runs import in_lockstep
from builders.schedules import NODES, TIMING, schedule
from builders.stepped import config, last_words
from builders.storms import stormy
from nodes import Nodes
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.replay.as_sim import as_sim
from raft_chaos.chaos.replay.incarnation import Incarnation
from raft_chaos.chaos.replay.node import recorded_incarnations, replay_node, replay_run
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.replay.simulated import replay_sim
from raft_chaos.chaos.replay.violation import Reached, Reported, replay_until
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.lockstep.driver import LockstepDriver
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import NodeLaunched
from raft_chaos.invariants.judge import judge_run
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.replica.inputs import Received
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.node_clock import RIGHT
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.journal import ClockChanged, JournalRecord, Start, Turn, read_journal
from raft_chaos.raft.storage.log_file import FILE

pytestmark = pytest.mark.live

FAULTS = [
    Fault(id="f1", when=When(at_us=700_000), action=Kill(["leader"], [150_000]), duration_us=0),
    Fault(id="f2", when=When(at_us=800_000), action=Pause(["n2"]), duration_us=200_000),
    Fault(id="f3", when=When(at_us=700_000), action=Network(NODES, loss=0.05, duplicate=0.1), duration_us=600_000),
    Fault(id="f4", when=When(at_us=1_150_000), action=Kill(["n1", "n3"], [100_000, 150_000]), duration_us=0),
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A short live run with kills and restarts."""
    run = RunDir(tmp_path_factory.mktemp("live") / "run")
    run_live(schedule(FAULTS), RaftTarget(Timing(150_000, 300_000, 50_000)), run, RunInfo(seed=1, nodes=NODES))
    return run


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A lockstep run with failpoints and clock faults; its storm has every kind of fault and input."""
    folder = tmp_path_factory.mktemp("lockstep")
    in_lockstep(stormy(1), folder)
    return RunDir(folder / "run")


@pytest.fixture
def copy(stepped: RunDir, tmp_path: Path) -> RunDir:
    """The lockstep run, to be changed."""
    return RunDir(Path(shutil.copytree(stepped.path, tmp_path / "copy")))


def records_of(run: RunDir) -> Iterator[JournalRecord]:
    for files in run.journals().values():
        for _, file in files:
            yield from read_journal(file)


# ---- exact -----------------------------------------------------------------------------------------------------------


def test_every_node_of_a_live_run_replays_exactly(live: RunDir) -> None:
    done = replay_run(live, Parts())
    assert done.differences == []
    launched = [event for event in live.harness_events() if isinstance(event, NodeLaunched)]
    assert [node.node for node in done.nodes] == NODES
    assert sum(node.incarnations for node in done.nodes) == len(launched) > 4
    assert sum(node.turns for node in done.nodes) > 100
    assert sum(node.events for node in done.nodes) == sum(len(stream) for stream in live.node_streams())
    turns = [record for record in records_of(live) if isinstance(record, Turn)]
    assert any(len(turn.inputs) > 1 for turn in turns), "a turn of several inputs is what lockstep does not have"


def test_messages_that_a_full_link_does_not_take_get_no_number_in_the_replay_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One peer is down, so its link holds a message, and the other reads too slowly: the node stands for election again
    and again."""
    monkeypatch.setattr("raft_chaos.raft.network.outgoing.MAX_UNSENT_BYTES", 0)
    run = RunDir(tmp_path)

    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=Timing(10_000, 20_000, 5_000)) as nodes:
            nodes.override("n1", **files_of(run, "n1", 1))
            await nodes.start("n1")
            await nodes.start("n2")
            await nodes.until("n1", lambda status: status["term"] > 5)

    run_event_loop(main())
    turns = [record for record in records_of(run) if isinstance(record, Turn)]
    assert [0] in [turn.unsent for turn in turns]
    done = replay_node(run, "n1", Parts())
    assert (done.differences, done.turns) == ([], len(turns))


def files_of(run: RunDir, node: str, incarnation: int) -> dict[str, str]:
    """The options of a node's configuration that put its files where a run has them."""
    return {
        "data_dir": str(run.node(node) / "data"),
        "events_file": str(run.node_events(node, incarnation)),
        "journal_file": str(run.node_journal(node, incarnation)),
    }


def test_every_node_of_a_lockstep_run_replays_exactly(stepped: RunDir) -> None:
    done = replay_run(stepped, Parts(), NODES)
    assert done.differences == []
    assert sum(node.events for node in done.nodes) == sum(len(stream) for stream in stepped.node_streams())
    records = list(records_of(stepped))
    assert {record.stopped_at for record in records if isinstance(record, Turn)} > {None}
    assert any(isinstance(record, ClockChanged) for record in records)
    assert any(record.clock != [RIGHT] for record in records if isinstance(record, Start)), "clocks outlive a node"


def test_a_run_of_a_mutant_is_exact_with_the_mutant(tmp_path: Path) -> None:
    in_lockstep(stormy(2), tmp_path, "ack_before_sync")
    run = RunDir(tmp_path / "run")
    assert replay_run(run, parts_of("ack_before_sync"), NODES).differences == []
    assert replay_run(run, Parts(), NODES).differences


def test_a_run_of_sim_is_run_again_from_its_schedule(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    info = run_sim(stormy(1), TIMING, None, run, RunInfo(seed=1, config={"timing": msgspec.to_builtins(TIMING)}))
    done = replay_sim(run, None)
    assert (done.difference, done.trace_sha256) == (None, info.trace_sha256)
    other = replay_sim(run, "ack_before_sync").difference
    assert other is not None and other.common > 0


def test_a_run_of_nodes_with_another_algorithm_is_refused_with_a_sentence(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    settings = Settings(world="sim", schedule=ScheduleConfig(), timing=TIMING)
    info = run_sim(schedule([]), TIMING, None, run, describe(settings, 1, schedule([]), run))
    assert as_sim(run).verdicts == info.invariants
    info.algorithm, info.commit = 1, "abc"
    run.save_info(info)
    for replayed in (as_sim, partial(replay_sim, mutant=None)):
        with pytest.raises(RunDirError, match=r"algorithm 1, .* algorithm 5, .* commit abc can replay it"):
            replayed(run)
    assert judge_run(run) == info.invariants


def test_a_node_that_died_of_an_error_dies_of_it_again(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with Supervisor() as supervisor, LockstepDriver(run, None, supervisor) as driver:
        node = driver.start(config(), 0)
        now_us = node.first.deadline_us
        vote = node.tick(now_us, None)
        no_op = node.persisted(vote.write_lsn, now_us, None)
        node.persisted(no_op.write_lsn, now_us, None)
        written = node.submit(8, b"no command", now_us, None)
        died = last_words(lambda: node.persisted(written.write_lsn, now_us, None))
    done = replay_node(run, "n1", Parts())
    assert (done.differences, done.turns) == ([], 6)
    assert done.deaths == [f"incarnation 1: {died[1]}"] and died[1].startswith("ValidationError: ")
    reached = replay_until(run, Reported(Violation("unexpected_exit", "", ""), "n1", 1, None), Parts())
    assert isinstance(reached, Reached), "a node that ended is replayed to its end"
    assert reached.turn.number == 6 and died[1].startswith(f"ValidationError: {reached.turn.error}")


# ---- other code ------------------------------------------------------------------------------------------------------


def test_with_other_code_the_first_difference_is_the_first_changed_turn(stepped: RunDir) -> None:
    done = replay_run(stepped, parts_of("ack_before_sync"), NODES)
    first, *_ = done.differences
    assert [one.at_us for one in done.differences] == sorted(one.at_us for one in done.differences)
    # The mutant acknowledges what is not durable: the first turn that differs takes entries, and says so at once.
    (given,) = first.inputs
    assert isinstance(given, Received) and isinstance(given.message, AppendEntries) and given.message.entries
    assert first.now is not None and '"AppendEntriesReply"' in first.now
    records = read_journal(stepped.node_journal(first.node, first.incarnation))
    recorded = [record for record in records if isinstance(record, Turn)][first.turn - 1]
    assert (recorded.at_us, recorded.inputs) == (first.at_us, first.inputs)


def test_each_incarnation_is_replayed_up_to_its_own_first_difference(stepped: RunDir) -> None:
    done = replay_run(stepped, parts_of("term_not_persisted"), NODES)
    for node in done.nodes:
        differing = [one.incarnation for one in node.differences]
        assert differing == sorted(set(differing)) and len(differing) <= node.incarnations
    assert any(len(node.differences) > 1 for node in done.nodes)


# ---- files that were changed -----------------------------------------------------------------------------------------


def test_a_flipped_byte_in_any_event_line_is_the_first_difference(copy: RunDir) -> None:
    file = copy.node_events("n2", 1)
    whole = bytearray(file.read_bytes())
    lines = whole.splitlines(keepends=True)
    for place in (0, len(lines) // 2, len(lines) - 1):
        position = sum(map(len, lines[:place])) + lines[place].index(b'"t_us":') + 8
        whole[position] ^= 0x01
        file.write_bytes(whole)
        (found,) = replay_node(copy, "n2", Parts()).differences
        whole[position] ^= 0x01
        assert (found.incarnation, found.what) == (1, "an event differs")
        assert found.now is not None and found.now.encode() + b"\n" == lines[place]
        assert found.recorded is not None and found.recorded != found.now
        assert list(found.fields) in (["t_us"], [])  # none, if it is no number any more


def test_a_flipped_byte_in_the_journal_is_refused_and_with_a_corrected_checksum_is_a_difference(copy: RunDir) -> None:
    file = copy.node_journal("n1", 1)
    whole = bytearray(file.read_bytes())
    offsets = [8]
    while offsets[-1] < len(whole):
        offsets.append(offsets[-1] + 8 + int.from_bytes(whole[offsets[-1] : offsets[-1] + 4], "big"))
    middle = len(offsets) // 2
    begin, end = offsets[middle], offsets[middle + 1]
    whole[end - 1] ^= 0x01  # the last byte of the digest
    file.write_bytes(whole)
    with pytest.raises(ReplayError, match=rf"^{file}, offset {begin}: the record is damaged"):
        replay_node(copy, "n1", Parts())
    whole[begin + 4 : begin + 8] = zlib.crc32(whole[begin + 8 : end]).to_bytes(4, "big")
    file.write_bytes(whole)
    (found,) = replay_node(copy, "n1", Parts()).differences
    assert (found.incarnation, found.what) == (
        1,
        "the outputs differ, although the reported events are equal",
    )
    assert found.output is not None


@pytest.mark.parametrize("where", [12, -1], ids=["what was recovered", "what was written last"])
def test_a_flipped_byte_in_the_log_is_found(copy: RunDir, where: int) -> None:
    file = copy.node("n1") / "data" / FILE
    whole = bytearray(file.read_bytes())
    whole[where] ^= 0x01
    file.write_bytes(whole)
    if where > 0:
        with pytest.raises(ReplayError, match=rf"^{file}, offset 8: the record is damaged"):
            replay_node(copy, "n1", Parts())
    else:
        (found,) = replay_node(copy, "n1", Parts()).differences
        assert found.what == f"{file}, offset {len(whole) - 1}: not what the node wrote there"


def test_a_log_that_is_shorter_than_what_was_recovered_from_it_is_refused(copy: RunDir) -> None:
    file = copy.node("n1") / "data" / FILE
    starts = [record for record in records_of(copy) if isinstance(record, Start) and record.node == "n1"]
    file.write_bytes(file.read_bytes()[: starts[-1].log_size - 1])
    with pytest.raises(
        ReplayError, match=rf"^{file}, offset \d+: expected an intact record, since incarnation \d+ of n1 recovered"
    ):
        replay_node(copy, "n1", Parts())


def test_only_the_events_of_the_last_turn_may_be_missing(copy: RunDir) -> None:
    recorded = recorded_incarnations(copy, "n3")[-1]
    whole = recorded.events.read_bytes().splitlines(keepends=True)
    *_, last = Incarnation(recorded, Parts()).turns()
    assert last.lines == whole[-len(last.lines) :]
    for missing in range(1, len(last.lines) + 2):
        recorded.events.write_bytes(b"".join(whole[: len(whole) - missing]) + whole[-missing][:-1])
        differences = replay_node(copy, "n3", Parts()).differences
        if missing <= len(last.lines):
            assert differences == []
        else:
            assert [one.what for one in differences] == ["the recorded node reported less and continued"]
            assert differences[0].turn == last.number - 1 and differences[0].recorded is None


def test_an_event_that_no_turn_reported_is_refused(copy: RunDir) -> None:
    inc, file = copy.event_files()["n3"][-1]
    added = file.read_bytes().splitlines(keepends=True)[-1]
    file.write_bytes(file.read_bytes() + added)
    with pytest.raises(ReplayError, match=rf"^{copy.node_journal('n3', inc)}: ends before {file.name}, although"):
        replay_node(copy, "n3", Parts())


@pytest.mark.parametrize("left", [0.0, 0.5, 0.999])
def test_a_journal_cut_short_does_not_explain_the_events(copy: RunDir, left: float) -> None:
    """The journal is written first, so its inputs cannot have caused further events."""
    file = copy.node_journal("n1", 1)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * left)])
    with pytest.raises(
        ReplayError, match=rf"^{file}: ends before events-0001.jsonl, although a journal is written first"
    ):
        replay_node(copy, "n1", Parts())


def test_a_missing_events_file_of_a_journal_is_refused(copy: RunDir) -> None:
    copy.node_events("n2", 1).unlink()
    with pytest.raises(ReplayError, match=rf"^{copy.node_events('n2', 1)}: missing, but there is journal-0001"):
        replay_node(copy, "n2", Parts())


def test_missing_journals_and_those_of_another_node_are_refused(copy: RunDir) -> None:
    shutil.copy(copy.node_journal("n2", 1), copy.node_journal("n1", 1))
    with pytest.raises(ReplayError, match=rf"^{copy.node_journal('n1', 1)}: this is the journal of n2, incarnation 1"):
        replay_node(copy, "n1", Parts())
    copy.node_journal("n1", 1).unlink()
    with pytest.raises(ReplayError, match=rf"^{copy.node_journal('n1', 1)}: missing, but there is events-0001.jsonl"):
        replay_node(copy, "n1", Parts())
    for _, file in copy.journals()["n2"]:
        file.unlink()
    with pytest.raises(ReplayError, match="n2: no journals; the run was made without"):
        replay_node(copy, "n2", Parts())
