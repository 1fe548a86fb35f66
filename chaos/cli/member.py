"""`raft-chaos member`: who is a member of a plain cluster, and changes of that (§6), over the nodes' HTTP API."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

import typer

from raft_chaos.chaos.cli.common import fail, no_such, parse_duration_s, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run.tls_options import given_files
from raft_chaos.invariants.verdict import EXIT_HARNESS
from raft_chaos.raft.state.configuration import TRY_AGAIN

RETRY_S, ANSWER_S = 0.2, 10.0
MOST_REDIRECTS = 5
FIRST_NODE = "http://127.0.0.1:8001"
LIST, CHANGES = "list", ("add", "promote", "remove")

TlsFile = Annotated[Path | None, typer.Option(metavar="FILE", help="For HTTPS, as `raft-chaos certs` makes it.")]


def member(
    verb: Annotated[str, typer.Argument(metavar="list|add|promote|remove", help="What to do.")],
    nodes: Annotated[list[str], typer.Argument(metavar="[NODE]...", help="The nodes that join or leave.")] = [],  # noqa: B006
    node: Annotated[
        str, typer.Option("--node", metavar="URL", help="Where clients reach any node of the cluster.")
    ] = FIRST_NODE,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", envvar="RAFT_CHAOS_TOKEN", help="The cluster's bearer token."),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="TIME", help="How long to try again while the cluster says that it may work.")
    ] = "10s",
    tls_ca: TlsFile = None,
    tls_cert: TlsFile = None,
    tls_key: TlsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The node's answer on stdout.")] = False,
) -> Result:
    """Shows and changes the members of a plain cluster.

    `list` shows the members that a node uses. `add` makes nodes learners, which get the log and have no vote; `promote`
    makes learners voters once they have caught up; `remove` takes members out, and a leader that is removed steps down.

    Exit codes: 0 done, 254 bad arguments or refused, 255 no answer, or nobody knows whether it is done.
    """
    if verb not in (LIST, *CHANGES):
        no_such("member", verb, (LIST, *CHANGES))
    if bool(nodes) is (verb == LIST):
        fail(f"member {verb}: expected {'no names' if verb == LIST else 'the names of nodes, such as n4'}")
    caller = _Caller(node, token, tls_ca, tls_cert, tls_key)
    if verb == LIST:
        answer = caller.ask(None)
        return _shown(answer.body, as_json) if answer.status == 200 else _failed(answer)
    return _change(verb, nodes, parse_duration_s(wait, "--wait", may_be_zero=True), caller, as_json)


class _Answer(NamedTuple):
    """The status is 0 if no node answered; then `error` says why."""

    status: int
    body: dict[str, Any]
    error: str
    location: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would change the method, and leave the body out."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> None:
        return None


class _Caller:
    """Asks the nodes of one cluster, and follows their redirects."""

    def __init__(self, node: str, token: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> None:
        if not node.startswith(("http://", "https://")):
            fail(f"--node: expected a URL such as {FIRST_NODE}, got {node!r}")
        files = given_files(cert, key, ca)
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), urllib.request.ProxyHandler({})]
        if files is not None:
            try:
                context = ssl.create_default_context(cafile=files.ca)
                context.load_cert_chain(files.cert, files.key)
            except OSError as error:
                fail(f"--tls-ca, --tls-cert, --tls-key: {error}")
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._url = node.rstrip("/") + "/membership"
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    def ask(self, change: dict[str, list[str]] | None) -> _Answer:
        """One request: for other members, or None for those that there are."""
        url = self._url
        for _ in range(MOST_REDIRECTS):
            answer = self._once(url, change)
            if not answer.location:
                return answer
            url = answer.location
        return _Answer(0, {}, "the nodes redirect to each other")

    def _once(self, url: str, change: dict[str, list[str]] | None) -> _Answer:
        body = None if change is None else json.dumps(change).encode()
        request = urllib.request.Request(url, body, {**self._headers, "Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=ANSWER_S) as response:
                return _Answer(response.status, _object(response.read()), "")
        except urllib.error.HTTPError as error:
            with error:
                said = _object(error.read())
            location = error.headers.get("Location", "") if error.code == 307 else ""
            return _Answer(error.code, said, str(said.get("error", error.reason)), location)
        except (urllib.error.URLError, OSError, ValueError) as error:
            return _Answer(0, {}, f"{url}: {getattr(error, 'reason', error)}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _change(verb: str, nodes: list[str], wait_s: float, caller: _Caller, as_json: bool) -> Result:
    """Asks until the change is done, or refused for good, or the time is up."""
    ends = time.monotonic() + wait_s
    while True:
        answer = caller.ask({verb: nodes})
        may_work = answer.status == 503 or (answer.status == 409 and answer.error.endswith(TRY_AGAIN))
        if answer.status == 200:
            return _shown(answer.body, as_json)
        if not may_work or time.monotonic() > ends:
            return _failed(answer)
        time.sleep(RETRY_S)


def _failed(answer: _Answer) -> Result:
    if answer.status in (400, 401, 403, 404, 405, 409, 413):
        fail(answer.error)
    unknown = "; nobody knows whether it is done: look with `raft-chaos member list`" if answer.status == 504 else ""
    say(f"raft-chaos: {answer.error}{unknown}")
    return Result(EXIT_HARNESS)


def _shown(members: dict[str, Any], as_json: bool) -> Result:
    committed = "committed" if members.get("committed") else "not committed"
    rows = {
        "voters": " ".join(members.get("voters", ())),
        "old voters": " ".join(members.get("old_voters", ())),
        "learners": " ".join(members.get("learners", ())),
        "leader": members.get("leader") or "unknown",
        "entry": f"{members.get('configuration_index')}, {committed}",
    }
    page = [f"{name:<10}  {value}" for name, value in rows.items() if value]
    return Result(page=page, document=members, as_json=as_json)
