"""The state machine: the unmodified core passes, mutants are convicted, and failures are shrunk and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from typer.testing import CliRunner

from raft_chaos.chaos.cli.app import app
from raft_chaos.chaos.execution.steps import ExecutionError, Submit, Timeout
from raft_chaos.chaos.reproduction.file import Reproduction, load
from raft_chaos.chaos.reproduction.reproduce import reproduce
from raft_chaos.chaos.testing.state_machine import REPRODUCTIONS, InvariantViolatedError, RaftStateMachine
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts

BASE = settings(
    RaftStateMachine.TestCase.settings, derandomize=True, database=None, print_blob=False, report_multiple_bugs=False
)
UNSHRUNK = settings(BASE, max_examples=500, phases=[Phase.generate])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for reproduction files."""
    monkeypatch.setenv(REPRODUCTIONS, str(tmp_path / "found"))
    return tmp_path / "found"


def failure(machine: type[RaftStateMachine], how: settings) -> BaseException:
    with pytest.raises((AssertionError, ValueError)) as caught:
        run_state_machine_as_test(machine, settings=how)
    return caught.value


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def only_file(folder: Path) -> Reproduction:
    [file] = folder.iterdir()
    return load(file)


def moved(machine: RaftStateMachine, *does: Callable[[], None]) -> RaftStateMachine:
    """A machine driven by hand, as in the program that hypothesis prints."""
    for do in does:
        do()
        machine.judged()
    return machine


# ---- the unmodified core ---------------------------------------------------------------------------------------------


class Counted(RaftStateMachine):
    """A machine of the unmodified core that counts the results of its examples."""

    steps: ClassVar[int] = 0
    commits: ClassVar[int] = 0

    def teardown(self) -> None:
        super().teardown()
        type(self).steps += len(self.execution.steps)
        type(self).commits += self.cluster.player.view.highest_commit > 1


class Five(Counted):
    nodes = 5


@pytest.mark.parametrize(("machine", "least_steps"), [(Counted, 2_000), (Five, 1_000)])
def test_all_invariants_hold_in_the_unmodified_core(machine: type[Counted], least_steps: int, folder: Path) -> None:
    run_state_machine_as_test(machine, settings=settings(BASE, max_examples=30 if machine is Counted else 10))
    assert machine.steps > least_steps and machine.commits > 5
    assert not folder.exists()


# ---- mistakes ------------------------------------------------------------------------------------------------------


class ForgetsVotes(RaftStateMachine):
    mutant = "vote_not_persisted"


def test_a_failure_is_shrunk_and_saved_in_one_file(folder: Path) -> None:
    error = failure(ForgetsVotes, settings(BASE, max_examples=100))
    assert isinstance(error, InvariantViolatedError) and error.violation.invariant == "one_vote_per_term"
    file = folder / "test_state_machine.ForgetsVotes.json"
    assert list(folder.iterdir()) == [file]
    reproduction = load(file)
    assert reproduction.execution is not None and len(reproduction.execution.steps) == 5
    assert f"raft-chaos repro {file}" in notes(error)
    assert "n1 crashes, 0 of its unsynced bytes reach the disk" in notes(error)
    run = CliRunner()
    assert run.invoke(app, ["repro", str(file)]).exit_code == 1
    assert run.invoke(app, ["repro", str(file), "--mutant", "none"]).exit_code == 0


@pytest.mark.parametrize(
    ("mutant_id", "invariant"), [("no_up_to_date_check", "leader_completeness"), ("match_starts_valid", "")]
)
def test_a_mistake_is_found_and_reproduced(mutant_id: str, invariant: str, folder: Path) -> None:
    class Mistaken(RaftStateMachine):
        mutant = mutant_id

    error = failure(Mistaken, UNSHRUNK)
    assert isinstance(error, InvariantViolatedError)
    reproduction = only_file(folder)
    assert reproduction.expected.invariant == error.violation.invariant
    assert reproduction.expected.invariant.startswith(invariant)
    again = reproduce(reproduction, mutant_id)
    assert again.outcome == "reproduced" and again.same_trace and not again.skipped
    assert reproduce(reproduction, None).outcome == "holds"


# ---- a user's own rules, invariants and parts ----------------------------------------------------------------------


class Chatty(RaftStateMachine):
    """With a rule and an invariant of its own, which is too strict; and it never crashes."""

    crash = None  # type: ignore[assignment]
    bounce = None  # type: ignore[assignment]

    @precondition(lambda self: self.leader() is not None and self.cluster.open_call("c0") is None)
    @rule()
    def write(self) -> None:
        leader = self.leader()
        assert leader is not None
        self.submit("c0", leader, "put", "reg/c0", "mine")
        self.settle(self.up())

    @invariant()
    def nobody_has_more_than_two_entries(self) -> None:
        for node in self.up():
            assert self.log(node).last_index <= 2, f"{node} has more than two entries"


def test_a_failure_of_the_users_own_invariant_lists_its_steps_and_saves_no_file(folder: Path) -> None:
    error = failure(Chatty, settings(BASE, max_examples=100))
    assert "has more than two entries" in str(error) and not isinstance(error, InvariantViolatedError)
    assert "The steps of the failure:" in notes(error) and "c0 invokes c0/0: put reg/c0 mine" in notes(error)
    assert "raft-chaos repro" not in notes(error) and "crashes" not in notes(error)
    assert not folder.exists()


class VotesForAll(Core):
    def _may_vote_for(self, candidate: str) -> bool:
        return True


class OwnCore(RaftStateMachine):
    parts = Parts(core=VotesForAll)


@pytest.mark.slow
def test_a_failure_with_the_users_own_parts_lists_its_steps_and_saves_no_file(folder: Path) -> None:
    error = failure(OwnCore, UNSHRUNK)
    assert isinstance(error, InvariantViolatedError)
    assert "No reproduction file: it cannot hold the parts of OwnCore" in notes(error)
    assert "The steps of the failure:" in notes(error)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_does_not_hide_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv(REPRODUCTIONS, str(tmp_path / "taken"))
    error = failure(ForgetsVotes, UNSHRUNK)
    assert isinstance(error, InvariantViolatedError) and "cannot be written" in notes(error)


# ---- by hand -------------------------------------------------------------------------------------------------------


def test_rules_and_accessors_by_hand() -> None:
    machine = RaftStateMachine()
    moved(
        machine,
        lambda: machine.stand_for_election("n2", ["n1", "n2"]),
        lambda: machine.ask("c0", "n2", ("put", "reg/{client}")),
        lambda: machine.settle(["n2", "n3"]),
        lambda: machine.ask_again("c0", "n2"),
        lambda: machine.answer("c0"),
        lambda: machine.ask("c0", "n2", ("cas", "mix")),
        lambda: machine.give_up("c0"),
        lambda: machine.deliver(("n2", "n1"), 9),
        lambda: machine.deliver_again(("n2", "n1"), 0),
        lambda: machine.lose("n1"),
        lambda: machine.crash("n1", 500),
        lambda: machine.restart("n1"),
    )
    assert machine.leader() == "n2" and machine.leaders() == ["n2"] and machine.up() == ["n1", "n2", "n3"]
    assert machine.core("n2").current_term == 1 and machine.core("n2").commit_index == 2
    assert machine.log("n3").last_index == 2 and machine.core("n3").last_applied == 1
    for _ in range(2):  # heartbeats: what n1 lacks comes after the first, what is committed of it with the second
        machine.timeout("n2")
        machine.settle(machine.names)
    assert machine.machine("n1").digest == machine.machine("n2").digest == machine.machine("n3").digest
    assert [op.type for op in machine.cluster.player.trace.operations] == ["invoke", "ok", "invoke", "info"]
    assert "violated" not in {verdict.outcome for verdict in machine.judge.verdicts()}


def test_the_clients_history_is_judged() -> None:
    class Doubles(RaftStateMachine):
        mutant = "no_client_dedup"

    machine = Doubles()
    machine.stand_for_election("n1", machine.names)
    machine.ask("c0", "n1", ("append", "list"))
    machine.settle(machine.names)
    machine.ask_again("c0", "n1")
    machine.settle(machine.names)
    machine.answer("c0")
    machine.ask("c1", "n1", ("get", "list"))
    machine.settle(machine.names)
    machine.judged()
    machine.answer("c1")
    with pytest.raises(InvariantViolatedError, match="acknowledged_writes"):
        machine.judged()


def test_writes_of_a_slow_disk_do_not_complete_while_the_others_settle() -> None:
    machine = RaftStateMachine()
    machine.timeout("n1")
    machine.settle_slowly(machine.names, ["n1"])
    assert machine.cluster.is_writing("n1") and machine.leader() is None
    machine.settle(machine.names)
    assert not machine.cluster.is_writing("n1") and machine.leader() == "n1"


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (lambda machine: machine.restart("n1"), "start: n1 is up, and cannot start"),
        (lambda machine: machine.persist("n1"), "persist: n1 has no write under way"),
        (lambda machine: machine.do(Timeout("n9")), "timeout: node 'n9' is unknown; expected one of n1, n2, n3"),
        (lambda machine: machine.do(Submit("n1", "c0/9")), "submit: call 'c0/9' is unknown"),
        (lambda machine: machine.submit("c9", "n1", "get", "x"), "invoke: client 'c9' is unknown; expected one of c0"),
        (lambda machine: machine.deliver(("n1", "n2")), "no message on its way from n1 to n2"),
        (lambda machine: machine.deliver_again(("n1", "n2")), "no message that arrived from n1 at n2"),
        (lambda machine: machine.answer("c0"), "c0 waits for nothing"),
        (lambda machine: machine.core("n9"), "n9 is not up; n1, n2, n3 of n1, n2, n3 are"),
    ],
)
def test_impossible_steps_say_why(move: Callable[[RaftStateMachine], Any], said: str) -> None:
    with pytest.raises((ExecutionError, ValueError), match=said):
        move(RaftStateMachine())


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"nodes": 0}, "nodes: expected at least 1, got 0"),
        ({"clients": 0}, "clients: expected at least 1, got 0"),
        ({"mutant": "no_such"}, "mutant: there is no 'no_such'; there are vote_not_persisted"),
        ({"mutant": "vote_not_persisted", "parts": Parts()}, "mutant and parts: expected only one of them"),
    ],
)
def test_invalid_attributes_of_a_class_are_an_error(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        type("Odd", (RaftStateMachine,), attributes)()
