"""The formats by name, which models each is for, how one is told from another, and reading a file."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from raft_chaos.invariants.linearizability.operations import Model
from raft_chaos.invariants.linearizability.readers import jepsen_edn, jepsen_log, jsonl, kv_edn
from raft_chaos.invariants.linearizability.readers.edn import Tagged, forms
from raft_chaos.invariants.linearizability.readers.edn_events import KEY, PROCESS
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError, ReadHistory

Format: TypeAlias = Literal["jsonl", "jepsen-log", "kv-edn", "edn"]


class Reader(NamedTuple):
    """`read` takes a file's name and content; `why` says why it is for these models alone."""

    read: Callable[[str, bytes, Model], ReadHistory]
    models: tuple[Model, ...]
    why: str


READERS: dict[Format, Reader] = {
    "jsonl": Reader(
        jsonl.read, ("kv",), "it holds operations of our key-value store, whose puts, cas and lists kv judges together"
    ),
    "jepsen-log": Reader(jepsen_log.read, ("register",), "it holds reads, writes and cas of one register"),
    "kv-edn": Reader(kv_edn.read, ("kv-append",), "its appends add to a string"),
    "edn": Reader(
        jepsen_edn.read, ("register", "list-append"), "it holds reads, writes and cas, or transactions on lists"
    ),
}

_SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".log": "jepsen-log", ".edn": "edn"}
_LOGGED = re.compile(rb"\bjepsen\.util\b[\s:-]*\d+\s+:(?:invoke|ok|fail|info)\s")
_LOOKED_AT = 64 * 1024
"""How many bytes a file's format is guessed from; a log may begin with much else, and is searched whole."""


def contents(path: Path) -> bytes:
    """Raises HistoryError for a file that cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise HistoryError(str(path), None, f"cannot be read ({error.strerror})") from None
    if not raw.removeprefix(BOM_UTF8).strip():
        raise HistoryError(str(path), None, "is empty")
    return raw


def guess(path: Path, raw: bytes) -> Format:
    """The format of a file by its content, and where that does not tell, by its name."""
    begins = raw.removeprefix(BOM_UTF8).lstrip(b" \t\r\n,")
    if re.match(rb'\{\s*["}]', begins):
        return "jsonl"
    if _LOGGED.search(raw):
        return "jepsen-log"
    if begins[:1] in (b"{", b"[", b"(", b"#", b";"):
        return _kind_of_edn(begins[:_LOOKED_AT])
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    raise HistoryError(str(path), None, f"cannot tell its format; expected --format with one of {', '.join(READERS)}")


def model_for(path: Path, form: Format, model: Model | None) -> Model:
    """The model to judge by; it may be left open where the format has only one. Raises HistoryError for a misfit."""
    reader = READERS[form]
    if model is None and len(reader.models) == 1:
        return reader.models[0]
    if model is None or model not in reader.models:
        misfit = "needs a model" if model is None else f"does not fit the model {model}: {reader.why}"
        raise HistoryError(
            str(path), None, f"the format {form} {misfit}; expected --model {' or '.join(reader.models)}"
        )
    return model


def _kind_of_edn(begins: bytes) -> Format:
    """A client's map in a file of our kind has a :key. What is no EDN is told when it is read."""
    try:
        for _, form in islice(forms("", begins.decode(errors="ignore")), 1000):
            value = form.value if type(form) is Tagged else form
            if type(value) is dict and type(value.get(PROCESS)) is int:
                return "kv-edn" if KEY in value else "edn"
    except HistoryError:
        pass  # also since only the beginning was looked at
    return "edn"
