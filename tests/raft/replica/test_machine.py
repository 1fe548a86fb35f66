"""The key-value store: what each operation does, sessions (§8), the state digest, and how commands are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from raft_chaos.raft.replica.command import Command, Operation, decode_command, encode_command, parse_command
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.result import Result

KEYS = st.sampled_from(["x", "y", "z"])
VALUES = st.sampled_from(["", "1", "2", "a b", "é"])


def do(
    machine: Machine,
    op: Operation,
    key: str,
    value: str | None = None,
    expected: str | None = None,
    *,
    client: str | None = None,
    serial: int = 0,
) -> Result:
    result = machine.apply(encode_command(Command(op, key, value, expected, client, serial)))
    assert result is not None
    return result


# ---- operations ------------------------------------------------------------------------------------------------------


def test_put_get_delete() -> None:
    machine = Machine()
    assert do(machine, "get", "x") == Result(True, value=None)
    assert do(machine, "put", "x", "1") == Result(True)
    assert do(machine, "get", "x") == Result(True, value="1")
    assert do(machine, "put", "x", "2") == Result(True)
    assert do(machine, "get", "x") == Result(True, value="2")
    assert do(machine, "delete", "x") == Result(True)
    assert do(machine, "get", "x") == Result(True, value=None)
    assert do(machine, "delete", "x") == Result(True)


def test_cas_sets_only_what_it_expects() -> None:
    machine = Machine()
    assert do(machine, "cas", "x", "1", "0").ok is False
    assert do(machine, "cas", "x", "1", None) == Result(True)
    refused = do(machine, "cas", "x", "2", "0")
    assert (refused.ok, refused.value) == (False, "1")
    assert do(machine, "cas", "x", "2", "1") == Result(True)
    refused = do(machine, "cas", "x", "3", None)
    assert (refused.ok, refused.value) == (False, "2")
    assert do(machine, "get", "x").value == "2"


def test_append_makes_a_list_and_leaves_strings_alone() -> None:
    machine = Machine()
    assert do(machine, "append", "x", "a") == Result(True)
    assert do(machine, "append", "x", "b") == Result(True)
    assert do(machine, "get", "x").value == ["a", "b"]
    refused = do(machine, "cas", "x", "1", "a")
    assert (refused.ok, refused.value) == (False, ["a", "b"])
    do(machine, "put", "x", "s")
    refused = do(machine, "append", "x", "c")
    assert (refused.ok, refused.value) == (False, "s")
    assert do(machine, "get", "x").value == "s"


def test_an_answer_is_not_changed_by_later_appends() -> None:
    machine = Machine()
    do(machine, "append", "x", "a")
    first = do(machine, "get", "x", client="c", serial=1)
    do(machine, "append", "x", "b")
    assert first.value == ["a"]
    assert do(machine, "get", "x", client="c", serial=1).value == ["a"]


def test_a_no_op_changes_nothing() -> None:
    machine = Machine()
    before = machine.digest
    assert machine.apply(b"") is None
    assert machine.digest == before


# ---- sessions (§8) ---------------------------------------------------------------------------------------------------


def test_a_command_sent_again_is_applied_once_and_gets_its_first_answer() -> None:
    machine = Machine()
    do(machine, "append", "x", "a", client="c", serial=1)
    do(machine, "append", "x", "a", client="c", serial=1)
    assert do(machine, "get", "x").value == ["a"]
    assert do(machine, "cas", "y", "1", None, client="c", serial=2) == Result(True)
    assert do(machine, "cas", "y", "1", None, client="c", serial=2) == Result(True)


def test_a_repeated_command_names_the_entry_that_applied_it() -> None:
    machine = Machine()
    first, other, again = (encode_command(Command("append", "x", "a", None, "c", n)) for n in (1, 2, 2))
    old = encode_command(Command("append", "x", "a", None, "c", 1))
    decided = []
    for place, command in [((3, 1), first), ((4, 1), other), ((7, 2), again), ((8, 2), old), ((9, 2), b"")]:
        machine.apply(command, place)
        decided.append(machine.decided)
    assert decided == [(3, 1), (4, 1), (4, 1), (8, 2), (9, 2)], "a refusal of an old serial is decided where it stands"


def test_a_serial_older_than_the_latest_is_refused_and_not_applied() -> None:
    machine = Machine()
    do(machine, "put", "x", "new", client="c", serial=5)
    refused = do(machine, "put", "x", "old", client="c", serial=4)
    assert refused.ok is False
    assert "serial 4 is older than this client's latest, 5" in (refused.error or "")
    assert do(machine, "get", "x").value == "new"


def test_clients_do_not_share_serials_and_commands_without_client_are_never_taken_for_repeats() -> None:
    machine = Machine()
    for client in ("c", "d", None, None):
        do(machine, "append", "x", "a", client=client, serial=1 if client else 0)
    assert do(machine, "get", "x").value == ["a"] * 4


def test_the_session_used_least_recently_is_forgotten_first() -> None:
    machine = Machine(max_sessions=2)
    do(machine, "append", "x", "1", client="a", serial=1)
    do(machine, "append", "x", "2", client="b", serial=1)
    do(machine, "append", "x", "3", client="a", serial=2)
    do(machine, "append", "x", "4", client="c", serial=1)  # b goes
    do(machine, "append", "x", "-", client="a", serial=2)
    do(machine, "append", "x", "-", client="c", serial=1)
    do(machine, "append", "x", "5", client="b", serial=1)
    assert do(machine, "get", "x").value == ["1", "2", "3", "4", "5"]


def test_a_forgotten_session_leaves_no_trace_in_the_digest() -> None:
    one, other = Machine(max_sessions=1), Machine(max_sessions=1)
    do(one, "put", "x", "1", client="a", serial=7)
    for machine in (one, other):
        do(machine, "put", "x", "1", client="b", serial=1)
    assert one.digest == other.digest


# ---- the state digest ------------------------------------------------------------------------------------------------

COMMANDS = st.lists(
    st.one_of(
        st.builds(Command, st.just("put"), KEYS, VALUES),
        st.builds(Command, st.just("append"), KEYS, VALUES),
        st.builds(Command, st.just("cas"), KEYS, VALUES, st.none() | VALUES),
        st.builds(Command, st.just("delete"), KEYS),
        st.builds(Command, st.just("get"), KEYS),
    ),
    max_size=12,
)


def state_after(commands: list[Command]) -> tuple[Machine, dict[str, Any]]:
    machine = Machine()
    for command in commands:
        machine.apply(encode_command(command))
    digest = machine.digest
    state = {key: do(machine, "get", key).value for key in ("x", "y", "z")}
    assert machine.digest == digest, "reading changes nothing"
    return machine, state


@given(COMMANDS, COMMANDS)
def test_digests_are_equal_exactly_if_the_states_are(one: list[Command], other: list[Command]) -> None:
    (machine_one, state_one), (machine_other, state_other) = state_after(one), state_after(other)
    assert (machine_one.digest == machine_other.digest) == (state_one == state_other)


@given(COMMANDS, st.integers(0, 12))
def test_the_digest_does_not_depend_on_when_it_is_first_asked_for(commands: list[Command], asked_after: int) -> None:
    """Nothing is summed up before that, whatever was applied or restored."""
    early, late = Machine(max_sessions=2), Machine(max_sessions=2)
    assert early.digest == late.digest == "0" * 16
    late = Machine(max_sessions=2)
    for number, command in enumerate(commands):
        named = replace(command, client=f"c{number % 3}", serial=number)
        if number == asked_after:
            late.restore(early.snapshot())
        assert early.apply(encode_command(named)) == late.apply(encode_command(named))
    assert early.digest == late.digest


@given(COMMANDS)
def test_the_digest_does_not_depend_on_earlier_states(commands: list[Command]) -> None:
    """The same state, written directly, has the same digest."""
    machine, state = state_after(commands)
    straight = Machine()
    for key, value in reversed(state.items()):
        if isinstance(value, str):
            do(straight, "put", key, value)
        for token in value if isinstance(value, list) else []:
            do(straight, "append", key, token)
    assert straight.digest == machine.digest


def test_digests_distinguish_strings_lists_and_token_borders() -> None:
    digests = set()
    for commands in (
        [Command("put", "x", "ab")],
        [Command("append", "x", "ab")],
        [Command("append", "x", "a"), Command("append", "x", "b")],
        [Command("append", "x", "b"), Command("append", "x", "a")],
        [Command("put", "xa", "b")],
        [],
    ):
        digests.add(state_after(commands)[0].digest)
    assert len(digests) == 6


def test_sessions_are_part_of_the_state() -> None:
    one, other = Machine(), Machine()
    do(one, "put", "x", "1", client="c", serial=1)
    do(other, "put", "x", "1", client="c", serial=2)
    assert one.digest != other.digest


# ---- commands --------------------------------------------------------------------------------------------------------


@given(KEYS, VALUES, st.none() | VALUES, st.none() | VALUES, st.integers(0, 2**63 - 1))
def test_commands_survive_encoding_and_decoding(
    key: str, value: str, expected: str | None, client: str | None, serial: int
) -> None:
    command = Command("cas", key, value, expected, client, serial)
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        ("put x 1", Command("put", "x", "1")),
        ("  put x a b  c ", Command("put", "x", "a b  c")),
        ("get x", Command("get", "x")),
        ("get a key with spaces", Command("get", "a key with spaces")),
        ("delete x", Command("delete", "x")),
        ("append x 1", Command("append", "x", "1")),
        ("cas x 1 2", Command("cas", "x", "2", "1")),
        ({"op": "put", "key": "x", "value": ""}, Command("put", "x", "")),
        ({"op": "cas", "key": "x", "value": "1", "expected": None}, Command("cas", "x", "1")),
        ({"op": "get", "key": "x", "value": None}, Command("get", "x")),
    ],
)
def test_commands_are_lines_or_objects(raw: Any, command: Command) -> None:
    assert parse_command(raw) == command


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (7, "command: expected an object"),
        (None, "command: expected an object"),
        ([], "command: expected an object"),
        ("", "command: expected a line"),
        ("fly x", "command: expected a line that starts with get, put"),
        ("put x", "command: expected 'put key value'"),
        ("get", "command: expected 'get key'"),
        ("cas x 1", "command: expected 'cas key expected value'"),
        ({"op": "put", "key": "x", "value": "1", "ttl": 3}, "command.ttl: no such field"),
        ({}, "command.op: expected one of"),
        ({"op": "fly", "key": "x"}, "command.op: expected one of"),
        ({"op": ["put"], "key": "x"}, "command.op: expected one of"),
        ({"op": "get"}, "command.key: expected a string"),
        ({"op": "get", "key": ""}, "command.key: expected a string"),
        ({"op": "get", "key": 1}, "command.key: expected a string"),
        ({"op": "put", "key": "x"}, "command.value: put needs a string"),
        ({"op": "append", "key": "x", "value": 1}, "command.value: append needs a string"),
        ({"op": "get", "key": "x", "value": "1"}, "command.value: get takes none"),
        ({"op": "put", "key": "x", "value": "1", "expected": "0"}, "command.expected: only cas takes one"),
        ({"op": "cas", "key": "x", "value": "1", "expected": 0}, "command.expected: expected a string, or null"),
    ],
)
def test_a_malformed_command_is_refused_with_the_field_that_is_wrong(raw: Any, field: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_command(raw)
    assert str(refused.value).startswith(field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["put", "x", "get x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["op", "key", "value", "expected", "z"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(JSON)
def test_any_json_is_a_command_that_applies_or_a_value_error(raw: Any) -> None:
    try:
        command = parse_command(raw)
    except ValueError as error:
        assert str(error).startswith("command")
        return
    assert Machine().apply(encode_command(command)) is not None
