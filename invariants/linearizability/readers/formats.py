"""The formats by name, the models of each, guessing a file's format, and reading a file."""

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
from raft_chaos.invariants.regular_file import read_regular

Format: TypeAlias = Literal["jsonl", "jepsen-log", "kv-edn", "edn"]


class Reader(NamedTuple):
    """`read` takes a file's name and content. `why` says why the format fits only these models."""

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
"""The format is guessed from this many bytes, except that of a log: it may begin with other lines, so it is searched
completely."""


def contents(path: Path) -> bytes:
    """The content of a file. Raises HistoryError if it cannot be read or is empty."""
    try:
        raw = read_regular(path)
    except OSError as error:
        raise HistoryError(str(path), None, f"cannot be read ({error.strerror})") from None
    if not raw.removeprefix(BOM_UTF8).strip():
        raise HistoryError(str(path), None, "is empty")
    return raw


def guess(path: Path, raw: bytes) -> Format:
    """Guesses a file's format from its content, or else from its name. Raises HistoryError if neither is enough."""
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
    """The model to judge by. `model` may be None if the format has only one. Raises HistoryError for a wrong model."""
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
    """`kv-edn` if the maps of clients have a :key, otherwise `edn`. Ignores invalid EDN, which the reader reports."""
    try:
        for _, form in islice(forms("", begins.decode(errors="ignore")), 1000):
            value = form.value if type(form) is Tagged else form
            if type(value) is dict and type(value.get(PROCESS)) is int:
                return "kv-edn" if KEY in value else "edn"
    except HistoryError:
        pass  # the text may be invalid, or cut at the end of what is looked at
    return "edn"
