"""How the console command starts: what it imports, its help and version, and errors in plain words."""

from __future__ import annotations

import gc
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from bench import start_probe
from builders.commands import RAFT_CHAOS, Command
from builders.imports import imported_by
from raft_chaos.chaos.cli.commands import COMMANDS, Listed
from raft_chaos.chaos.cli.lazy import load
from raft_chaos.chaos.cli.start import importing
from raft_chaos.chaos.mutants import MUTANTS

# ---- what is imported --------------------------------------------------------------------------------------------

COUNT = """
import sys
from raft_chaos.chaos.cli.entry import main
sys.argv = ["raft-chaos", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
SLOW = {"aiohttp", "cryptography", "hypothesis", "junitparser", "numpy", "psutil", "pydantic", "rich", "uvloop"}
"""What takes longer to import than a small command may take as a whole."""


def imported(*words: str) -> set[str]:
    """The modules that are there when the command ends."""
    done = subprocess.run([sys.executable, "-c", COUNT, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]])
def test_help_and_version_import_next_to_nothing(words: list[str]) -> None:
    """A quarter of a second of CPU is the limit; counted, since a test cannot measure time."""
    modules = imported(*words)
    assert modules.isdisjoint(SLOW | {"asyncio", "ssl", "tabulate"})
    assert not [name for name in modules if name.startswith(("raft_chaos.raft", "raft_chaos.reports"))]
    assert {name.split(".")[2] for name in modules if name.startswith("raft_chaos.chaos.")} == {"cli", "processes"}
    assert len(modules) < 330


def test_the_help_of_a_run_imports_no_world() -> None:
    modules = imported("run", "--help")
    assert modules.isdisjoint({"aiohttp", "tabulate", "jinja2", "raft_chaos.chaos.run.settings"})


BEGINS = """
import gc, os, sys
from bench import start_probe
def begun(*_, **__):
    print(gc.isenabled(), gc.get_freeze_count() > 0, *sys.modules, file=sys.stderr, flush=True)
    os._exit(0)
start_probe._end = begun
start_probe.main()
"""


def begun(where: str, *words: str | Path) -> set[str]:
    """The modules that are there when the work of a command begins; `where` is that (see `bench.start_probe`)."""
    root = Path(start_probe.__file__).parents[1]
    argv = [sys.executable, "-c", BEGINS, where, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=root)
    collects, spares_modules, *modules = done.stderr.splitlines()[-1].split()
    assert (done.returncode, collects, spares_modules) == (0, "True", "True"), done.stderr
    return {*modules}


def ours(modules: set[str], *parts: str) -> set[str]:
    """Those of these parts of raft_chaos."""
    return {name for name in modules if name.startswith(tuple(f"raft_chaos.{part}" for part in parts))}


def test_a_run_in_sim_begins_without_what_others_need(tmp_path: Path) -> None:
    words = ["run", "--world", "sim", "--seed", "1", "--quiet", "--out", tmp_path]
    modules = begun("raft_chaos.chaos.run.sim.world:run_sim", *words)
    assert "raft_chaos.chaos.run.sim.world" in modules
    assert modules.isdisjoint(SLOW | {"asyncio", "multiprocessing", "ssl", "tabulate"})
    needless = ours(modules, "reports", "chaos.run.live.", "chaos.campaign", "chaos.mutants.")
    assert needless <= {"raft_chaos.reports", "raft_chaos.reports.text", "raft_chaos.chaos.run.live.progress"}


def test_a_run_in_live_begins_without_its_cluster_and_network(tmp_path: Path) -> None:
    """It imports them while the fork server imports the nodes; and a disk only if the target has one of ours."""
    words = ["run", "--seed", "1", "--quiet", "--out", tmp_path]
    modules = begun("raft_chaos.chaos.run.live.run:run_live", *words)
    assert "raft_chaos.chaos.run.live.run" in modules
    assert modules.isdisjoint((SLOW - {"psutil", "uvloop"}) | {"ctypes", "tabulate", "urllib.request"})
    live = [f"chaos.run.live.{part}" for part in ("capabilities", "cluster", "disk", "network.netns", "network.proxy")]
    assert not ours(modules, "chaos.mutants.", "reports.html", "reports.run", *live)


def test_serve_begins_without_its_server_and_its_pages(tmp_path: Path) -> None:
    """The fork server imports what makes reports; meanwhile this process imports the server."""
    modules = begun("raft_chaos.chaos.processes.supervisor:Supervisor", "serve", tmp_path)
    assert "raft_chaos.chaos.cli.serve.command" in modules
    assert modules.isdisjoint((SLOW - {"psutil"}) | {"asyncio", "importlib.metadata", "ssl"})
    assert not ours(modules, "chaos.campaign", "chaos.faults", "chaos.run", "raft.", "reports.campaign", "reports.run.")


def test_a_server_without_campaigns_and_without_runs_that_go_on_needs_no_settings_and_no_checkers() -> None:
    modules = imported_by(["raft_chaos.chaos.cli.serve.server"])
    assert "aiohttp" in modules
    assert not ours(modules, "chaos.run.settings", "chaos.schedule", "invariants.checkers", "reports.run.model")


def test_a_matrix_begins_without_the_simulator_and_its_processes(tmp_path: Path) -> None:
    words = ["matrix", "--dry-run", "--out", tmp_path]
    modules = begun("raft_chaos.chaos.matrix.estimate:estimate", *words)
    assert "raft_chaos.chaos.matrix.matrix" in modules
    assert modules.isdisjoint(SLOW | {"asyncio", "importlib.metadata", "jinja2", "multiprocessing", "ssl"})
    assert not ours(modules, "chaos.run.sim", "chaos.run.settings", "invariants.checkers", "reports.html")


@pytest.mark.parametrize("command", ["check", "report", "explain", "replay", "shrink", "campaign", "trace", "cluster"])
def test_what_only_few_commands_draw_or_ask_is_not_imported_by_others(command: str) -> None:
    assert imported(command, "--help").isdisjoint({"aiohttp", "jinja2", "pydantic", "rich", "tabulate", "vl_convert"})


@pytest.mark.parametrize(
    ("command", "others"),
    [
        ("check", ["chaos.campaign", "chaos.execution", "chaos.run.sim", "reports.run.model", "reports.spacetime"]),
        ("report", ["chaos.run", "chaos.faults", "chaos.replay", "invariants.checkers", "raft."]),
        ("campaign", ["chaos.run", "chaos.faults", "chaos.replay", "invariants.checkers", "raft."]),
        ("explain", ["chaos.execution.player", "chaos.run.sim", "chaos.mutants."]),
        ("replay", ["chaos.cli.repeat.as_sim", "chaos.execution.merge", "chaos.mutants.", "reports.run.model"]),
        ("shrink", ["chaos.campaign.dask_workers", "chaos.mutants.", "chaos.processes.worker_pool"]),
        ("explore", ["chaos.campaign.dask_workers", "chaos.mutants.", "chaos.processes.worker_pool", "reports.html"]),
        ("selfcheck", ["chaos.mutants.", "chaos.run.lockstep.run"]),
        ("node", ["chaos.processes.supervisor", "chaos.targets", "chaos.faults"]),
        ("member", ["chaos.processes.supervisor", "chaos.targets", "chaos.faults"]),
    ],
)
def test_a_command_does_not_import_what_it_may_never_need(command: str, others: list[str]) -> None:
    assert not ours(imported(command, "--help"), *others)


@pytest.mark.parametrize("command", ["check", "report", "explain", "replay", "shrink", "selfcheck", "explore"])
def test_a_command_that_makes_no_run_does_not_import_what_knows_the_versions_of_packages(command: str) -> None:
    assert "importlib.metadata" not in imported(command, "--help")


def test_a_process_that_only_imports_a_command_keeps_its_garbage_collector() -> None:
    frozen = gc.get_freeze_count()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() == frozen


@pytest.mark.parametrize("command", ["mutants", "faults"])
def test_a_list_imports_what_it_lists(command: str) -> None:
    modules = imported(command)
    assert modules.isdisjoint(SLOW | {"asyncio"})
    assert {name for name in modules if name.startswith("raft_chaos.chaos.cli.r")} == {"raft_chaos.chaos.cli.result"}


# ---- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.name)
def test_the_table_says_what_the_command_says(one: Listed) -> None:
    assert load(one).help.startswith(one.summary), "the table has another summary than the command itself"


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_alone_it_shows_its_help(words: list[str], command: Command) -> None:
    code, stdout, stderr = command(*words)
    assert (code, stderr) == (0, "")
    assert all(re.search(rf"^  {one.name} +{re.escape(one.summary[:20])}", stdout, re.MULTILINE) for one in COMMANDS)


def test_a_group_alone_shows_its_help(command: Command) -> None:
    code, stdout, stderr = command("target")
    assert (code, stderr) == (0, "") and "check" in stdout


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_the_version(option: str, command: Command) -> None:
    said = f"raft-chaos {metadata.version('raft-chaos')} (Python {platform.python_version()})\n"
    assert command(option) == (0, said, "")


@pytest.mark.parametrize("name", [one.name for one in COMMANDS])
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_terminal(columns: int, name: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, stdout, stderr = command(name, "-h")
    assert (code, stderr) == (0, "")
    for line in stdout.splitlines():
        assert len(line) <= columns or len(line.split()) == 1 or re.match(r" +-", line), "only a name may be too long"
    assert "<" not in re.sub(r"`.*?`|<token>", "", stdout), "names of types are in plain words"
    assert not re.search(r"\bx[<>]=|\d\.0\]|\{[A-Z]", stdout)


def test_the_options_of_run_stand_in_sections_with_choices_and_units(command: Command) -> None:
    stdout = command("run", "-h")[1]
    sections = re.findall(r"^(\S.*):$", stdout, re.MULTILINE)
    assert sections == [
        "Which runs",
        "What is broken",
        "Faults",
        "Clients and times",
        "A campaign (--world sim --seeds A..B)",
        "What comes of it",
        "Options",
    ]
    line = " ".join(stdout.partition("--duration SECONDS")[2].split())
    assert line.startswith("Until all faults are healed, warmup included. [default: 15] --warmup SECONDS")
    assert "--world sim|lockstep|live" in stdout


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chekc", "there is no command 'chekc'; did you mean 'check'? raft-chaos --help lists all"),
        ("zzz", "there is no command 'zzz'; raft-chaos --help lists all"),
        ("target chekc", "there is no command 'chekc'; did you mean 'check'? raft-chaos target --help lists all"),
        ("--verson", "there is no option --verson; did you mean --version?"),
        ("run --ndoes 3", "there is no option --ndoes; did you mean --nodes?"),
        ("run --zzz", "there is no option --zzz; see raft-chaos run --help"),
        ("run --seed", "--seed: its value is missing; expected N"),
        ("run --seed 1.5", "--seed: expected a whole number, got '1.5'"),
        ("run --rate fast", "--rate: expected a number, got 'fast'"),
        ("run --json=yes", "--json: it takes no value"),
        ("run 7", "raft-chaos run: '7' is one argument too many; it takes options only; see raft-chaos run --help"),
        ("diff a", "RUN: it is missing (Another one); see raft-chaos diff --help"),
        ("diff a b c", "raft-chaos diff: 'c' is one argument too many; it takes RUN RUN; see raft-chaos diff --help"),
        ("report a --format pdf", "--format: expected one of text, markdown, json, junit, html, perfetto, got 'pdf'"),
        ("certs d --nodes n1 --days 99999", "--days: expected at most 36500, got '99999'"),
        ("run --mutant old_term_comit", "--mutant: there is no 'old_term_comit'; did you mean 'old_term_commit'?"),
        ("run --world simm", "--world: there is no 'simm'; did you mean 'sim'?"),
        ("run --faults kil", "--faults: 'kil' is unknown in the world live; did you mean 'kill'?"),
        ("completion tcsh", "SHELL: expected one of bash, zsh, fish, got 'tcsh'"),
    ],
)  # fmt: skip
def test_errors_are_in_plain_words(line: str, said: str, command: Command) -> None:
    assert command(*line.split()) == (254, "", f"raft-chaos: {said}\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"kind":"schedule","seed":1}', "the field 'nodes' is missing"),
        (b'{"kind":"schedule","seed":"x"}', "expected int, got str, at seed"),
        (b'{"kind":"schedule","seed":1,"sead":2}', "there is no field 'sead'"),
        (b'{"kind":"schedule","promises":["luck"]}', "there is no 'luck', at promises[0]"),
        (b'{"kind":"schedule"', "it ends in the middle of a value"),
    ],
)
def test_a_file_is_refused_in_plain_words(line: bytes, said: str, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    file.write_bytes(line)
    assert command("run", "--schedule", file) == (254, "", f"raft-chaos: --schedule: {file}:1: {said}\n")


# ---- completion --------------------------------------------------------------------------------------------------


def in_shell(shell: str, script: str) -> list[str]:
    """The words that a real shell prints for a script that may call raft-chaos by its name."""
    environment = {**os.environ, "PATH": f"{os.path.dirname(RAFT_CHAOS)}:{os.environ['PATH']}"}
    try:
        done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")


BASH = """
eval "$(raft-chaos completion bash)"
complete -p raft-chaos
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _raft_chaos_completion raft-chaos; echo "${COMPREPLY[@]}"; }
try raft-chaos rep
try raft-chaos run --mutant vote
try raft-chaos run --faults kill,pa
"""


@pytest.mark.slow
def test_bash_completes_commands_and_values() -> None:
    registered, *offered = in_shell("bash", BASH)
    assert registered == "complete -o default -F _raft_chaos_completion raft-chaos"
    assert offered[:2] == ["report replay repro", " ".join(id for id in MUTANTS if id.startswith("vote"))]
    assert offered[2] == "kill,pause kill,partition"


@pytest.mark.slow
def test_fish_completes_commands_and_options_with_what_they_do() -> None:
    script = "raft-chaos completion fish | source; complete -C 'raft-chaos sh'; complete -C 'raft-chaos run --see'"
    shrink, seed, seeds, _ = in_shell("fish", script)
    assert shrink == "shrink\tMakes a failure smaller"
    assert seed.startswith("--seed\t") and seeds.startswith("--seeds\t")


ZSH = """
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit; compinit -D -u; eval "$(raft-chaos completion zsh)"; PS1=; echo ready-"1"'
zpty -r z line '*ready-1*'
zpty -w -n z $'raft-chaos mutan\\t --json\\n'
zpty -r z line '*vote_not_persisted*'
echo found
zpty -d z
"""


@pytest.mark.slow
def test_zsh_completes_a_command() -> None:
    """In a terminal: zsh completes nothing without one. The only command with these letters is carried out."""
    assert in_shell("zsh", ZSH) == ["found", ""]
