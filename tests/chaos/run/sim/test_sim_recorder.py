"""What a run in virtual time leaves on disk: its lines, their order, and a digest that notices any change."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from builders.runs import recorded_run, unsealed, virtual
from builders.schedules import TIMING, TWO_LEADERS, short
from builders.storms import stormy
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.run.sim.recorder import FLUSHED_AT_ONCE, HARNESS_STREAM, HISTORY_STREAM, Recorder
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants import events
from raft_chaos.invariants.events import HARNESS, MessageReceived, NodeLaunched
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.trace import trace_sha256


def empty(folder: Path) -> RunDir:
    run = RunDir(folder / "run")
    for node in ("n1", "n2"):
        run.node(node).mkdir(parents=True)
    return run


def heard(node: str, number: int, inc: int = 1) -> bytes:
    return events.encode(
        MessageReceived(node=node, inc=inc, t_us=number, sender="n9", sender_inc=1, number=number, type="RequestVote")
    )


def launched(number: int) -> bytes:
    return events.encode(NodeLaunched(node=HARNESS, inc=1, t_us=number, subject="n1", subject_inc=1))


# ---- lines and their order ---------------------------------------------------------------------------------------


def test_lines_come_back_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    """Sorted by time they would have a different order."""
    run = empty(tmp_path)
    recorder = Recorder(run)
    recorder.write(("n1", 1), heard("n1", 9) + heard("n1", 3), 2)
    recorder.write(("n1", 1), heard("n1", 8), 1)
    recorder.write(HARNESS_STREAM, launched(7), 1)
    recorder.write(("n2", 1), heard("n2", 1), 1)
    recorder.write(("n1", 2), heard("n1", 5, inc=2), 1)
    recorder.write(("n1", 1), heard("n1", 2), 1)
    recorder.close()
    assert run.order.read_text() == "n1/1 3\nharness 1\nn2/1 1\nn1/2 1\nn1/1 1\n"
    trace = list(run.trace())
    assert [item.event.t_us for item in trace] == [9, 3, 8, 7, 1, 5, 2]
    assert [item.stream for item in trace] == ["n1/1"] * 3 + ["harness", "n2/1", "n1/2", "n1/1"]
    assert run.node_events("n1", 1).read_bytes() == b"".join(heard("n1", number) for number in (9, 3, 8, 2))


def test_a_recorder_that_wrote_nothing_leaves_an_empty_order(tmp_path: Path) -> None:
    run = empty(tmp_path)
    Recorder(run).close()
    assert run.order.read_text() == "" and list(run.trace()) == []


def test_only_the_order_is_written_for_nodes_that_write_their_own_events(tmp_path: Path) -> None:
    run = empty(tmp_path)
    recorder = Recorder(run, nodes_write=True)
    recorder.write(("n1", 1), b"", 2)
    recorder.write(HARNESS_STREAM, launched(7), 1)
    recorder.close()
    assert not run.node_events("n1", 1).exists()
    assert run.order.read_text() == "n1/1 2\nharness 1\n"


def test_the_order_after_a_killed_controller_names_only_existing_lines(tmp_path: Path) -> None:
    """Nothing is closed: only flushed lines exist."""
    run = empty(tmp_path)
    recorder = Recorder(run)
    written = FLUSHED_AT_ONCE + 1  # the last of them ends the one before, which is then the last to be ordered
    for number in range(written):
        stream, line = (("n1", 1), heard("n1", number)) if number % 2 else (HARNESS_STREAM, launched(number))
        recorder.write(stream, line, 1)
    ordered = run.order.read_text().splitlines()
    assert len(ordered) == FLUSHED_AT_ONCE
    times = [item.event.t_us for item in run.trace()]
    assert times[:FLUSHED_AT_ONCE] == list(range(FLUSHED_AT_ONCE))
    recorder.close()
    assert [item.event.t_us for item in run.trace()] == list(range(written))


# ---- a whole run -------------------------------------------------------------------------------------------------


def test_a_run_directory_holds_the_whole_trace(tmp_path: Path) -> None:
    run = recorded_run(stormy(2), tmp_path)
    trace = list(run.trace())
    files = [run.harness, run.history, *sorted((run.path / "nodes").glob("*/events-*.jsonl"))]
    assert len(files) > 5, "several incarnations"
    assert sorted(item.line for item in trace) == sorted(
        line for file in files for line in file.read_bytes().splitlines(keepends=True)
    )
    ordered = [line.split() for line in run.order.read_text().splitlines()]
    assert sum(int(count) for _, count in ordered) == len(trace)
    assert all(one[0] != other[0] for one, other in pairwise(ordered)), "runs of lines are joined"
    digest = sha256(b"".join(item.line for item in trace)).hexdigest()
    assert digest == trace_sha256(run) == run.load_info().trace_sha256
    assert {item.stream for item in trace} >= {"harness", "history", "n1/1", "n1/2"}
    assert HISTORY_STREAM[0] == "history"


def test_the_schedule_is_saved_with_the_run_and_gives_it_again(tmp_path: Path) -> None:
    plan = stormy(1)
    run = recorded_run(plan, tmp_path)
    saved: Schedule = load(run.schedule)
    assert sorted(saved.faults, key=lambda f: f.id) == sorted(plan.faults, key=lambda f: f.id)
    again = RunDir(tmp_path / "again")
    info = run_sim(saved, TIMING, None, again, RunInfo(seed=1))
    assert info.trace_sha256 == run.load_info().trace_sha256
    assert again.order.read_bytes() == run.order.read_bytes()


def test_a_failed_run_keeps_its_trace_up_to_the_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from raft_chaos.chaos.run.nodes.driver import DriverError
    from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver

    start = MemoryDriver.start

    def fails(self: MemoryDriver, config: object, now_us: int) -> object:
        if now_us > 500_000:
            raise DriverError("no more nodes")
        return start(self, config, now_us)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryDriver, "start", fails)
    run = RunDir(tmp_path / "run")
    with pytest.raises(DriverError, match="no more nodes"):
        run_sim(short(*TWO_LEADERS), TIMING, None, run, RunInfo(seed=1))
    info = run.load_info()
    assert (info.state, info.verdict, info.trace_sha256) == ("failed", "unknown", "")
    assert len(list(run.trace())) > 100
    monkeypatch.undo()
    analysis = analyse(run)
    assert analysis.verdict == "unknown"
    assert "the run was cut short: its end was never recorded" in analysis.vacuous
    assert "the harness failed: no more nodes" in analysis.vacuous


# ---- a change is noticed -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """The files of a valid run, by their path in its directory."""
    run = recorded_run(short(*TWO_LEADERS), tmp_path_factory.mktemp("valid"))
    assert analyse(run).verdict == "valid"
    return {file.relative_to(run.path): file.read_bytes() for file in run.path.rglob("*") if file.is_file()}


def _restored(files: dict[Path, bytes], folder: Path) -> RunDir:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return RunDir(folder)


def _later(content: bytes) -> bytes:
    """The last digit of the last time is another."""
    at = content.rindex(b'"t_us":')
    end = content.index(b",", at)
    digit = b"0" if content[end - 1 : end] != b"0" else b"1"
    return content[: end - 1] + digit + content[end:]


@pytest.mark.parametrize(
    "name",
    ["harness.jsonl", "history.jsonl", "nodes/n1/events-0001.jsonl", "nodes/n1/events-0002.jsonl"],
)
def test_a_changed_byte_is_noticed(name: str, valid: dict[Path, bytes], tmp_path: Path) -> None:
    run = _restored(valid, tmp_path)
    assert analyse(run).verdict == "valid"
    file = run.path / name
    file.write_bytes(_later(file.read_bytes()))
    analysis = analyse(run)
    assert analysis.verdict == "unknown"
    assert analysis.vacuous == [f"{name}: has other content than when the run ended"]
    earlier = analyse(unsealed(run))
    (what,) = earlier.vacuous
    assert what.startswith(f"{run.path}: its trace is ")
    assert {verdict.outcome for verdict in earlier.invariants} == {"valid"}, "no checker could tell"


def _without_last_line(content: bytes) -> bytes:
    return content[: content.rindex(b"\n", 0, -1) + 1]


def _torn(content: bytes) -> bytes:
    return content[:-1]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nodes/n2/events-0001.jsonl", _without_last_line),
        ("nodes/n2/events-0001.jsonl", _torn),
        ("history.jsonl", _torn),
        ("harness.jsonl", _torn),
    ],
)
def test_a_missing_line_is_noticed(
    name: str, change: Callable[[bytes], bytes], valid: dict[Path, bytes], tmp_path: Path
) -> None:
    run = _restored(valid, tmp_path)
    file = run.path / name
    file.write_bytes(change(file.read_bytes()))
    analysis = analyse(run)
    assert analysis.verdict == "unknown"
    (missing,) = analysis.vacuous
    assert missing.startswith(f"{name}: has {file.stat().st_size} bytes; it had ")
    assert analyse(unsealed(run)).verdict == "unknown"


def test_lines_in_another_order_are_noticed(valid: dict[Path, bytes], tmp_path: Path) -> None:
    run = _restored(valid, tmp_path)
    lines = run.order.read_text().splitlines(keepends=True)
    place = next(at for at in range(len(lines) - 1) if lines[at].split()[0] != lines[at + 1].split()[0])
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    run.order.write_text("".join(lines))
    assert analyse(run).vacuous == ["order: has other content than when the run ended"]
    assert analyse(unsealed(run)).verdict == "unknown"


def test_an_order_that_counts_too_many_lines_is_noticed(valid: dict[Path, bytes], tmp_path: Path) -> None:
    run = _restored(valid, tmp_path)
    with run.order.open("a") as order:
        order.write("history 1\n")
    analysis = analyse(unsealed(run))
    assert analysis.verdict == "unknown"
    assert analysis.damage[0].startswith(f"{run.order}: counts ")
    with pytest.raises(RunDirError, match=r"order:\d+: takes 1 from history, but .* has only 0 left"):
        list(run.trace())


def test_a_changed_digest_is_noticed(valid: dict[Path, bytes], tmp_path: Path) -> None:
    run = unsealed(_restored(valid, tmp_path))
    info = run.load_info()
    run.save_info(msgspec.structs.replace(info, trace_sha256="0" + info.trace_sha256[1:] + "0"))
    assert analyse(run).verdict == "unknown"


def test_a_digest_covers_everything_so_far() -> None:
    run = virtual(short(*TWO_LEADERS))
    digests: list[str] = []
    for at_us in (100, 300_000, 300_000):
        run.scheduler.at(at_us, lambda _: digests.append(run.trace.digest()))
    whole = run.go().trace_sha256
    assert digests[1] == digests[2]
    assert len({*digests, whole}) == 3
    assert whole == virtual(short(*TWO_LEADERS)).go().trace_sha256, "to ask for it changes nothing"
