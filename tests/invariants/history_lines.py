"""Writes lines of histories in each format, and reads histories from text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.readers.formats import READERS, Format, model_for
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory


def read(form: Format, text: str, model: Model | None = None) -> ReadHistory:
    return READERS[form].read("h", text.encode(), model_for(Path("h"), form, model))


def mistake(form: Format, text: str, model: Model | None = None) -> str:
    with pytest.raises(HistoryError) as caught:
        read(form, text, model)
    return str(caught.value)


def line(kind: str, process: int, f: str, t_us: int, **more: Any) -> str:
    """One line of history.jsonl."""
    head = {"type": kind, "process": process, "client": f"c{process}", "op": f"c{process}/1", "f": f, "key": "x"}
    return json.dumps(head | {"t_us": t_us} | more) + "\n"


def logged(*lines: str) -> str:
    return "".join(f"INFO  jepsen.util - {each}\n".replace(" :", "\t:") for each in lines)


def store(process: int, kind: str, f: str, value: str | None = None, key: str = '"0"') -> str:
    reported = "" if value is None else f", :value {value}"
    return f"{{:process {process}, :type :{kind}, :f :{f}, :key {key}{reported}}}\n"


def jepsen(process: object, kind: str, f: str, value: str = "nil", more: str = "") -> str:
    return f"{{:process {process}, :type :{kind}, :f :{f}, :value {value}{more}}}\n"
