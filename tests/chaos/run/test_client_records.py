"""The clients' records: process numbers, sessions, and the counts of the history."""

from __future__ import annotations

from raft_chaos.chaos.run.client_records import ClientRecord, History
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import Outcome
from raft_chaos.invariants.history import Op


def put(number: int) -> Operation:
    return Operation(id=f"c1/{number}", client="c1", at_us=0, f="put", key="x", value=f"v{number}")


def record(place: int = 1, clients: int = 4) -> tuple[ClientRecord, list[Op], History]:
    seen: list[Op] = []
    history = History(seen.append)
    times = iter(range(100, 200))
    return (
        ClientRecord(name="c1", place=place, clients=clients, history=history, now_us=lambda: next(times)),
        seen,
        history,
    )


def test_an_operation_is_recorded_as_it_begins_and_as_it_ends() -> None:
    client, seen, _ = record()
    cas = Operation(id="c1/7", client="c1", at_us=50, f="cas", key="x", value="new", expected="old")
    client.invoked(cas)
    client.ended(cas, Outcome("fail", "other", index=9, term=2, error="not as expected"))
    same = {"process": 1, "client": "c1", "op": "c1/7", "f": "cas", "key": "x", "expected": "old"}
    assert seen == [
        Op(type="invoke", t_us=100, value="new", **same),  # type: ignore[arg-type]
        Op(type="fail", t_us=101, value="other", index=9, term=2, error="not as expected", **same),  # type: ignore[arg-type]
    ]


def test_a_final_read_is_marked_in_the_history() -> None:
    client, seen, _ = record()
    read = Operation(id="c1/8", client="c1", at_us=50, f="get", key="x", final=True)
    client.invoked(read)
    client.ended(read, Outcome("ok", "v"))
    assert [op.final for op in seen] == [True, True]


def test_a_client_gets_a_new_process_and_session_after_an_unknown_outcome() -> None:
    client, seen, _ = record(place=1, clients=4)
    assert (client.process, client.session) == (1, "c1.1")
    assert [client.next_serial(), client.next_serial()] == [1, 2]
    for number, outcome in enumerate([Outcome("ok"), Outcome("info"), Outcome("info"), Outcome("fail")]):
        client.invoked(put(number))
        client.ended(put(number), outcome)
    assert [(op.process, op.type) for op in seen] == [
        (1, "invoke"),
        (1, "ok"),
        (1, "invoke"),
        (1, "info"),
        (5, "invoke"),
        (5, "info"),
        (9, "invoke"),
        (9, "fail"),
    ]
    assert (client.process, client.session, client.next_serial()) == (9, "c1.9", 1)


def test_no_two_clients_share_a_process_number() -> None:
    numbers: set[int] = set()
    for place in range(3):
        client, seen, _ = record(place, clients=3)
        for number in range(20):
            client.invoked(put(number))
            client.ended(put(number), Outcome("info"))
        mine = {op.process for op in seen}
        assert len(mine) == 20 and mine.isdisjoint(numbers)
        numbers |= mine


def test_the_history_counts_its_operations() -> None:
    client, seen, history = record()
    for number, outcome in enumerate([Outcome("ok"), Outcome("info"), Outcome("ok")]):
        client.invoked(put(number))
        client.ended(put(number), outcome)
    assert history.counts == {"invoke": 3, "ok": 2, "fail": 0, "info": 1}
    assert len(seen) == 6
