"""Snapshots of the state machine (§7): the state behind one equals the state behind the log, sessions included (§8)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.replica import saved_state
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.replica.saved_state import SnapshotError, check_saved, prepare_checked

COMMANDS = st.builds(
    Command,
    st.sampled_from(["get", "put", "append", "cas", "delete"]),
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from(["1", "2", "é"]),
    st.none() | st.sampled_from(["1", "2"]),
    st.none() | st.sampled_from(["c0", "c1", "c2"]),
    st.integers(1, 6),
)


def applied(machine: Machine, commands: list[Command], after: int = 0) -> list[Result | None]:
    return [machine.apply(encode_command(one), (index, 1)) for index, one in enumerate(commands, after + 1)]


@given(st.lists(COMMANDS, max_size=30), st.lists(COMMANDS, max_size=30), st.lists(COMMANDS, max_size=10))
def test_a_restored_machine_goes_on_like_the_one_that_applied_the_log(
    before: list[Command], after: list[Command], dirt: list[Command]
) -> None:
    one, other = Machine(max_sessions=2), Machine(max_sessions=2)
    applied(one, before)
    applied(other, dirt)  # what it had is gone
    other.restore(one.snapshot())
    assert (other.digest, other.snapshot()) == (one.digest, one.snapshot())
    assert applied(other, after, len(before)) == applied(one, after, len(before))
    assert (other.digest, other.snapshot()) == (one.digest, one.snapshot())


def test_a_command_that_is_repeated_after_a_snapshot_is_not_applied_again() -> None:
    one, other = Machine(), Machine()
    command = encode_command(Command("append", "x", "1", client="c0", serial=1))
    first = one.apply(command, (3, 1))
    other.restore(one.snapshot())
    digest = other.digest
    assert other.apply(command, (9, 2)) == first
    assert (other.decided, other.digest) == ((3, 1), digest)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", msgspec.msgpack.encode([1, [], [["c", 1]]]), Machine().snapshot()[:-1], b"\x90"]
)
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    machine = Machine()
    applied(machine, [Command("put", "x", "1")])
    digest = machine.digest
    with pytest.raises(SnapshotError, match="cannot be decoded"):
        machine.restore(data)
    assert machine.digest == digest, "it is as it was"


def test_a_snapshot_of_another_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(SnapshotError, match="version 4 of its format; this version reads 1, 2, 3"):
        check_saved(msgspec.msgpack.encode([4, [], []]))


PLACE = (3, 1)
SESSIONS = [("c0", 1, Result(True), PLACE)]


@pytest.mark.parametrize(
    "earlier",
    [(1, [("x", "1"), ("y", ["2", "3"])], SESSIONS), (2, [("x", "1"), ("y", ["2", "3"])], SESSIONS, 0, [0])],
    ids=["version 1", "version 2"],
)
def test_a_snapshot_of_an_earlier_version_is_read(earlier: tuple[object, ...]) -> None:
    old, new = Machine(), Machine()
    old.restore(msgspec.msgpack.encode(earlier))
    new.restore(msgspec.msgpack.encode((3, ["x", "y"], ["1", ["2", "3"]], SESSIONS, 0, [0])))
    assert (old.digest, old.snapshot()) == (new.digest, new.snapshot())
    assert old.read("y").value == ["2", "3"]


@pytest.mark.parametrize("odd", [(3, ["x"], [], [], 0, []), (3, [], [], SESSIONS, 0, []), (2, [], SESSIONS, 0, [])])
def test_lists_that_belong_together_must_have_one_length(odd: tuple[object, ...]) -> None:
    with pytest.raises(SnapshotError, match="cannot be decoded: 1 "):
        check_saved(msgspec.msgpack.encode(odd))


def test_a_large_state_is_written_in_two_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Machine(), Machine()
    applied(one, [Command("put", "x", "1", client="c0", serial=1), Command("append", "y", "2")])
    small = one.snapshot()
    monkeypatch.setattr(saved_state, "LARGE", 2)
    large = one.snapshot()
    assert (small[:2], large[:2]) == (b"\x93\x01", b"\x96\x03")
    other.restore(large)
    assert (other.digest, other.snapshot()) == (one.digest, large)


def test_a_state_that_was_checked_and_prepared_is_taken_over_by_one_machine_only() -> None:
    one = Machine()
    applied(one, [Command("put", "x", "1"), Command("append", "y", "2")])
    data, first, second = one.snapshot(), Machine(), Machine()
    check_saved(data)
    prepare_checked()
    first.restore(data)
    prepare_checked()  # nothing waits any more
    second.restore(data)
    applied(first, [Command("append", "y", "3")])
    assert second.read("y").value == ["2"]
    assert (second.digest, second.snapshot()) == (one.digest, data)
