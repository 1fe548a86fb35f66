"""Traces in the JSON of Chrome's trace event format, which ui.perfetto.dev opens.

Source: "Trace Event Format" (Google, 2013 to 2016), and Perfetto's documentation, "Other trace formats". Times are in
µs, as here. Slices on one track must nest, or the viewer drops some: `Lanes` puts overlapping ones side by side. A flow
binds to the slice that is open on its track at its time, the last one that began: so each is written right
after its slice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

TraceEvent: TypeAlias = dict[str, Any]


class Process:
    """A group of tracks. Groups and tracks stand in the order in which they are made."""

    def __init__(self, trace: Trace, number: int, name: str) -> None:
        self._trace, self.number = trace, number
        self._tracks = 0
        trace.describe("process_name", number, 0, {"name": name})
        trace.describe("process_sort_index", number, 0, {"sort_index": number})

    def track(self, name: str) -> Track:
        self._tracks += 1
        self._trace.describe("thread_name", self.number, self._tracks, {"name": name})
        self._trace.describe("thread_sort_index", self.number, self._tracks, {"sort_index": self._tracks})
        return Track(self._trace, self.number, self._tracks)

    def counter(self, name: str, at_us: int, value: int) -> None:
        """From now on the counter has this value."""
        self._trace.events.append({"ph": "C", "name": name, "pid": self.number, "ts": at_us, "args": {name: value}})


class Track:
    """One track."""

    def __init__(self, trace: Trace, process: int, number: int) -> None:
        self._trace, self._process, self._number = trace, process, number

    def slice(self, name: str, category: str, from_us: int, until_us: int, **args: Any) -> None:
        self._add("X", name, category, from_us, dur=max(1, until_us - from_us), args=args)

    def instant(self, name: str, category: str, at_us: int, *, everywhere: bool = False, **args: Any) -> None:
        """A moment; `everywhere` draws it through all tracks."""
        self._add("i", name, category, at_us, s="g" if everywhere else "t", args=args)

    def flow_from(self, flow: int, category: str, at_us: int) -> None:
        """An arrow starts in the slice that began at that time."""
        self._add("s", category, category, at_us, id=flow)

    def flow_to(self, flow: int, category: str, at_us: int) -> None:
        """It ends in the slice that began at that time."""
        self._add("f", category, category, at_us, id=flow, bp="e")

    def _add(self, phase: str, name: str, category: str, at_us: int, **more: Any) -> None:
        event = {"ph": phase, "name": name, "cat": category, "pid": self._process, "tid": self._number, "ts": at_us}
        self._trace.events.append(event | more)


class Lanes:
    """Tracks of one kind, as many as slices overlap at the most."""

    def __init__(self, process: Process, name: str) -> None:
        self._process, self._name = process, name
        self._free: list[tuple[Track, int]] = []

    def slice(self, name: str, category: str, from_us: int, until_us: int, **args: Any) -> None:
        """To be called in the order of `from_us`."""
        place = next((n for n, (_, free_us) in enumerate(self._free) if free_us <= from_us), len(self._free))
        if place == len(self._free):
            self._free.append((self._process.track(self._name), 0))
        track, _ = self._free[place]
        self._free[place] = (track, max(until_us, from_us + 1))
        track.slice(name, category, from_us, until_us, **args)


class Trace:
    """A trace under construction."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self._processes = 0

    def process(self, name: str) -> Process:
        self._processes += 1
        return Process(self, self._processes, name)

    def describe(self, what: str, process: int, track: int, args: dict[str, Any]) -> None:
        self.events.append({"ph": "M", "name": what, "pid": process, "tid": track, "args": args})

    def encoded(self, about: dict[str, Any]) -> str:
        """The trace as one JSON document, an event on each line."""
        lines = ",\n".join(msgspec.json.encode(event).decode() for event in self.events)
        head = msgspec.json.encode({"displayTimeUnit": "ms", "otherData": about}).decode()
        return f'{head[:-1]},"traceEvents":[\n{lines}\n]}}\n'


def texts(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The arguments of an event, without those that are not known."""
    return {name: value for name, value in values if value not in (None, "", ())}
