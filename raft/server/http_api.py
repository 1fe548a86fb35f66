"""The API of a node for clients: HTTP or HTTPS with JSON, for curl, Postman and the chaos workload.

POST /executeCommand   a command; the leader answers after it has committed and applied the command
GET  /read?key=K       a read: through the log, or as `consistency` says
POST /membership       nodes that become learners, voters, or leave: {"add": "n4"}; GET shows who is a member
POST /transfer         the leader hands over, to `target` if one is named; it answers once that one is elected
GET  /status           role, term, leader, commit index, last index, peers
GET  /log?from=&limit= log entries, each with `committed`

200  done                     400  malformed: which field, and why      401  the bearer token is missing or wrong
409  a change of the members that is not possible now: why, and what to do
307  ask the leader there     403  from a browser's page: `http_door`   408  the body did not come in time
413  too large                415  a compressed body                    503  cannot be done now: try again
504  the outcome is unknown: it may be, or become, committed
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.replica.command import Command, decode_command
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.server.host import BusyError, LeadershipLostError, LiveHost, NotLeaderError, ReadRefusedError
from raft_chaos.raft.server.http_door import KEEP_ALIVE_S, REQUEST_TIMEOUT_S, AllowedCallers, Connections
from raft_chaos.raft.server.http_requests import parse_change, parse_read, parse_request, parse_transfer, query_int
from raft_chaos.raft.state.configuration import (
    decode_configuration,
)
from raft_chaos.raft.state.configuration_mark import is_configuration

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER_S = 1
LOG_LIMIT_MAX = 1_000
LOG_BYTES_MAX = 4 * 1024 * 1024
"""An answer to GET /log ends with the entry whose command exceeds this."""

log = logging.getLogger("raft.http")
log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
"""aiohttp's own log, without the traceback of each request that is not HTTP: its sender is told with a 400."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApi:
    """The HTTP API of one node. `peer_urls` are the other nodes' addresses for clients, as far as they are configured;
    `allowed_hosts` are names by which clients may call this node, besides the address at which it listens. With `tls`
    it speaks HTTPS, and only with clients that have a certificate."""

    def __init__(
        self,
        host: LiveHost,
        peer_urls: Mapping[str, str],
        *,
        commit_timeout_s: float,
        token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        tls: Tls | None = None,
    ) -> None:
        self._host = host
        self._peer_urls = peer_urls
        self._commit_timeout_s = commit_timeout_s
        self._token = token
        self._allowed_hosts = tuple(allowed_hosts)
        self._tls = tls
        self._callers = AllowedCallers("localhost", self._allowed_hosts)
        self._runner: web.AppRunner | None = None
        self._connections: Connections | None = None
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> str:
        """Binds and serves; `port` 0 takes a free one. Returns the base URL. Raises OSError."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._errors_as_json])
        app.router.add_post("/executeCommand", self._execute_command)
        app.router.add_get("/read", self._read)
        app.router.add_post("/membership", self._change_members)
        app.router.add_get("/membership", self._members)
        app.router.add_post("/transfer", self._transfer)
        app.router.add_get("/status", self._status)
        app.router.add_get("/log", self._log)
        # A node reads no compressed body, and a small one must not become a large one before it is refused.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            logger=log,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        scheme: Literal["http", "https"] = "http" if self._tls is None else "https"
        self._callers = AllowedCallers(host, self._allowed_hosts, scheme)
        self._connections = Connections(self._runner.server, self._tls)
        self._server = await asyncio.get_running_loop().create_server(self._connections, host, port)
        bound_host, bound_port = self._server.sockets[0].getsockname()[:2]
        return f"{scheme}://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _errors_as_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Checks who asks, then the token; gives every refusal a JSON body that says what to do."""
        if self._connections is not None and self._connections.silent:
            self._connections.asked(request.transport)
        if refusal := self._callers.refusal(request.headers):
            return _refusal(403, refusal)
        if self._token is not None:
            given = request.headers.get("Authorization", "")
            # aiohttp passes on bytes that are not UTF-8 as surrogates.
            if not hmac.compare_digest(given.encode(errors="surrogateescape"), f"Bearer {self._token}".encode()):
                error = "send the header 'Authorization: Bearer <token>' with this cluster's token"
                return _refusal(401, error, {"WWW-Authenticate": "Bearer"})
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"the request body is larger than {MAX_BODY_BYTES} bytes")
        except web.HTTPNotFound:
            paths = "POST /executeCommand, GET /read, GET and POST /membership, POST /transfer, GET /status, GET /log"
            return _refusal(404, f"no such path: {request.path}; there are {paths}")
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            return _refusal(405, f"{request.method} is not allowed here; use {allowed}", {"Allow": allowed})
        except web.HTTPException as error:
            return _refusal(error.status, error.reason)

    # ---- POST /executeCommand -------------------------------------------------------------------------------------

    async def _execute_command(self, request: web.Request) -> web.Response:
        body = await _body_of(request)
        if isinstance(body, web.Response):
            return body
        try:
            command = parse_request(body)
        except ValueError as error:
            return _refusal(400, str(error))
        return await self._execute(request, command)

    async def _execute(self, request: web.Request, command: Command) -> web.Response:
        """Answers a command once it is committed and applied."""
        came = await self._committed(request, lambda: self._host.submit(command))
        if isinstance(came, web.Response):
            return came
        index, term, result = came
        answer: dict[str, Any] = {"ok": result.ok, "index": index, "term": term, "result": result.value}
        if result.error is not None:
            answer["error"] = result.error
        return _json(200, answer)

    async def _committed(
        self, request: web.Request, submit: Callable[[], asyncio.Future[tuple[int, int, Result]]]
    ) -> tuple[int, int, Result] | web.Response:
        """What came of a submission, once it is committed and applied; or else the answer that says why it was not
        taken, or that its outcome is unknown."""
        try:
            submitted = submit()
        except ValueError as error:
            return _refusal(400, str(error))
        except BusyError as error:
            return _try_again(str(error))
        except NotLeaderError:
            return self._redirect(request)
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                return await submitted
        except TimeoutError:
            return _unknown(f"not committed within {self._commit_timeout_s:g} s")
        except LeadershipLostError:
            return _unknown("this node lost its leadership before that was committed")

    def _redirect(self, request: web.Request) -> web.Response:
        core = self._host.replica.core
        leader = core.leader
        if leader == core.node:
            return _try_again(f"this node hands over the leadership to {core.successor}")
        url = self._peer_urls.get(leader) if leader else None
        if leader is None:
            return _try_again("no leader is known at the moment")
        if url is None:
            return _try_again(f"{leader} leads, but this node was not told where clients reach it", leader=leader)
        location = self._callers.location(url, request.headers) + request.path_qs
        body = {"ok": False, "error": "this node is not the leader", "leader": leader, "location": location}
        return _json(307, body, {"Location": location})

    # ---- /membership ------------------------------------------------------------------------------------------------

    async def _change_members(self, request: web.Request) -> web.Response:
        """Answers once the change is committed, in joint consensus its second entry too (§6)."""
        body = await _body_of(request)
        if isinstance(body, web.Response):
            return body
        came = await self._committed(request, lambda: self._host.change_members(parse_change(body)))
        if isinstance(came, web.Response):
            return came
        index, term, result = came
        if not result.ok:
            return _refusal(409, result.error or "refused")
        return _json(200, {"ok": True, "index": index, "term": term, **self._shown_members()})

    async def _members(self, request: web.Request) -> web.Response:
        return _json(200, {"node": self._host.replica.core.node, **self._shown_members()})

    def _shown_members(self) -> dict[str, Any]:
        """The configuration that this node uses, which may not be committed yet."""
        core = self._host.replica.core
        members: dict[str, Any] = msgspec.to_builtins(core.configuration.as_members())
        return members | {
            "leader": core.leader,
            "configuration_index": core.configuration_index,
            "committed": core.configuration_index <= core.commit_index,
        }

    # ---- POST /transfer -------------------------------------------------------------------------------------------

    async def _transfer(self, request: web.Request) -> web.Response:
        """Answers once it is known who leads after it; within two of the longest election timeouts in any case."""
        body = await _body_of(request)
        if isinstance(body, web.Response):
            return body
        core = self._host.replica.core
        try:
            target = parse_transfer(body)
            if core.role == "leader" and (target == core.node or target not in (None, *core.other_voters)):
                raise ValueError(f"target: {core.why_no_transfer(target)}")
        except ValueError as error:
            return _refusal(400, str(error))
        if core.role != "leader":
            return self._redirect(request)
        if why := core.why_no_transfer(target):
            return _try_again(why)
        ended = self._host.transfer(target)
        if ended is None:
            return _try_again("this node is about to end")
        target, leader, term = core.successor, None, 0
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * core.timing.election_timeout_max_us / 1e6):
                leader, term = await ended
        if leader is None or leader != target:
            return _try_again(f"{target} did not take over; {leader or 'no node that this one knows'} leads")
        return _json(200, {"ok": True, "from": core.node, "to": target, "term": term})

    # ---- GET ------------------------------------------------------------------------------------------------------

    async def _read(self, request: web.Request) -> web.Response:
        try:
            read = parse_read(request.query)
        except ValueError as error:
            return _refusal(400, str(error))
        if isinstance(read, Command):
            return await self._execute(request, read)
        try:
            asked = self._host.read(read)
        except BusyError as error:
            return _try_again(str(error))
        except NotLeaderError:
            return self._redirect(request)
        try:
            async with asyncio.timeout(self._commit_timeout_s):
                index, term, result = await asked
        except TimeoutError:
            return _try_again(f"no majority confirmed within {self._commit_timeout_s:g} s that this node leads")
        except ReadRefusedError:
            return _try_again("this node lost its leadership before it could answer")
        core = self._host.replica.core
        return _json(
            200,
            {
                "ok": True,
                "index": index,
                "term": term,
                "result": result.value,
                "node": core.node,
                "incarnation": core.incarnation,
            },
        )

    async def _status(self, request: web.Request) -> web.Response:
        core = self._host.replica.core
        peers = {peer: {"url": self._peer_urls.get(peer)} for peer in core.peers}
        for peer, progress in core.progress.items() if core.role == "leader" else ():
            peers[peer] |= {"match_index": progress.match_index, "next_index": progress.next_index}  # type: ignore[dict-item]
        return _json(
            200,
            {
                "node": core.node,
                "role": core.role,
                "term": core.current_term,
                "leader": core.leader,
                "commit_index": core.commit_index,
                "last_applied": core.last_applied,
                "last_index": core.log.last_index,
                "peers": peers,
            },
        )

    async def _log(self, request: web.Request) -> web.Response:
        core = self._host.replica.core
        try:
            first = query_int(request, "from", default=1, least=1)
            limit = query_int(request, "limit", default=100, least=1, most=LOG_LIMIT_MAX)
        except ValueError as error:
            return _refusal(400, str(error))
        entries: list[dict[str, Any]] = []
        size = 0
        for index in range(max(first, core.log.base_index + 1), min(first + limit, core.log.last_index + 1)):
            entry = self._host.entry(index)
            entries.append(
                {
                    "index": index,
                    "term": entry.term,
                    "command": _shown(entry.command),
                    "committed": index <= core.commit_index,
                }
            )
            size += len(entry.command)
            if size > LOG_BYTES_MAX:
                break
        return _json(
            200,
            {
                "node": core.node,
                "entries": entries,
                "last_index": core.log.last_index,
                "commit_index": core.commit_index,
            },
        )


async def _body_of(request: web.Request) -> bytes | web.Response:
    """The body of a request, or why it is refused."""
    if "Content-Encoding" in request.headers and request.headers["Content-Encoding"].lower() != "identity":
        return _refusal(
            415, "Content-Encoding: send the body as it is, not compressed", {"Accept-Encoding": "identity"}
        )
    try:
        # Most bodies are there already.
        return await (request.read() if request.content.is_eof() else _late_body_of(request))
    except TimeoutError:
        return _refusal(408, f"body: not complete within {REQUEST_TIMEOUT_S:g} s", {"Connection": "close"})
    except (web.RequestPayloadError, HttpProcessingError) as error:
        return _refusal(400, f"body: cannot be read as its headers say ({error})")


async def _late_body_of(request: web.Request) -> bytes:
    """Waits for the body. Raises TimeoutError if it does not come."""
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        return await request.read()


def _shown(command: bytes) -> dict[str, Any] | None:
    """A command as shown in JSON; null is the no-op at the start of a term."""
    if not command:
        return None
    if is_configuration(command):
        return {"members": msgspec.to_builtins(decode_configuration(command).as_members())}
    shown = msgspec.structs.asdict(decode_command(command))
    unsaid = (("serial", 0), ("since", 0))
    return {name: value for name, value in shown.items() if value is not None and (name, value) not in unsaid}


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body) + b"\n", content_type="application/json", headers=headers
    )


def _refusal(status: int, error: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json(status, {"ok": False, "error": error}, headers)


def _try_again(error: str, **more: str) -> web.Response:
    return _json(503, {"ok": False, "error": error, **more}, {"Retry-After": str(RETRY_AFTER_S)})


def _unknown(error: str) -> web.Response:
    return _json(504, {"ok": False, "error": error, "outcome": "unknown"})
