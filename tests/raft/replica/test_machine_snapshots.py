"""Snapshots of the state machine (§7): the state behind one equals the state behind the log, sessions included (§8)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.replica.machine import Command, Machine, Result, SnapshotError, check_snapshot, encode_command

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
    with pytest.raises(SnapshotError, match="version 3 of its format; this version reads 1 and 2"):
        check_snapshot(msgspec.msgpack.encode([3, [], []]))
