"""Each kind of fault is run in each world that has it, and one without an effect does not hide."""

from __future__ import annotations

import sys
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from raft_chaos.chaos.campaign import effects as effects_module
from raft_chaos.chaos.campaign.effects import Effects, Place, kinds_at, measure, measure_all
from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.judgement.analysis import Analysis
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.invariants.exposure import Exposure

SIM, LOCKSTEP, LIVE = Place(world="sim"), Place(world="lockstep"), Place(world="live")


@pytest.fixture
def tcp(tmp_path: Path) -> Place:
    """Our own node as a target, found wherever this test runs."""
    described = Path("examples/raft_node.toml").read_text("utf-8")
    file = tmp_path / "node.toml"
    file.write_text(described.replace('"raft-chaos node', f'"{Path(sys.executable).parent}/raft-chaos node'), "utf-8")
    return Place(world="live", target=str(file), network="tcp")


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def faked(monkeypatch: pytest.MonkeyPatch, effective: int, verdict: str = "valid") -> list[int]:
    """No seed is run; each pause has so many effects. Returns the seeds that would be run, as they come."""
    ran: list[int] = []

    def run(settings: object, seed: int, plan: object) -> Analysis:
        ran.append(seed)
        met = [
            Exposure(kind="kill", injected=9),
            Exposure(kind="pause", injected=2, effective=effective, in_election=1),
        ]
        return Analysis(verdict, [], [], {}, exposure=met)  # type: ignore[arg-type]

    monkeypatch.setattr(effects_module, "_run", run)
    return ran


def test_a_pause_has_an_effect_in_sim() -> None:
    found = measure("pause", SIM, 1)
    assert found.drawn == 1 <= found.tried
    assert found.exposure.effective and found.exposure.nodes and not found.is_inert and not found.violated


def test_a_place_has_the_kinds_that_exist_there(tcp: Place) -> None:
    assert kinds_at(SIM) == kinds_at(LOCKSTEP) == list(VIRTUAL_KINDS)
    assert {*kinds_at(LIVE)} <= {kind for kind in KINDS if KINDS[kind].in_live}
    assert {"clog", "throttle", "reset"} <= {*kinds_at(tcp)} and "throttle" not in kinds_at(LIVE)


def test_only_seeds_that_draw_the_kind_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = faked(monkeypatch, 1)
    found = measure("pause", SIM, 5)
    assert len(ran) == found.drawn == 5 < found.tried == ran[-1], "some seeds draw no pause"
    assert found.exposure == Exposure(kind="pause", injected=10, effective=5, in_election=5)


def test_there_are_fewer_runs_elsewhere_unless_nothing_had_an_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(faked(monkeypatch, 1)) == 0
    assert measure("pause", LOCKSTEP, 10).drawn == 2
    faked(monkeypatch, 0)
    inert = measure("pause", LOCKSTEP, 10)
    assert inert.drawn == 10 and inert.is_inert


def test_a_kind_that_no_seed_draws_is_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects_module, "MOST_TRIED", 3)
    plain = LIVE.settings(None)
    only_kills = replace(plain, schedule=replace(plain.schedule, faults=("kill",)))
    monkeypatch.setattr(Place, "settings", lambda self, faults: only_kills)
    found = measure("pause", LIVE, 2)
    assert (found.tried, found.drawn, found.is_inert) == (3, 0, True)


def test_a_wrong_verdict_and_an_absent_place_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = faked(monkeypatch, 1, "violated")
    assert measure("pause", SIM, 2).violated == ran

    def refuse(settings: object, seed: int, plan: object) -> Analysis:
        raise SetupError("no namespaces here")

    monkeypatch.setattr(effects_module, "_run", refuse)
    absent = measure("pause", LIVE, 2)
    assert absent.lacking == "no namespaces here" and not absent.is_inert


def test_a_place_that_is_lost_later_keeps_what_was_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = faked(monkeypatch, 0, "violated")
    run = effects_module._run

    def once(settings: Any, seed: int, plan: Any) -> Analysis:
        if ran:
            raise SetupError("no ports are left")
        return run(settings, seed, plan)

    monkeypatch.setattr(effects_module, "_run", once)
    found = measure("pause", LIVE, 10)
    assert (found.violated, found.drawn, found.lacking) == (ran, 1, "no ports are left") and len(ran) == 1


def test_all_kinds_of_all_places_are_measured(monkeypatch: pytest.MonkeyPatch, tcp: Place) -> None:
    def measured(kind: str, place: Place, seeds: int, stopped: object = None) -> Effects:
        return Effects(kind=kind, place=place.name, exposure=Exposure(kind=kind))

    monkeypatch.setattr(effects_module, "measure", measured)
    found = list(measure_all([SIM, LIVE, tcp], ["pause", "throttle"], 1, Here(), lambda: False))
    assert [(one.place, one.kind) for one in found] == [
        ("sim", "pause"),
        ("live", "pause"),
        ("live tcp", "pause"),
        ("live tcp", "throttle"),
    ]
    assert list(measure_all([SIM, LIVE], ["pause"], 1, Here(), lambda: True)) == []


def test_a_stop_does_not_wait_for_what_is_under_way() -> None:
    class Never(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            return Future()

    asked = iter([False, True, True])
    assert list(measure_all([SIM], ["pause"], 1, Never(), lambda: next(asked))) == []


def test_a_place_that_is_absent_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def absent(kind: str, place: Place, seeds: int, stopped: object) -> Effects:
        tried.append(kind)
        return Effects(kind=kind, place=place.name, exposure=Exposure(kind=kind), lacking="no namespaces")

    monkeypatch.setattr(effects_module, "measure", absent)
    found = list(measure_all([LIVE], ["kill", "pause"], 1, Here(), lambda: False))
    assert tried == ["kill"] and [(one.kind, one.lacking) for one in found] == [
        ("kill", "no namespaces"),
        ("pause", "no namespaces"),
    ]


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("world", ["lockstep", "live", "live tcp"])
def test_a_pause_has_an_effect_with_real_processes(world: str, tcp: Place) -> None:
    place = {"lockstep": LOCKSTEP, "live": LIVE, "live tcp": tcp}[world]
    found = measure("pause", place, 1)
    assert found.exposure.effective and not found.violated and not found.lacking
