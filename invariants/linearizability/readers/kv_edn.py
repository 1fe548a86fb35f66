"""`kv-edn`: a key-value store of strings, initially "", with append at the end; for the model kv-append.

    {:process 1, :type :invoke, :f :append, :key "0", :value "x"}
    {:process 1, :type :ok, :f :append, :key "0", :value "x"}
    {:process 1, :type :invoke, :f :get, :key "0", :value nil}
    {:process 1, :type :ok, :f :get, :key "0", :value "x"}

Functions are :get, :put and :append. The order of the maps is the order in time (see `edn_events`).
"""

from __future__ import annotations

from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Function, Model
from raft_chaos.invariants.linearizability.readers.edn import shown
from raft_chaos.invariants.linearizability.readers.edn_events import NANOSECONDS, EdnEvents, Event, is_scalar
from raft_chaos.invariants.linearizability.readers.history_file import ReadHistory
from raft_chaos.invariants.linearizability.readers.pairing import Pairing

_FUNCTIONS: dict[str, Function] = {"get": "read", "put": "write", "append": "append"}


def read(file: str, raw: bytes, model: Model) -> ReadHistory:
    """The history in a file's content; `file` is its name in errors."""
    pairing = Pairing(file, NANOSECONDS, shown)
    events = EdnEvents(file, raw, pairing)
    for event in events:
        f = _FUNCTIONS.get(event.f)
        if f is None:
            raise pairing.error(event.line, f"unknown function :{event.f}; this store has :get, :put and :append")
        if not is_scalar(event.key):
            raise pairing.error(event.line, f"the :key: expected a string or a number, got {shown(event.key)}")
        if event.ending is None:
            _call(pairing, event, f)
        else:
            _end(pairing, event, f)
    return pairing.history(skipped=events.skipped)


def _call(pairing: Pairing, event: Event, f: Function) -> None:
    value = None if f == "read" else event.value  # the invocation of a get may hold the value that it will return
    if f != "read" and type(value) is not str:
        raise pairing.error(event.line, f"the :value of a :{event.f}: expected a string, got {shown(value)}")
    pairing.call(event.line, event.process, f, event.key, value)


def _end(pairing: Pairing, event: Event, f: Function) -> None:
    assert event.ending is not None
    paired = pairing.end(event.line, event.process, f, event.ending)
    pairing.same(event.line, ":key", event.key, paired, paired.key)
    if event.ending != "ok":
        return
    if f != "read":
        if event.value is not None and event.value is not NOT_REPORTED:
            pairing.same(event.line, ":value", event.value, paired, paired.value)
    elif type(event.value) is not str:
        raise pairing.error(
            event.line, f'the :value of a :get: expected a string (initially ""), got {shown(event.value)}'
        )
    else:
        paired.result = event.value
