"""What the command line offers: each command with its section of the help, its summary, and where it is.

The help of `raft-chaos` and the completion of a command's name read this table alone, so they import no command.
"""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A command. `place` is "module:function" below `chaos.cli`; its docstring begins with `summary`. `shape` is the
    place of its class, if it is not a plain `lazy.Command`."""

    name: str
    section: str
    place: str
    summary: str
    shape: str = ""


COMPLETE = "_RAFT_CHAOS_COMPLETE"
"""The environment variable by which the script of a shell asks for completions."""

BREAK, READ, REPEAT, LISTS = "Break a cluster", "Read saved runs", "Repeat a failure", "What a run can choose from"
OWN, PLAIN, SHELL = "Your own system", "A plain cluster", "Your shell"

CONFIGURED = "run.configuration:Configured"

COMMANDS = (
    Listed("run", BREAK, "run.run:run", "Breaks a cluster on purpose, judges it, and reports", CONFIGURED),
    Listed("selfcheck", BREAK, "run.selfcheck:command", "Runs each seed in several processes and compares the traces"),
    Listed("explore", BREAK, "run.explore:explore", "Looks for states that no run has reached, and for failures"),
    Listed("matrix", BREAK, "run.matrix:matrix", "Hunts each mutant: who convicts it, and what that needs"),
    Listed("effects", BREAK, "run.effects:effects", "Shows that each kind of fault has an effect, in each world"),
    Listed("runs", READ, "read.runs:app", "Lists saved runs, newest first"),
    Listed("serve", READ, "serve.command:serve", "Shows saved runs in a browser, and those that go on"),
    Listed("check", READ, "read.check:check", "Judges a saved run again, from its events and history"),
    Listed("report", READ, "read.report:report", "Prints the report of a saved run"),
    Listed("campaign", READ, "read.campaign:campaign", "Joins the files of a campaign's shards into one"),
    Listed("explain", READ, "read.explain:explain", "Explains a violation in a saved run"),
    Listed("trace", READ, "read.trace:trace", "Prints a saved run, one event per line"),
    Listed("diff", READ, "read.trace:diff", "Compares two saved runs, event by event"),
    Listed("replay", REPEAT, "repeat.replay:replay", "Replays the nodes of a saved run from their journals"),
    Listed("shrink", REPEAT, "repeat.shrink:shrink", "Makes a failure smaller"),
    Listed("repro", REPEAT, "repeat.repro:repro", "Runs a reproduction file again, over the installed code"),
    Listed("init", OWN, "init:init", "Writes a commented target file, a pytest test and a CI workflow"),
    Listed("target", OWN, "target:app", "Examines the description of a target"),
    Listed("targets", OWN, "targets:targets", "Lists what can be broken, and what each can do"),
    Listed("faults", LISTS, "faults:faults", "Lists the kinds of faults"),
    Listed("mutants", LISTS, "mutants:mutants", "Lists the mutants: our Raft with exactly one mistake"),
    Listed("cluster", PLAIN, "run.cluster:cluster", "Starts a plain cluster in the foreground"),
    Listed("node", PLAIN, "run.node:node", "Runs one node in the foreground"),
    Listed("member", PLAIN, "member:member", "Shows and changes the members of a plain cluster"),
    Listed("certs", PLAIN, "run.certs:certs", "Makes a CA, and certificates for the nodes of a cluster"),
    Listed("completion", SHELL, "completion:completion", "Prints the script that completes commands and options"),
)
