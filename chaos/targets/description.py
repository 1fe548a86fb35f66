"""A target as a TOML file: anything that speaks HTTP, without code. docs/target-toml.md explains it with an example.

    name, command, environment      what is started for each node; files beside the target's file are found there
    version                         a command that prints the system's version
    rate                            how many operations a second clients ask for
    protocol                        "http", or "maelstrom": JSON lines on stdin and stdout, of which most of the rest
                                    says nothing
    ports, clients, links           its ports by name: their numbers are chosen for the run and stay
    network                         how the links between the nodes are broken
    persistent                      whether a killed node has its data again when it starts
    wipe                            whether a minority of the nodes may lose its data
    disk                            whether a kill takes what a node has not synced
    heartbeats                      whether the nodes send to each other all the time
    checksum                        whether the nodes notice bits that flip in what they send to each other
    [ready]                         how to see that a node answers, leader or not
    [stop]                          that a node ends by itself when it is asked to, and how
    [status]                        how to see who leads, and in which term
    [[events]]                      the same from lines of the nodes' logs
    [get] [put] [append] [cas] [delete]   each operation: the request, and how to read its answer
    [enqueue] [dequeue]             the same for a queue
    delivery                        how often an element of a queue may come out

What is left out, the target cannot do, and no run asks for it.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import msgspec

from raft_chaos.chaos.faults.abilities import OF_LIN_KV, OF_QUEUES, OPERATIONS, Abilities, Ability
from raft_chaos.chaos.targets import template
from raft_chaos.chaos.targets.command_lines import find_program, found_beside
from raft_chaos.chaos.targets.log_lines import LogLine
from raft_chaos.chaos.targets.protocol import START_TIMEOUT_S, DiskName, NetworkName, Stopping, TargetError
from raft_chaos.chaos.targets.template import Path, TemplateError, nearest
from raft_chaos.invariants.regular_file import read_regular

MOST_BYTES = 1 << 20
MOST_RATE = 100_000
OF_NODES = ("node", "number", "nodes", "incarnation", "host", "data", "peers")
OF_MESSAGE_NODES = ("node", "incarnation", "data")
OF_LINKS = ("ports", "clients", "links", "network", "peers", "peers_separator", "peers_with_self")
ALL_OPERATIONS = (*OPERATIONS, *OF_QUEUES)
OF_HTTP = (*OF_LINKS, "ready", "status", "delivery", *ALL_OPERATIONS)
"""The keys that say nothing about nodes on stdin and stdout."""
OF_PEERS = ("node", "number", "host")
OF_OPERATIONS = ("key", "value", "expected", "session", "serial", "node")


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer must be like: the HTTP status, values at paths, paths with nothing there, pairs of equal values.

    All that is given must hold.
    """

    status: int | tuple[int, ...] = ()
    body: dict[str, Any] = {}
    missing: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    def check(self) -> None:
        for path in (*self.body, *self.missing, *self.same):
            Path(path)
        if len(self.same) not in (0, 2):
            raise TemplateError(f"same: expected two paths, got {len(self.same)}")

    def holds(self, status: int, answer: Any) -> bool:
        """Raises one of `template.UNREADABLE` if a path's filter cannot take what is there."""
        statuses = (self.status,) if isinstance(self.status, int) else self.status
        if statuses and status not in statuses:
            return False
        if any(Path(path).of(answer) != value for path, value in self.body.items()):
            return False
        if any(Path(path).of(answer) is not template.MISSING for path in self.missing):
            return False
        values = [Path(path).of(answer) for path in self.same]
        return not values or (values[0] == values[1] and values[0] is not template.MISSING)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP request: "POST /v3/kv/range", headers, and a body (a table becomes JSON, a text is sent as it is)."""

    request: str
    headers: dict[str, str] = {}
    body: dict[str, Any] | list[Any] | str | None = None

    @property
    def method(self) -> str:
        return self.request.split(" ", 1)[0]

    @property
    def path(self) -> str:
        return self.request.split(" ", 1)[1].strip()

    def check(self, fields: tuple[str, ...]) -> None:
        if re.fullmatch(r"[A-Z]+ +/\S*", self.request) is None:
            raise TemplateError(
                f'request: expected a method and a path, such as "GET /kv/{{key}}", got {self.request!r}'
            )
        for text in template.texts_of([self.request, self.headers, self.body]):
            template.check(text, fields)


class OperationRequest(Request, frozen=True):
    """One operation. An answer is `ok`, `fail` (it certainly had no effect) or `elsewhere` (this node did not take it,
    and another one may); any other answer leaves the outcome unknown. `value` is where a get finds what it reads, and a
    dequeue its element. `empty` holds for the answer of a dequeue that found nothing.

    `absent` replaces the body of a cas that expects an absent key. It is needed unless "{expected}" may become null.
    """

    ok: Condition = Condition(status=(200, 201, 204))
    fail: Condition | None = None
    elsewhere: Condition | None = None
    empty: Condition | None = None
    value: str | None = None
    absent: dict[str, Any] | list[Any] | str | None = None

    @property
    def expects_absence(self) -> bool:
        """Whether a cas can say that it expects an absent key."""
        if self.absent is not None:
            return True
        uses = [text for text in template.texts_of([self.request, self.body]) if "expected" in template.fields_of(text)]
        return isinstance(self.body, (dict, list)) and all(text == "{expected}" for text in uses)

    def check_operation(self) -> None:
        """Raises TemplateError."""
        self.check(OF_OPERATIONS)
        for text in template.texts_of(self.absent):
            template.check(text, OF_OPERATIONS)
        for condition in (self.ok, self.fail, self.elsewhere, self.empty):
            if condition is not None:
                condition.check()
        Path(self.value or ".")


class Status(Request, frozen=True, kw_only=True):
    """How to ask a node who leads: it does if `leads` holds. `term` is where the answer has the term."""

    leads: Condition
    term: str | None = None

    def check_status(self) -> None:
        """Raises TemplateError."""
        self.check(())
        self.leads.check()
        Path(self.term or ".")


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node answers once it accepts a connection on the port `tcp`, or any HTTP answer comes for the path `http`. It
    must do so `within_s`."""

    tcp: str | None = None
    http: str | None = None
    within_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = START_TIMEOUT_S


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target's file."""

    command: str | list[str]
    persistent: bool
    protocol: Literal["http", "maelstrom"] = "http"
    name: str = ""
    version: str | list[str] = ""
    wipe: bool = False
    disk: DiskName = "kept"
    heartbeats: bool = False
    checksum: bool = False
    environment: dict[str, str] = {}
    rate: Annotated[float, msgspec.Meta(gt=0, le=MOST_RATE)] | None = None
    ports: tuple[str, ...] = ("client", "peer")
    clients: str = "client"
    links: str | None = None
    network: NetworkName = "tcp"
    peers: str = "{node}=http://{host}:{port.peer}"
    peers_separator: str = ","
    peers_with_self: bool = False
    ready: Ready | None = None
    stop: Stopping | None = None
    status: Status | None = None
    get: OperationRequest | None = None
    put: OperationRequest | None = None
    append: OperationRequest | None = None
    cas: OperationRequest | None = None
    delete: OperationRequest | None = None
    enqueue: OperationRequest | None = None
    dequeue: OperationRequest | None = None
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    events: tuple[LogLine, ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command) if isinstance(self.command, str) else self.command

    @property
    def version_words(self) -> list[str]:
        return shlex.split(self.version) if isinstance(self.version, str) else self.version

    @property
    def link_port(self) -> str | None:
        """The name of the port for peers."""
        return self.links or ("peer" if "peer" in self.ports else None)

    @property
    def can(self) -> Abilities:
        """What the target's nodes can do, as far as the file says."""
        can: set[Ability] = {"pause"}
        if self.protocol == "maelstrom":
            can.update(OF_LIN_KV)
        can |= {ability for ability in ALL_OPERATIONS if getattr(self, ability) is not None}
        if self.delivery == "exactly_once":
            can.add("exactly_once")
        if self.persistent:
            can.add("kill")
        if self.stop is not None:
            can.add("stop")
        if self.wipe:
            can.add("wipe")
        if self.disk == "lossy":
            can.add("lossy_disk")
        if self.heartbeats:
            can.add("heartbeats")
        if self.checksum:
            can.add("checksum")
        if self.status is not None:
            can.add("leader")
            if self.status.term is not None:
                can.add("term")
        if self.events:
            can |= {"leader", "term"}
        return frozenset(can)


def load(file: FilePath) -> Description:
    """Reads a target's file. Raises TargetError, which names the file, the place, what is wrong and what there is."""
    try:
        data = read_regular(file, MOST_BYTES)
    except FileNotFoundError:
        raise TargetError(f"{file}: there is no such file; raft-chaos init writes one to begin with") from None
    except OSError as error:
        raise TargetError(f"{file}: {error.strerror or error}") from None
    described = parse(data, file)
    try:
        find_program(found_beside(described.words, file.parent)[0])
    except TargetError as error:
        where = " (looked for beside that file, and in the working folder)" if "/" in described.words[0] else ""
        raise TargetError(f"{file}: command: {error}{where}") from None
    return described


def parse(data: bytes, file: FilePath) -> Description:
    """The description in the content of a file. Raises TargetError as `load` does."""
    try:
        text = data.decode()
        described = msgspec.convert(tomllib.loads(text), Description)
        for place, error in _mistakes(described):
            raise TargetError(f"{file}: {place}: {error}")
    except UnicodeDecodeError:
        raise TargetError(f"{file}: expected a text in UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TargetError(f"{file}: {error}") from None
    except msgspec.ValidationError as error:
        raise TargetError(f"{file}: {_in_words(str(error), text)}") from None
    return described


def _mistakes(described: Description) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of what types alone do not show."""
    if not described.words:
        yield "command", "expected a command line, got nothing"
    if described.disk == "lossy" and not described.persistent:
        yield "disk", "a disk loses something only when its node is killed; expected persistent = true"
    yield from _of_messages(described) if described.protocol == "maelstrom" else _of_http(described)


def _of_messages(described: Description) -> Iterator[tuple[str, str]]:
    for text in (*described.words, *described.environment.values()):
        yield from _wrong("command", partial(template.check, text, OF_MESSAGE_NODES))
    defaults = Description(command=described.command, persistent=described.persistent)
    for key in OF_HTTP:
        if getattr(described, key) != getattr(defaults, key):
            yield key, 'not with protocol = "maelstrom": the harness carries all messages, in the shapes of lin-kv'
    for number, line in enumerate(described.events):
        yield from _wrong(f"events[{number}]", partial(line.check, ()))
        if line.file == "stdout":
            yield f"events[{number}]", 'file: stdout has the messages; expected "stderr", or a path in {data}'


def _of_http(described: Description) -> Iterator[tuple[str, str]]:
    ports = [f"port.{name}" for name in described.ports]
    of_nodes = (*OF_NODES, *ports)
    texts = {"command": described.words, "environment": list(described.environment.values())}
    for place, text, fields in (
        *((place, text, of_nodes) for place, several in texts.items() for text in several),
        *([("peers", described.peers, (*OF_PEERS, *ports))] if _uses_peers(described) else []),
    ):
        yield from _wrong(place, partial(template.check, text, fields))
    if described.status is not None:
        yield from _wrong("status", described.status.check_status)
    for name in ALL_OPERATIONS:
        operation: OperationRequest | None = getattr(described, name)
        if operation is not None:
            yield from _wrong(name, operation.check_operation)
    for number, line in enumerate(described.events):
        yield from _wrong(f"events[{number}]", partial(line.check, described.ports))
    for place, port in (("clients", described.clients), ("links", described.links), ("ready.tcp", _tcp(described))):
        if port is not None and port not in described.ports:
            yield place, f"there is no port {port!r}; {nearest(port, described.ports)}"
    if described.link_port is None and described.network in ("frames", "tcp"):
        yield "links", f'the network {described.network} needs the name of the port for peers, or network = "none"'
    if all(one is None for one in (described.get, described.put, described.append, described.enqueue)):
        yield "operations", "expected at least [get] and [put], or [enqueue] and [dequeue]; else a run shows nothing"
    for name, reading in (("get", described.get), ("dequeue", described.dequeue)):
        if reading is not None and reading.value is None:
            yield f"{name}.value", 'expected where the answer has the value, such as "node.value"'
    yield from _wrong_queue(described)


def _wrong_queue(described: Description) -> Iterator[tuple[str, str]]:
    if (described.enqueue is None) != (described.dequeue is None):
        yield "operations", "[enqueue] and [dequeue] need each other; else nobody sees what is in the queue"
    if described.dequeue is None and described.delivery != "at_least_once":
        yield "delivery", "it is a promise about queues; expected [enqueue] and [dequeue]"
    for name in ALL_OPERATIONS:
        operation: OperationRequest | None = getattr(described, name)
        if name != "dequeue" and operation is not None and operation.empty is not None:
            yield f"{name}.empty", "only a dequeue can find a queue empty"


def _uses_peers(described: Description) -> bool:
    texts = (*described.words, *described.environment.values())
    return any("peers" in template.fields_of(text) for text in texts)


def _wrong(place: str, check: Callable[[], None]) -> Iterator[tuple[str, str]]:
    try:
        check()
    except TemplateError as error:
        yield place, str(error)


def _tcp(described: Description) -> str | None:
    return described.ready.tcp if described.ready is not None else None


def _in_words(error: str, text: str) -> str:
    """msgspec's message in plain words, with the line of an unknown key and the nearest name."""
    message, _, at = error.partition(" - at `")
    place = at.rstrip("`").removeprefix("$").removeprefix(".") or "the file"
    if unknown := re.search(r"unknown field `(.+)`", message):
        key = unknown[1]
        line = next(
            (number for number, row in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[*{key}\b", row)), None
        )
        where = f"line {line}: " if line else ""
        return f"{where}{place}: there is no {key!r}; {nearest(key, _keys(place))}"
    if missing := re.search(r"missing required field `(.+)`", message):
        return f"{place}: {missing[1]!r} is missing" + (PERSISTENT if missing[1] == "persistent" else "")
    return f"{place}: {message[0].lower()}{message[1:]}"


PERSISTENT = ": say whether a killed node has what it acknowledged when it starts again (true: runs kill nodes)"


def _keys(place: str) -> list[str]:
    """The keys that may stand there."""
    last = place.rpartition(".")[2].partition("[")[0]
    types: dict[str, type[msgspec.Struct]] = {
        "the file": Description,
        "ready": Ready,
        "stop": Stopping,
        "status": Status,
        "events": LogLine,
        **dict.fromkeys(ALL_OPERATIONS, OperationRequest),
        **dict.fromkeys(("ok", "fail", "elsewhere", "empty", "leads"), Condition),
    }
    return list(types.get(last, Description).__struct_fields__)
