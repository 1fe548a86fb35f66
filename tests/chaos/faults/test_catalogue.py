"""The catalogue of kinds, and which worlds have which kinds."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, KINDS, LIVE_KINDS, VIRTUAL_KINDS, AnyAction
from raft_chaos.chaos.faults.links import FRAMES
from raft_chaos.chaos.run.live.capabilities import LiveWorld
from raft_chaos.chaos.run.sim.capabilities import VirtualWorld
from raft_chaos.chaos.schedule.swarm import LATER, SHARED
from raft_chaos.invariants.checkers.standing import LEAVES_NO_LATE_FRAME

LIVE_WORLD = LiveWorld.__new__(LiveWorld)
# They are there as soon as the world is made:
LIVE_WORLD.links, LIVE_WORLD.heartbeats, LIVE_WORLD.traffic = [], True, FRAMES
VIRTUAL_WORLD = VirtualWorld.__new__(VirtualWorld)
VIRTUAL_WORLD._network = type("Network", (), {"links": {}})()  # type: ignore[assignment]


def test_the_kinds_are_those_that_saved_schedules_name() -> None:
    assert set(SHARED) == {"kill", "pause", "slow_sync", "partition", "clog", "network", "reset", "clock"}
    assert set(FAULT_KINDS) == {*SHARED, *LATER}
    assert set(SHARED) & set(LIVE_KINDS) == {"kill", "pause", "slow_sync", "partition", "network", "clock"}


def test_the_kinds_of_live_are_those_that_its_world_offers() -> None:
    offered = {name for name, kind in KINDS.items() if isinstance(LIVE_WORLD, kind.needs)}
    assert offered == {name for name, kind in KINDS.items() if kind.in_live}
    assert set(LIVE_KINDS) == offered - {"clog", "throttle", "reset", "wipe"}, "our own Raft has none of these"


def test_the_kinds_of_virtual_time_are_those_that_its_world_offers() -> None:
    assert tuple(name for name, kind in KINDS.items() if isinstance(VIRTUAL_WORLD, kind.needs)) == VIRTUAL_KINDS
    assert set(VIRTUAL_KINDS) == set(FAULT_KINDS) - {"throttle", "wipe"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=FAULT_KINDS)
def test_each_kind_describes_itself(kind: type[Action]) -> None:
    assert KINDS[kind.kind()] is kind
    assert kind.about and "\n" not in kind.about
    for method in ("draw", "domain", "strike", "summary", "without"):
        assert getattr(kind, method) != getattr(Action, method), f"{method} is not there"
    assert inspect.getdoc(kind)


def test_the_checkers_know_after_which_kinds_no_frame_is_late() -> None:
    assert {name for name, kind in KINDS.items() if not kind.late_frames} == LEAVES_NO_LATE_FRAME


def test_a_saved_action_is_recognised_by_its_type() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'fire'"):
        msgspec.json.decode(b'{"type":"fire","nodes":["n1"]}', type=AnyAction)
