"""Measures the cost of the journal: our Raft as in a live run, with events, with and without a journal."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec.structs import replace

from bench.measures import Bench, Row
from bench.systems import Place, System, raft_arguments
from raft_chaos.chaos.targets.raft_process import node_main

CLIENTS = (1, 64)


def _arguments(place: Place, journal: bool) -> tuple[Any, ...]:
    config, mutant = raft_arguments(place)
    name = f"{place.folder}-{place.incarnation}"
    return replace(
        config, events_file=f"{name}.events", journal_file=f"{name}.journal" if journal else None, fault_disk=True
    ), mutant


JOURNALED = System("with a journal", node_main, partial(_arguments, journal=True))
UNJOURNALED = System("without", node_main, partial(_arguments, journal=False))


def measure(bench: Bench) -> list[Row]:
    """Throughput and latency of both, in turn."""
    rows: list[Row] = []
    for clients in CLIENTS:
        rows += bench.rounds(partial(bench.throughput, clients=clients), JOURNALED, UNJOURNALED)
    return rows
