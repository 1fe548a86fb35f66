"""Keywords give the settings that the options of the command line give."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builders.schedules import schedule
from raft_chaos.api.seeds import seeds_of
from raft_chaos.chaos.cli.run import running as command_line
from raft_chaos.chaos.run.option import OptionError
from raft_chaos.chaos.run.options import settings_of
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunInfo

SHELF = str(Path(__file__).parents[2] / "examples" / "shelf.toml")

CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"world": "sim"}, ["--world", "sim"]),
    ({"world": "lockstep", "swarm": False, "peer_auth": True}, ["--world", "lockstep", "--no-swarm", "--peer-auth"]),
    (
        {"nodes": 3, "duration": 6.0, "fault_interval": 0.5, "faults": ["kill", "pause"], "tls": True},
        ["--nodes", "3", "--duration", "6", "--fault-interval", "0.5", "--faults", "kill,pause", "--tls"],
    ),
    (
        {"mutant": "vote_not_persisted", "election_timeout": (200, 400), "heartbeat": 40},
        ["--mutant", "vote_not_persisted", "--election-timeout", "200-400", "--heartbeat", "40"],
    ),
    ({"target": SHELF, "rate": 20}, ["--target", SHELF, "--rate", "20"]),
    ({"target": "slow.toml"}, ["--target", "slow.toml"]),
    ({"target_command": "node {node} {http_port}", "network": "none"}, []),
]


class DescribedError(Exception):
    """Ends the command where its settings are known."""


@pytest.mark.parametrize(("keywords", "words"), CASES, ids=lambda case: " ".join(map(str, case)) or "defaults")
def test_the_settings_are_those_of_the_command_line(
    keywords: dict[str, Any], words: list[str], command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.toml").write_text(f"rate = 7\n{Path(SHELF).read_text('utf-8')}", encoding="utf-8")
    if "target_command" in keywords:
        words = ["--target-command", keywords["target_command"], "--network", "none"]
    seen: list[Settings] = []

    def describe(settings: Settings, *_: object) -> RunInfo:
        seen.append(settings)
        raise DescribedError

    monkeypatch.setattr(command_line, "describe", describe)
    command("run", "--seed", 3, "--out", tmp_path, *words)
    (theirs,) = seen
    ours, _ = settings_of(keywords)
    assert sorted(ours.options) == sorted(theirs.options)
    assert msgspec.structs.replace(ours, options=[]) == msgspec.structs.replace(theirs, options=[])


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"wrold": "sim"}, "wrold: there is no such option; did you mean 'world'?"),
        ({"world": "simulator"}, "world: there is no 'simulator'; there are sim, lockstep, live"),
        ({"mutant": "nobody"}, "mutant: there is no 'nobody'"),
        ({"target": "none.toml"}, "target: none.toml: there is no such file"),
        ({"mutant": "vote_not_persisted", "target": SHELF}, "mutant: it excludes target: a mutant is our own Raft"),
        ({"world": "sim", "target": SHELF}, "world: only our own Raft runs in virtual time"),
        ({"swarm": True}, "swarm: it draws faults that only virtual time has"),
        (
            {"world": "sim", "peer_auth": True},
            "peer_auth: nodes in sim have no connections, so no handshake; give world='live' or",
        ),
        (
            {"world": "sim", "tls": True},
            "tls: in the world sim the harness carries each message itself; leave out tls",
        ),
        ({"network": "tcp"}, "network: only the target of somebody else has a choice"),
        ({"faults": ["kil"]}, "faults: 'kil' is unknown in the world live; did you mean 'kill'?"),
        ({"faults": []}, "faults: expected some of"),
        ({"rate": 0}, "rate: expected more than 0"),
        ({"rate": "fast"}, "rate: expected a number, got 'fast'"),
        ({"max_events": 0}, "max_events: expected at least 1, got 0"),
        ({"duration": 1}, "duration: expected at least"),
        ({"election_timeout": "soon"}, "election_timeout: expected two numbers of milliseconds"),
        ({"heartbeat": 1000}, "heartbeat: the heartbeat interval"),
        ({"schedule": "none.jsonl"}, "schedule: none.jsonl"),
    ],
)
def test_a_wrong_option_is_named(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as error:
        settings_of(keywords)
    assert str(error.value).startswith(said)


def test_seeds() -> None:
    assert seeds_of(3) == [1, 2, 3]
    assert seeds_of("5..7,9") == [5, 6, 7, 9]
    assert seeds_of([4, 2, 4]) == [4, 2]
    for wrong in (0, "", "1..x", [], [-1], "5..2"):
        with pytest.raises(OptionError):
            seeds_of(wrong)


def test_a_simulated_network_too_slow_for_an_election_is_refused(tmp_path: Path) -> None:
    """A correct cluster might not recover on it, and would be judged violated."""
    plan = schedule(safety_us=(700_000, 3_200_000))
    model = SimModel(latency_min_us=100, latency_max_us=60_000, sync_min_us=100, sync_max_us=15_000)
    file = tmp_path / "slow.jsonl"
    save(msgspec.structs.replace(plan, header=msgspec.structs.replace(plan.header, model=model)), file)
    with pytest.raises(OptionError, match=r"slow\.jsonl: model: a vote takes up to 150000 µs"):
        settings_of({"world": "sim", "schedule": str(file)})


def test_an_error_survives_the_way_from_another_process() -> None:
    error = OptionError("swarm", "give «world sim» with it")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.on_the_command_line()) == (
        "swarm: give world='sim' with it",
        "--swarm: give --world sim with it",
    )
