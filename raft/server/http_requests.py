"""What clients may ask for: the bodies and queries of requests, as `http_api` takes them.

Each function raises ValueError for a request that is malformed, which names the wrong field and says what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.replica.command import Command, Read, parse_command
from raft_chaos.raft.state.configuration import LONGEST_NAME, MOST_NAMES, Change


def _object(body: bytes, expected: str) -> dict[str, Any]:
    """The JSON object of a body."""
    try:
        raw = msgspec.json.decode(body)
    except MALFORMED as error:
        raise ValueError(f"body: not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise ValueError(f"body: expected {expected}, got {type(raw).__name__}")
    return raw


def parse_request(body: bytes) -> Command:
    """Parses the body of POST /executeCommand. Raises ValueError, which names the wrong field and says why."""
    raw = _object(body, 'an object such as {"command": "put x 1"}')
    unknown = sorted(set(raw) - {"command", "client", "serial", "since"})
    if unknown:
        raise ValueError(f"{unknown[0]}: no such field; there are command, client, serial, since")
    if "command" not in raw:
        raise ValueError('command: missing; send an object such as {"command": "put x 1"}')
    command = parse_command(raw["command"])
    client, serial, since = _session(raw.get("client"), raw.get("serial"), raw.get("since"))
    return command if client is None else msgspec.structs.replace(command, client=client, serial=serial, since=since)


def parse_change(body: bytes) -> Change:
    """Parses the body of POST /membership. Raises ValueError, which names the wrong field and says why."""
    raw = _object(body, 'an object such as {"add": "n4"}')
    if unknown := sorted(set(raw) - {"add", "promote", "remove"}):
        raise ValueError(f"{unknown[0]}: no such field; there are add, promote, remove")
    given: dict[str, list[str]] = {}
    for field, value in raw.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"{field}: expected the name of a node, or a list of names, got {value!r}")
        if len(names) > MOST_NAMES:
            raise ValueError(f"{field}: {len(names)} names; the maximum is {MOST_NAMES}")
        if (longest := max(map(len, names), default=0)) > LONGEST_NAME:
            raise ValueError(f"{field}: a name of {longest} characters; the maximum is {LONGEST_NAME}")
        given[field] = names
    return msgspec.convert(["change", *(given.get(field, []) for field in ("add", "promote", "remove"))], Change)


def parse_transfer(body: bytes) -> str | None:
    """Parses the body of POST /transfer, which may be empty: the target, if one is named. Raises ValueError."""
    if not body.strip():
        return None
    raw = _object(body, 'nothing, or an object such as {"target": "n2"}')
    if unknown := sorted(set(raw) - {"target"}):
        raise ValueError(f"{unknown[0]}: no such field; there is target")
    target = raw.get("target")
    if target is not None and not isinstance(target, str):
        raise ValueError(f"target: expected the name of a node, got {target!r}")
    return target


def _session(client: Any, serial: Any, since: Any) -> tuple[str | None, int, int]:
    """The name and the number that a client may give its request, and the index after which its session began (0: it
    does not say). Raises ValueError."""
    if client is None and serial is None and since is None:
        return None, 0, 0
    if not isinstance(client, str) or not client:
        raise ValueError(f"client: expected a string beside serial, got {client!r}")
    if type(serial) is not int or not 0 < serial < 1 << 63:
        raise ValueError(f"serial: expected a number from 1 on beside client, got {serial!r}")
    if since is not None and (type(since) is not int or not 0 <= since < 1 << 63):
        raise ValueError(f"since: expected the index of a log entry, got {since!r}")
    return client, serial, since or 0


def parse_read(query: Mapping[str, str]) -> Command | Read:
    """Parses the query of GET /read: a command for one through the log, which is the default. Raises ValueError."""
    unknown = sorted(set(query) - {"key", "consistency", "client", "serial", "since"})
    if unknown:
        raise ValueError(f"{unknown[0]}: no such parameter; there are key, consistency, client, serial, since")
    key = query.get("key", "")
    if not key:
        raise ValueError("key: missing; ask for example for /read?key=x")
    if any("\ud800" <= character <= "\udfff" for character in key + query.get("client", "")):
        raise ValueError("key and client: expected UTF-8")
    client, serial, since = _session(query.get("client"), _number(query.get("serial")), _number(query.get("since")))
    match query.get("consistency", "log"):
        case "log":
            return Command("get", key, client=client, serial=serial, since=since)
        case "read_index" | "lease" | "stale" as consistency:
            return Read(key, consistency, client, serial)
        case other:
            raise ValueError(f"consistency: expected log, read_index, lease or stale, got {other!r}")


def _number(raw: str | None) -> int | str | None:
    """The number, if it is one."""
    return int(raw) if raw is not None and raw.isascii() and raw.isdigit() and len(raw) <= 18 else raw


def query_int(request: web.Request, name: str, *, default: int, least: int, most: int | None = None) -> int:
    raw = request.query.get(name)
    if raw is None:
        return default
    is_number = raw.isascii() and raw.isdigit() and len(raw) <= 18
    if not is_number or int(raw) < least or (most is not None and int(raw) > most):
        upper = f" to {most}" if most is not None else " on"
        raise ValueError(f"{name}: expected a number from {least}{upper}, got {raw!r}")
    return int(raw)
