"""Sessions that were forgotten (§8; thesis, §6.3): their commands are refused, and never applied twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.machine import EXPIRED, Machine
from raft_chaos.raft.replica.result import Result


class Log:
    """A machine, and the log that it applies."""

    def __init__(self, max_sessions: int) -> None:
        self.machine = Machine(max_sessions)
        self.index = 0

    def append(self, client: str, serial: int, since: int = 0, value: str = "") -> Result:
        self.index += 1
        value = value or f"{client}.{since}.{serial}"
        command = Command("append", "x", value, client=client, serial=serial, since=since)
        result = self.machine.apply(encode_command(command), (self.index, 1))
        assert result is not None
        return result

    @property
    def values(self) -> list[str]:
        value = self.machine.read("x").value
        return value if isinstance(value, list) else []


def is_expired(result: Result) -> bool:
    return not result.ok and (result.error or "").startswith(EXPIRED)


def test_a_retried_command_of_a_forgotten_session_is_refused_whatever_its_serial() -> None:
    log = Log(max_sessions=2)
    for client in ("a", "b", "c"):
        log.append(client, 1)  # with c, a goes
    for serial in (1, 2):
        assert is_expired(log.append("a", serial))
    assert log.append("b", 1).ok and log.append("c", 1).ok
    assert log.values == ["a.0.1", "b.0.1", "c.0.1"]


def test_a_new_session_begins_with_the_index_of_the_refusal() -> None:
    log = Log(max_sessions=1)
    log.append("a", 1)
    log.append("b", 1)
    assert is_expired(log.append("a", 2))
    refused = log.index
    assert log.append("a", 1, since=refused).ok
    assert is_expired(log.append("a", 1)), "a copy of the earlier session"
    assert log.append("a", 1, since=refused).ok, "a copy of the new one gets its answer"
    assert log.values == ["a.0.1", "b.0.1", f"a.{refused}.1"]


def test_sessions_of_one_client_are_kept_apart() -> None:
    """A late copy of the earlier session has a larger serial than the new session."""
    log = Log(max_sessions=2)
    for serial in range(1, 6):
        log.append("a", serial)
    log.append("b", 1)
    log.append("b", 1, since=log.index)
    assert is_expired(log.append("a", 5)), "it went with the second session of b"
    new = log.index
    log.append("a", 1, since=new)
    assert is_expired(log.append("a", 5))
    assert log.values.count("a.0.5") == 1


def test_a_session_cannot_begin_after_its_own_command() -> None:
    """Otherwise a client could make a command that no horizon ever refuses."""
    log = Log(max_sessions=1)
    for since in (1, 2, 1 << 60):
        result = log.append("a", 1, since=since + log.index)
        assert not result.ok and "expected the index of an entry before this one" in (result.error or "")
    assert log.values == []


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["next", "same", "copy"]), st.integers(0, 30)), max_size=60
)


@given(STEPS, st.integers(1, 4), st.integers(0, 60))
def test_no_command_is_ever_applied_twice(steps: list[tuple[str, str, int]], max_sessions: int, restored: int) -> None:
    """Clients send, retry, begin new sessions when they are told to, and any copy that was ever sent arrives again. In
    between the machine is replaced by one that was restored from its snapshot."""
    log = Log(max_sessions)
    sessions = dict.fromkeys("abcd", (0, 0))  # since, serial
    sent: list[tuple[str, int, int]] = []
    for number, (client, what, ago) in enumerate(steps):
        if number == restored:
            other = Machine(max_sessions)
            other.restore(log.machine.snapshot())
            assert (other.digest, other.horizon) == (log.machine.digest, log.machine.horizon)
            log.machine = other
        since, serial = sessions[client]
        if what == "copy":
            if sent:
                who, serial, since = sent[-1 - ago % len(sent)]
                log.append(who, serial, since)
            continue
        serial += what == "next" or serial == 0
        sent.append((client, serial, since))
        sessions[client] = (log.index + 1, 0) if is_expired(log.append(client, serial, since)) else (since, serial)
    assert len(log.values) == len(set(log.values))


def test_a_client_that_goes_on_alone_is_refused_once() -> None:
    log = Log(max_sessions=1)
    log.append("a", 1)
    log.append("b", 1)
    assert is_expired(log.append("a", 2))
    since = log.index
    assert all(log.append("a", serial, since=since).ok for serial in range(1, 10))


def test_a_snapshot_without_forgotten_sessions_has_the_first_version() -> None:
    """So nodes of an earlier version read it, and runs without such sessions are those of before."""
    log = Log(max_sessions=2)
    for client in ("a", "b"):
        log.append(client, 1)
    assert log.machine.snapshot()[:2] == b"\x93\x01"
    log.append("c", 1)
    assert log.machine.snapshot()[:2] == b"\x95\x02"
