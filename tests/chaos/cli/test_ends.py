"""Every command with a broken stdout or stderr: the exit code of the table in `ends`, and never a traceback."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders.commands import RAFT_CHAOS, SCRIPTS, Command, only_run, raft_chaos
from builders.reproductions import reproduction
from builders.schedules import saved, schedule
from cli.bad_outsides import OUTSIDES
from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.streams import LostOutputError
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.reproduction.file import save
from raft_chaos.chaos.schedule.data import Fault, When

SIZE = ["--nodes", "5", "--warmup", "0.5", "--duration", "2.5", "--liveness", "0.2", "--rate", "20", "--clients", "2"]
VOTES_TWICE = ["--mutant", "vote_not_persisted", "--election-timeout", "30-60", "--heartbeat", "10", *SIZE]
KILL_THE_LEADER = Fault(id="f1", when=When(at_us=700_000), action=Kill(["leader"], [500_000]), duration_us=0)


@dataclass(frozen=True)
class Case:
    """A command in the folder of `places`: its words, its exit code if all is well, and whether that is a verdict."""

    words: str
    code: int
    judged: bool = True


CASES = {
    "check": Case("check red", 1),
    "check, valid": Case("check green", 0),
    "check, as JSON": Case("check green --json", 0),
    "check --history": Case("check --history bad.edn --model register", 1),
    "diff": Case("diff red green", 1),
    "diff, equal": Case("diff red red", 0),
    "explain": Case("explain red", 0, judged=False),
    "faults": Case("faults", 0, judged=False),
    "help": Case("run --help", 0, judged=False),
    "mutants": Case("mutants", 0, judged=False),
    "refused": Case("check nowhere", 254, judged=False),
    "replay": Case("replay red", 0),
    "report": Case("report red", 0, judged=False),
    "repro": Case("repro red", 1),
    "run": Case("run --world sim --schedule calm.jsonl --out out", 0),
    "run, quiet": Case("run --world sim --schedule calm.jsonl --out out -q", 0),
    "shrink": Case("shrink red --budget 5s --jobs 1 --no-anchors --out small.json", 0),
    "trace": Case("trace red", 0, judged=False),
}
BAD_HISTORY = """{:process 0 :type :invoke :f :read :value nil}
{:process 0 :type :ok :f :read :value 7}
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a violated run, a valid one, and what else the commands need."""
    folder = tmp_path_factory.mktemp("places")
    Path(saved(folder, schedule([KILL_THE_LEADER], safety_us=(700_000, 1_600_000)))).rename(folder / "calm.jsonl")
    red = ["run", "--world", "sim", "--seed", "1", *VOTES_TWICE, "-q", "--out", str(folder / "reds")]
    assert raft_chaos(*red).returncode == 1
    green = ["run", "--world", "sim", "--schedule", str(folder / "calm.jsonl"), "-q", "--out", str(folder / "greens")]
    assert raft_chaos(*green).returncode == 0
    (folder / "red").symlink_to(only_run(folder / "reds").path)
    (folder / "green").symlink_to(only_run(folder / "greens").path)
    save(reproduction(), folder / "red" / "reproduction.json")
    (folder / "bad.edn").write_text(BAD_HISTORY)
    return folder


@pytest.fixture(scope="module")
def spoiled() -> Iterator[subprocess.Popen[str]]:
    """The process that carries out commands with broken streams."""
    words = [sys.executable, "-m", "cli.bad_outsides"]
    with subprocess.Popen(words, cwd=SCRIPTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate(timeout=30)


def expected(case: Case, outside: str) -> int:
    if outside in ("stdout closed", "stdout full") and case.code != 254:  # a refusal prints nothing there
        return 1 if case.judged and case.code == 1 else 255
    if outside == "stdout unread" and not case.judged and case.code != 254:
        return 141
    return case.code


def every_case() -> Iterator[object]:
    """Each command with each outside. Only some are quick enough, all together, for the quick suite."""
    for name in CASES:
        for outside in OUTSIDES:
            quick = name in ("check", "mutants")
            yield pytest.param(name, outside, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("name", "outside"), list(every_case()))
def test_a_command_ends_with_the_code_of_the_table(
    name: str, outside: str, places: Path, spoiled: subprocess.Popen[str]
) -> None:
    case = CASES[name]
    assert spoiled.stdin is not None and spoiled.stdout is not None
    spoiled.stdin.write(json.dumps({"words": case.words.split(), "outside": outside, "cwd": str(places)}) + "\n")
    spoiled.stdin.flush()
    code, said = json.loads(spoiled.stdout.readline())
    assert (code, "Traceback" in said) == (expected(case, outside), False), said
    lost = "the result cannot be written to stdout" in said
    assert lost == (code == 255), "one sentence, where one can be written"


@pytest.mark.slow
def test_the_console_command_ends_so_too(places: Path) -> None:
    """The same through the shell, as users write it."""
    for line, code in (
        ("check red >&-", 1),
        ("mutants >/dev/full", 255),
        ("run --nodes 2 2>/dev/full", 254),
    ):
        done = subprocess.run(f"{RAFT_CHAOS} {line}", shell=True, cwd=places, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), line


def test_what_an_encoding_does_not_have_is_replaced_and_json_stays_json(places: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    page = subprocess.run([RAFT_CHAOS, "mutants"], env=ascii_only, capture_output=True, text=True)
    assert page.returncode == 0 and "?5.4.1" in page.stdout
    document = subprocess.run([RAFT_CHAOS, "mutants", "--json"], env=ascii_only, capture_output=True, text=True)
    assert any("§5.4.1" in one["source"] for one in json.loads(document.stdout))


def test_a_violated_run_names_the_commands_that_show_more(places: Path, tmp_path: Path, command: Command) -> None:
    run = tmp_path / "a red run"
    run.symlink_to(places / "red")
    code, stdout, _ = command("check", run)
    assert code == 1
    for words in (f"explain '{run}'", f"shrink '{run}'", f"check '{run}' --json"):
        assert f"raft-chaos {words}" in stdout


# ---- a failure of the harness ------------------------------------------------------------------------------------


def breaks(error: Exception) -> object:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "runs/1/order"), "it ran out of space on the disk (runs/1/order)"),
        (ExceptionGroup("two", [RuntimeError("the first"), ValueError("b")]), "RuntimeError: the first"),
        (AssertionError(), "AssertionError"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        (ValueError("on\ntwo lines"), "ValueError: on two lines"),
    ],
)
def test_a_failure_of_the_harness_is_one_sentence(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends.run(breaks(error)) == 255  # type: ignore[arg-type]
    about = "raft-chaos itself failed; this says nothing about the system under test"
    assert capsys.readouterr() == ("", f"{about}: {said}\n")


def test_a_reader_that_is_gone_is_no_failure_of_the_harness_in_whichever_task_it_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in `target check X | head`, which prints each finding as soon as it has it."""
    lost = LostOutputError(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [lost])])
    assert ends.run(breaks(group)) == 141  # type: ignore[arg-type]
    assert capsys.readouterr() == ("", "")


def test_its_traceback_is_shown_to_who_asks_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ends.TRACEBACK, "1")
    assert ends.run(breaks(RuntimeError("broken"))) == 255  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


def test_a_run_in_which_the_harness_fails_says_so_in_its_directory(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raft_chaos.chaos.run.sim.recorder.Recorder.write", full)
    plan = saved(tmp_path, schedule())
    code, stdout, stderr = command("run", "--world", "sim", "--schedule", plan, "--out", tmp_path / "out", "-q")
    assert (code, stdout, stderr.count("\n")) == (255, "", 1)
    assert "it ran out of space on the disk" in stderr
    run = only_run(tmp_path / "out")
    info = run.load_info()
    assert info.verdict == "unknown" and "it ran out of space on the disk" in info.vacuous[0]
    assert "Traceback" in (run.path / "traceback.log").read_text()
    assert command("check", run.path)[0] == 2


# ---- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", ""], "--faults: expected some of kill, pause, "),
        (["--faults", " , "], "--faults: expected some of kill, pause, "),
        (
            ["--target-command", "true {http_port}", "--faults", "slow_sync"],
            "--faults: the target cannot do 'slow_sync'; expected some of kill, pause, ",
        ),
        (["--rate", "0"], "--rate: expected more than 0; without client operations a run shows nothing, got 0\n"),
    ],
)
def test_a_run_that_could_show_nothing_is_refused(words: list[str], said: str, command: Command) -> None:
    code, stdout, stderr = command("run", *words)
    assert (code, stdout) == (254, "") and stderr.startswith(f"raft-chaos: {said}")
