"""A change of the members (§6) in an execution: submitted by the harness, saved, loaded, played and told."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from builders.executions import ELECTION, GET, PUT, WRITE, Lines, execution
from raft_chaos.chaos.execution.narrate import narrate
from raft_chaos.chaos.execution.player import Player
from raft_chaos.chaos.execution.recording import Calls
from raft_chaos.chaos.execution.steps import Call, Deliver, Execution, Persist, Step, Submit, check
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import Change
from raft_chaos.raft.state.features import Features

REMOVE = Calls.of_change("change/0", Change(remove=("n3",)))

CHANGED: tuple[Step, ...] = (
    *ELECTION,
    *WRITE,
    Submit("n1", "change/0"),  # 19: the joint voters
    Persist("n1"),  # 20
    Deliver(19, "n2"),  # 21
    Persist("n2"),  # 22
    Deliver(22, "n1"),  # 23: they are committed, and the new ones appended
    Persist("n1"),  # 24
    Deliver(23, "n2"),  # 25
    Persist("n2"),  # 26
    Deliver(26, "n1"),  # 27: n3 is no member any more
)


def changing(steps: tuple[Step, ...] = CHANGED, features: Features | None = None) -> Execution:
    made = execution(steps, (PUT, GET, REMOVE))
    features = features or Features(check_quorum=True, membership="joint")
    return replace(made, timing=replace(made.timing, features=features))


def played(one: Execution) -> Lines:
    check(one)
    saved = msgspec.json.decode(msgspec.json.encode(one), type=Execution)
    assert saved == one
    lines = Lines()
    done = Player(saved, MemoryDriver(Parts()), recorder=lines).play()
    assert done.done == list(range(len(one.steps)))
    assert not [verdict for verdict in done.verdicts if verdict.outcome == "violated"]
    return lines


def test_it_is_saved_loaded_and_played() -> None:
    used = [(line["node"], line["index"], line["members"]) for line in played(changing()).of("configuration_used")]
    joint, new = {"voters": ["n1", "n2"], "old_voters": ["n1", "n2", "n3"]}, {"voters": ["n1", "n2"]}
    assert used == [("n1", 3, joint), ("n2", 3, joint), ("n1", 4, new), ("n2", 4, new)]


def test_without_the_feature_it_changes_nothing() -> None:
    lines = played(changing(CHANGED[:20], Features(check_quorum=True)))
    assert lines.of("configuration_used") == []


def test_its_steps_are_told() -> None:
    told = "\n".join(narrate(changing(), Parts()))
    assert "n1 is asked by the harness: change/0, remove n3" in told
    assert "uses configuration 4: voters n1 n2" in told


def test_a_change_is_no_operation_of_a_client() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": "c", "client": "c0", "process": 0, "f": "changes", "key": "", "session": None}, Call)
