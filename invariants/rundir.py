"""A run directory: where everything of one run is, and how to read it back.

    run.json              RunInfo: seed, configuration, versions, and at the end the verdicts and statistics
    schedule.jsonl        the faults and client operations that the run obeyed
    history.jsonl         client operations (invariants.history), one a line, in the order the clients saw them
    harness.jsonl         the harness's own events
    nodes/<id>/events-<inc>.jsonl   that incarnation's events, in its own order
    nodes/<id>/stderr.log           what the node said on stderr, all incarnations
    nodes/<id>/data/                the node's data folder

The directory is written before and during the run, so that what a killed controller leaves can still be judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from invariants import events, history
from invariants.events import AnyEvent
from invariants.history import Op
from invariants.verdict import Outcome, Verdict

RUN_SCHEMA = 1


class RunInfo(msgspec.Struct, kw_only=True, omit_defaults=False):
    """run.json. `state` is "running" until the controller finished its analysis ("finished").

    `reports_events`: the target's nodes write event files.

    `config` is the full configuration of the run as plain JSON, `stats` its numbers, `vacuous` what was missing for
    the run to mean anything, `repro` the command that repeats it. `verdict` is None while the run goes on.
    """

    schema: int = RUN_SCHEMA
    seed: int
    world: str = "live"
    target: str = "raft"
    reports_events: bool = True
    mutant: str | None = None
    state: str = "running"
    started_at: str = ""
    commit: str | None = None
    versions: dict[str, str] = {}
    nodes: list[str] = []
    config: dict[str, Any] = {}
    verdict: Outcome | None = None
    invariants: list[Verdict] = []
    vacuous: list[str] = []
    stats: dict[str, float | int | str] = {}
    repro: str = ""


class RunDirError(Exception):
    """The directory cannot be read as a run: the message says which file, where in it, and what was expected."""


@dataclass(frozen=True)
class RunDir:
    """The paths of one run directory."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def schedule(self) -> Path:
        return self.path / "schedule.jsonl"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def harness(self) -> Path:
        return self.path / "harness.jsonl"

    def node(self, node: str) -> Path:
        return self.path / "nodes" / node

    def node_events(self, node: str, inc: int) -> Path:
        return self.node(node) / f"events-{inc:04d}.jsonl"

    # ---- writing run.json ----

    def save_info(self, info: RunInfo) -> None:
        """Replaces run.json as a whole, so that a reader never sees half of it."""
        staged = self.run_json.with_suffix(".json.new")
        staged.write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")
        staged.replace(self.run_json)

    # ---- reading ----

    def load_info(self) -> RunInfo:
        """run.json. Raises RunDirError where it is missing, damaged, or of a newer schema."""
        try:
            raw = self.run_json.read_bytes()
        except OSError as error:
            raise RunDirError(
                f"{self.path} is not a run directory: cannot read {self.run_json.name} ({error.strerror})"
            ) from None
        try:
            info = msgspec.json.decode(raw, type=RunInfo)
        except msgspec.MsgspecError as error:
            raise RunDirError(f"{self.run_json}: {error}") from None
        if info.schema > RUN_SCHEMA:
            raise RunDirError(
                f"{self.run_json}: schema {info.schema} is newer than {RUN_SCHEMA}, the newest that this version reads"
            )
        return info

    def node_streams(self) -> list[list[AnyEvent]]:
        """For each node its events, its incarnations one after the other, in that node's own order.

        Raises RunDirError for a file that cannot be read, and for a line that is another node's or incarnation's.
        """
        streams: list[list[AnyEvent]] = []
        for folder in sorted(path for path in (self.path / "nodes").glob("*") if path.is_dir()):
            files = [(int(m[1]), f) for f in folder.iterdir() if (m := re.fullmatch(r"events-(\d+)\.jsonl", f.name))]
            stream: list[AnyEvent] = []
            for inc, file in sorted(files):
                stream.extend(_own_lines(file, folder.name, inc))
            if stream:
                streams.append(stream)
        return streams

    def harness_events(self) -> list[AnyEvent]:
        return list(_lines(self.harness, events.decode))

    def operations(self) -> list[Op]:
        return list(_lines(self.history, history.decode))

    def schedule_lines(self) -> list[dict[str, Any]]:
        """The schedule as plain JSON objects: its types belong to `chaos`, which this package does not know."""
        return list(_lines(self.schedule, _json_object.decode))


_json_object = msgspec.json.Decoder(dict[str, Any])


def _own_lines(file: Path, node: str, inc: int) -> Iterator[AnyEvent]:
    for number, event in enumerate(_lines(file, events.decode), 1):
        if (event.node, event.inc) != (node, inc):
            raise RunDirError(
                f"{file}:{number}: an event of {event.node}, incarnation {event.inc}; "
                f"this file is that of {node}, incarnation {inc}"
            )
        yield event


def _lines(file: Path, decode: Any) -> Iterator[Any]:
    """The decoded lines of a file. A last line without its newline was torn by a kill and is forgiven; no other is."""
    if not file.exists():
        return
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise RunDirError(f"{file}: cannot be read ({error.strerror})") from None
    whole = raw[: raw.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield decode(line)
        except msgspec.MsgspecError as error:
            raise RunDirError(f"{file}:{number}: {error}") from None
