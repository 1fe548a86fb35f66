"""The commands of a transcript: each line is a command to the cluster, and its output is lines of text.

Nodes have the names given to `cluster`. A link is written n1>n2, from sender to receiver. The docstring of each
command's method is its usage, which errors show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from raft_chaos.chaos.execution import format
from raft_chaos.chaos.execution.player import Frame
from raft_chaos.chaos.execution.step_result import StepResult
from raft_chaos.chaos.execution.steps import ExecutionError
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.testing.transcript.cluster import HandDrivenCluster, SessionPlace
from raft_chaos.invariants.history import Consistency
from raft_chaos.raft.state.configuration import Change
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing

ELECTION_TIMEOUT_US = (150_000, 300_000)
HEARTBEAT_US = 50_000
"""The paper's timeouts (§9.3), with heartbeats at a third of the shortest timeout."""
NOT_JUDGED = ("recovery", "acknowledged_writes", "monotonic_reads", "linearizability")
"""The invariants that `judge` leaves out, since they need the phases of a run or its clients' history."""

_NAME = re.compile(r"[A-Za-z]\w*")
_SESSION = re.compile(r"(\w+)/(\d{1,9})(?:/(\d{1,9}))?")
_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000}
_DURATION = re.compile(r"(\d+)(us|ms|s)")


class CommandError(Exception):
    """A line that is not a command, or that the cluster cannot do. The message says what to write instead."""


FORMER_NAMES = {"campaign": "stand"}
"""The former names of commands, which older transcripts use."""


class Commands:
    """Runs command lines one after another. `cluster` must come first; a second `cluster` starts a new cluster."""

    def __init__(self) -> None:
        self._made: HandDrivenCluster | None = None
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "cluster": self._cluster,
            "stand": self._stand,
            "tick": self._tick,
            "advance": self._advance,
            "run": self._run,
            "propose": self._propose,
            "read": self._read,
            "member": self._member,
            "transfer": self._transfer,
            "persist": self._persist,
            "deliver": self._deliver,
            "drop": self._drop,
            "duplicate": self._duplicate,
            "delay": self._delay,
            "stabilize": self._stabilize,
            "crash": self._crash,
            "restart": self._restart,
            "cut": self._cut,
            "heal": self._heal,
            "status": self._status,
            "log": self._log,
            "network": self._network,
            "judge": self._judge,
            "quietly": self._quietly,
        }

    def do(self, line: str) -> list[str]:
        """Runs a command and returns its output. Raises CommandError."""
        name, *rest = line.split()
        name = FORMER_NAMES.get(name, name)
        if name not in self._commands:
            raise CommandError(f"no command {name!r}; there are {', '.join(self._commands)}")
        try:
            return self._commands[name](rest)
        except ExecutionError as error:
            raise CommandError(str(error)) from None

    # ---- the cluster ----------------------------------------------------------------------------------------------

    def _cluster(self, given: list[str]) -> list[str]:
        """cluster NODE ... [log NODE=TERM,TERM... ...] [term=TERM] [batch=ENTRIES] [features=NAME,...] [mutant=ID]"""
        names = [word for word in given if "=" not in word and word != "log"]
        options, logs = {"term": "0", "batch": "2000", "features": "", "mutant": ""}, {}
        for name, _, value in (word.partition("=") for word in given if "=" in word):
            if name in options:
                options[name] = value
            elif name in names:
                logs[name] = _terms(name, value)
            else:
                raise CommandError(
                    f"{name}={value}: {name!r} is no node of this cluster, nor term, batch, features or mutant"
                )
        if not names or len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
            raise CommandError(_usage(self._cluster) + "; every node needs a different name, a single word")
        if options["mutant"] and options["mutant"] not in MUTANTS:
            raise CommandError(f"no mutant {options['mutant']!r}; `raft-chaos mutants` lists them")
        try:
            features = Features.of(name for name in options["features"].split(",") if name)
        except ValueError as error:
            raise CommandError(f"features: {error}") from None
        timing = Timing(
            *ELECTION_TIMEOUT_US,
            HEARTBEAT_US,
            max_entries_per_message=_number(options["batch"], 1),
        ).with_features(features)
        self._made = HandDrivenCluster(
            names,
            parts=parts_of(options["mutant"] or None),
            timing=timing,
            logs=logs,
            term=_number(options["term"], 0),
        )
        return []

    def _quietly(self, given: list[str]) -> list[str]:
        """quietly COMMAND"""
        if not given:
            raise CommandError(_usage(self._quietly))
        self.do(" ".join(given))
        return []

    # ---- time -----------------------------------------------------------------------------------------------------

    def _stand(self, given: list[str]) -> list[str]:
        """stand NODE"""
        name = self._node(given, self._stand)
        node = self._cluster_now.running(name)
        if node is not None and node.replica.core.role == "leader":
            raise CommandError(f"{name} leads already")
        return format.step(self._cluster_now.tick(name))

    def _tick(self, given: list[str]) -> list[str]:
        """tick NODE|all"""
        if given == ["all"]:
            return _say(self._cluster_now.tick(name) for name in self._cluster_now.names_by_deadline())
        return format.step(self._cluster_now.tick(self._node(given, self._tick)))

    def _advance(self, given: list[str]) -> list[str]:
        """advance DURATION"""
        if len(given) != 1:
            raise CommandError(_usage(self._advance))
        steps = self._cluster_now.advance(_duration_us(given[0]))
        return [f"{_ms(step.at_us)} {line}" for step in steps for line in format.step(step)]

    def _run(self, given: list[str]) -> list[str]:
        """run DURATION latency=DURATION"""
        if len(given) != 2 or not given[1].startswith("latency="):
            raise CommandError(_usage(self._run))
        steps = self._cluster_now.run(_duration_us(given[0]), _duration_us(given[1].partition("=")[2]))
        said: list[str] = []
        for step in steps:
            if step.report is not None:
                said += [f"{_ms(step.at_us)} {step.node} {line}" for line in format.events(step.report.events)]
            elif not step.lost:
                said.append(f"{_ms(step.at_us)} {step.node} {step.end}")
        timers = sum(step.input == "ticks" for step in steps)
        frames = sum(step.received is not None and step.received not in step.lost for step in steps)
        lost = sum(len(step.lost) for step in steps)
        return [*said, f"{timers} timers fired, {frames} frames were delivered, {lost} were lost"]

    # ---- nodes ----------------------------------------------------------------------------------------------------

    def _propose(self, given: list[str]) -> list[str]:
        """propose NODE KEY=VALUE ..., or propose NODE KEY=VALUE as CLIENT/SERIAL[/SINCE]"""
        name, session = self._node(given[:1], self._propose), None
        if "as" in given:
            found = _SESSION.fullmatch(" ".join(given[given.index("as") + 1 :]))
            if found is None or given.index("as") != 2:
                raise CommandError(_usage(self._propose))
            session, given = SessionPlace(found[1], int(found[2]), int(found[3] or 0)), given[:2]
        commands = [word.partition("=") for word in given[1:]]
        if not commands or not all(key and value for key, _, value in commands):
            raise CommandError(_usage(self._propose))
        return _say(self._cluster_now.propose(name, key, value, session) for key, _, value in commands)

    def _read(self, given: list[str]) -> list[str]:
        """read NODE KEY [stale|lease]"""
        name = self._node(given[:1], self._read)
        if len(given) not in (2, 3) or given[2:] not in ([], ["stale"], ["lease"]):
            raise CommandError(_usage(self._read))
        how: Consistency = "lease" if given[2:] == ["lease"] else "stale" if given[2:] else "read_index"
        return format.step(self._cluster_now.read(name, given[1], how))

    def _member(self, given: list[str]) -> list[str]:
        """member NODE add|promote|remove NODE ... [add|promote|remove NODE ...]"""
        name, verb = self._node(given[:1], self._member), ""
        asked: dict[str, list[str]] = {"add": [], "promote": [], "remove": []}
        for word in given[1:]:
            if word in asked:
                verb = word
            elif verb:
                asked[verb] += self._nodes([word], self._member)
            else:
                raise CommandError(_usage(self._member))
        if not any(asked.values()):
            raise CommandError(_usage(self._member))
        return format.step(self._cluster_now.change(name, Change(**{verb: (*nodes,) for verb, nodes in asked.items()})))

    def _transfer(self, given: list[str]) -> list[str]:
        """transfer NODE [NODE]"""
        if len(given) not in (1, 2):
            raise CommandError(_usage(self._transfer))
        name, *to = self._nodes(given, self._transfer)
        return format.step(self._cluster_now.transfer(name, to[0] if to else None))

    def _persist(self, given: list[str]) -> list[str]:
        """persist NODE ..."""
        return _say(self._cluster_now.persist(name) for name in self._nodes(given, self._persist))

    def _crash(self, given: list[str]) -> list[str]:
        """crash NODE ... [keep=PERMILLE]"""
        keep = [word.partition("=")[2] for word in given if word.startswith("keep=")]
        names = self._nodes([word for word in given if not word.startswith("keep=")], self._crash)
        permille = _number(keep[0], 0, 1000) if keep else 0
        return _say(self._cluster_now.crash(name, permille) for name in names)

    def _restart(self, given: list[str]) -> list[str]:
        """restart NODE ..."""
        return _say(self._cluster_now.restart(name) for name in self._nodes(given, self._restart))

    def _stabilize(self, given: list[str]) -> list[str]:
        """stabilize [NODE ...]"""
        names = self._nodes(given, self._stabilize) if given else self._cluster_now.names
        return _say(self._cluster_now.stabilize(names))

    # ---- the network ----------------------------------------------------------------------------------------------

    def _deliver(self, given: list[str]) -> list[str]:
        """deliver [LINK ... [COUNT|all]]"""
        return _say(self._cluster_now.deliver(frame) for frame in self._frames(given, self._deliver))

    def _drop(self, given: list[str]) -> list[str]:
        """drop [LINK ... [COUNT|all]]"""
        return self._with_frames(given, self._drop, self._cluster_now.network.take, "is lost")

    def _duplicate(self, given: list[str]) -> list[str]:
        """duplicate LINK ... [COUNT|all]"""
        return self._with_frames(given, self._duplicate, self._cluster_now.network.duplicate, "is duplicated")

    def _delay(self, given: list[str]) -> list[str]:
        """delay LINK ... [COUNT|all]"""
        return self._with_frames(given, self._delay, self._cluster_now.network.delay, "is overtaken")

    def _cut(self, given: list[str]) -> list[str]:
        """cut NODE ...|LINK ..."""
        if all(">" in word for word in given):
            links = [self._link(word) for word in given]
        else:
            inside, names = self._nodes(given, self._cut), self._cluster_now.names
            links = [(a, b) for a in names for b in names if (a in inside) != (b in inside)]
        if not links:
            raise CommandError(_usage(self._cut) + "; nodes are cut off from all others")
        return [f"{_frame(frame)} is lost" for frame in self._cluster_now.network.cut_links(links)]

    def _heal(self, given: list[str]) -> list[str]:
        """heal"""
        if given:
            raise CommandError(_usage(self._heal))
        self._cluster_now.network.heal()
        return []

    # ---- the state ------------------------------------------------------------------------------------------------

    def _status(self, given: list[str]) -> list[str]:
        """status [NODE ...]"""
        names = self._nodes(given, self._status) if given else self._cluster_now.names
        width = max(map(len, names))
        lines = []
        for name in names:
            node = self._cluster_now.running(name)
            if node is None:
                lines.append(f"{name:<{width}} is down")
                continue
            core = node.replica.core
            vote = f"voted {core.voted_for}" if core.voted_for is not None else "no vote"
            where = f"commit {core.commit_index}, applied {core.last_applied}, last {core.log.last_index}"
            lines.append(f"{name:<{width}} {core.role:<9} term {core.current_term}, {vote}, {where}")
        return lines

    def _log(self, given: list[str]) -> list[str]:
        """log NODE ..."""
        names = self._nodes(given, self._log)
        width = max(map(len, names))
        lines = []
        for name in names:
            node = self._cluster_now.running(name)
            if node is None:
                raise CommandError(f"{name} is down")
            core = node.replica.core
            log = core.log
            terms = (
                " ".join(str(log.term_at(index)) for index in range(log.base_index + 1, log.last_index + 1)) or "empty"
            )
            if log.base_index:
                terms = f"snapshot up to {log.base_index} (term {log.base_term}), behind it {terms}"
            durable = f", durable {log.durable_index}" if log.durable_index < log.last_index else ""
            lines.append(
                f"{name:<{width}}  {terms}{durable}, committed {core.commit_index}, applied {core.last_applied}"
            )
        return lines

    def _network(self, given: list[str]) -> list[str]:
        """network"""
        if given:
            raise CommandError(_usage(self._network))
        return [_frame(frame) for frame in self._cluster_now.network.frames] or ["nothing in flight"]

    def _judge(self, given: list[str]) -> list[str]:
        """judge"""
        if given:
            raise CommandError(_usage(self._judge))
        verdicts = [v for v in self._cluster_now.player.judge.verdicts() if v.invariant not in NOT_JUDGED]
        violated = [
            f"{v.invariant} is violated: {v.violations[0].message}" for v in verdicts if v.outcome == "violated"
        ]
        unknown = [v.invariant for v in verdicts if v.outcome == "unknown"]
        return (violated or ["all hold"]) + ([f"nothing to judge: {', '.join(unknown)}"] if unknown else [])

    # ---- arguments ------------------------------------------------------------------------------------------------

    @property
    def _cluster_now(self) -> HandDrivenCluster:
        if self._made is None:
            raise CommandError("there is no cluster yet; begin with: " + _usage(self._cluster))
        return self._made

    def _nodes(self, given: Sequence[str], command: Callable[..., object]) -> list[str]:
        names = self._cluster_now.names
        if not given:
            raise CommandError(_usage(command))
        for name in given:
            if name not in names:
                raise CommandError(f"no node {name!r}; there are {', '.join(names)}")
        return list(given)

    def _node(self, given: Sequence[str], command: Callable[..., object]) -> str:
        if len(given) != 1:
            raise CommandError(_usage(command))
        return self._nodes(given, command)[0]

    def _link(self, word: str) -> tuple[str, str]:
        sender, _, to = word.partition(">")
        names = self._cluster_now.names
        if sender not in names or to not in names or sender == to:
            raise CommandError(
                f"no link {word!r}; write n1>n2 for what n1 sends to n2, with nodes of {', '.join(names)}"
            )
        return sender, to

    def _frames(self, given: list[str], command: Callable[..., object]) -> list[Frame]:
        """The frames that the arguments name: all in flight, or the oldest COUNT of each link."""
        if not given:
            return list(self._cluster_now.network.frames)
        links, count = given, "1"
        if ">" not in given[-1]:
            links, count = given[:-1], given[-1]
        if not links:
            raise CommandError(_usage(command))
        found: list[Frame] = []
        for word in links:
            frames = self._cluster_now.network.on_link(self._link(word))
            wanted = len(frames) if count == "all" else _number(count, 1)
            if wanted > len(frames) or not frames:
                raise CommandError(f"{word}: {len(frames)} frames in flight there; `network` shows them")
            found += frames[:wanted]
        return found

    def _with_frames(
        self, given: list[str], command: Callable[..., object], act: Callable[[Frame], None], fate: str
    ) -> list[str]:
        frames = self._frames(given, command)
        for frame in frames:
            act(frame)
        return [f"{_frame(frame)} {fate}" for frame in frames]


def _usage(command: Callable[..., object]) -> str:
    return f"expected: {command.__doc__}"


def _say(steps: Iterable[StepResult]) -> list[str]:
    return [line for step in steps for line in format.step(step)]


def _frame(frame: Frame) -> str:
    return f"{frame.sender}>{frame.to} {format.message(frame.message)}"


def _ms(at_us: int) -> str:
    return f"{at_us / 1000:8.3f} ms "


def _number(word: str, least: int, most: int | None = None) -> int:
    if not word.isascii() or not word.isdecimal() or not least <= int(word) <= (int(word) if most is None else most):
        raise CommandError(
            f"{word!r}: expected a number of at least {least}{'' if most is None else f', at most {most}'}"
        )
    return int(word)


def _duration_us(word: str) -> int:
    found = _DURATION.fullmatch(word)
    if found is None:
        raise CommandError(f"{word!r}: expected a duration such as 50ms, 2s or 500us")
    return int(found[1]) * _UNITS[found[2]]


def _terms(name: str, word: str) -> list[int]:
    terms = [_number(term, 1) for term in word.split(",")] if word else []
    if terms != sorted(terms):
        raise CommandError(f"{name}={word}: terms never decrease along a log (§5.3)")
    return terms
