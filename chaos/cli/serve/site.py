"""The addresses of the server, and what is shown at each.

    /                        the list of runs, campaigns and explorations
    /runs/NAME/              a run: its report, or while it goes on, how it stands
    /runs/NAME/picture.json  the timeline of a run that goes on, when there is a newer one
    /runs/NAME/files/        its files
    /runs/NAME/files/PATH    one of them, as plain text; large and other files are offered for saving
    /campaigns/NAME/         a campaign
    /explorations/NAME/      an exploration

With `?fresh` a page that keeps itself up to date asks for its news.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from raft_chaos.chaos.cli.read.run_names import Ongoing
from raft_chaos.chaos.cli.serve import door
from raft_chaos.chaos.cli.serve.cards import address, campaign_card, card, exploration_card
from raft_chaos.chaos.cli.serve.folder import Folder, NotThereError
from raft_chaos.chaos.cli.serve.following import Following
from raft_chaos.chaos.cli.serve.growing import GrowingFiles, UnreadableError
from raft_chaos.chaos.cli.serve.making import NoReportError
from raft_chaos.chaos.cli.serve.reports import Reports, with_links
from raft_chaos.chaos.cli.serve.seals import Seals
from raft_chaos.chaos.processes.shortage import sentence
from raft_chaos.reports.html.files import files_html
from raft_chaos.reports.html.message import message_html
from raft_chaos.reports.html.runs import runs_html

if TYPE_CHECKING:
    from raft_chaos.chaos.cli.serve.campaigns import Campaign
    from raft_chaos.chaos.cli.serve.explorations import Exploration

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_RUNS = 500
MOST_TEXT_BYTES = 8 << 20
"""A browser shows a longer text slowly, so it is offered for saving."""
CHUNK_BYTES = 256 << 10
TEXT = {".json", ".jsonl", ".txt", ".log", ".md", ".xml", ".toml", ".html", ".svg", ".yaml", ".yml", ".conf", ""}
SWEEP_S = 10.0


class Site:
    """The application for one folder. `port` is where it listens, which every request must name."""

    def __init__(self, folder: Folder, reports: Reports, shown_as: str, port: Callable[[], int]) -> None:
        self._folder = folder
        self._reports = reports
        self._shown_as = shown_as
        self._port = port
        self._following = Following()
        self._seals = Seals()
        self._campaigns = GrowingFiles(folder.campaign, _campaign)
        self._explorations = GrowingFiles(folder.exploration, _exploration)
        self._listing = asyncio.Lock()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._at_the_door])
        app.router.add_get("/", self._list)
        app.router.add_get("/runs/{name}", self._without_slash)
        app.router.add_get("/runs/{name}/", self._run)
        app.router.add_get("/runs/{name}/picture.json", self._picture)
        app.router.add_get("/runs/{name}/files/", self._files)
        app.router.add_get("/runs/{name}/files/{path:.+}", self._file)
        app.router.add_get("/campaigns/{name}/", partial(self._growing, self._campaigns))
        app.router.add_get("/explorations/{name}/", partial(self._growing, self._explorations))
        app.on_response_prepare.append(_add_headers)
        app.cleanup_ctx.append(self._sweep)
        return app

    # ---- every request --------------------------------------------------------------------------------------------

    @web.middleware
    async def _at_the_door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if (refused := door.refusal(request.method, request.headers, self._port())) is not None:
            status, why = refused
            allowed = {"Allow": ", ".join(door.METHODS)} if status is HTTPStatus.METHOD_NOT_ALLOWED else None
            return web.Response(status=status, text=f"{why}\n", headers=allowed)
        try:
            return await handler(request)
        except (NotThereError, web.HTTPNotFound):
            return _message(HTTPStatus.NOT_FOUND, "Nothing is here", f"There is no {request.path} in {self._shown_as}.")
        except (NoReportError, UnreadableError) as error:
            return _message(HTTPStatus.UNPROCESSABLE_ENTITY, "This cannot be shown", str(error))
        except OSError as error:
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "This cannot be read", sentence(error))

    async def _sweep(self, app: web.Application) -> AsyncIterator[None]:
        """While the server runs, lets go of the runs at which nobody looks any more."""

        async def again_and_again() -> None:
            while True:
                await asyncio.sleep(SWEEP_S)
                self._following.forget()

        sweeping = asyncio.create_task(again_and_again())
        yield
        sweeping.cancel()
        self._following.close()
        self._campaigns.close()
        self._explorations.close()

    # ---- pages ----------------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        async with self._listing:
            return _page(await asyncio.to_thread(self._listed))

    def _listed(self) -> str:
        ongoing = Ongoing()
        runs = self._folder.runs()
        damage = self._seals.damage(runs)
        cards = [card(run, ongoing, damage[run.path]) for run in runs]
        cards.sort(key=lambda one: one.state != "running")
        campaigns = self._campaigns.all(self._folder.campaigns()[:MOST_RUNS], ongoing)
        explorations = self._explorations.all(self._folder.explorations()[:MOST_RUNS], ongoing)
        return runs_html(
            self._shown_as, cards, [*map(campaign_card, campaigns)], [*map(exploration_card, explorations)], MOST_RUNS
        )

    async def _growing(self, files: GrowingFiles[Any], request: web.Request) -> web.Response:
        name = request.match_info["name"]
        async with self._listing:
            return _page(await asyncio.to_thread(lambda: files.one(name, Ongoing()).page()))

    async def _run(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        run = await asyncio.to_thread(self._folder.run, name)
        followed = await self._following.look(run)
        if followed is not None:
            is_whole = "fresh" not in request.query
            return _page(await asyncio.to_thread(lambda: followed.page(whole=is_whole)))
        if "fresh" in request.query:
            return _message(HTTPStatus.OK, "The run has ended", "Its report is at this address.")
        report = await self._reports.of(name)
        links = [("/", "All runs"), ("files/", "Files of this run")]
        return _page(with_links(report, links), door.REPORT)

    async def _without_slash(self, request: web.Request) -> web.Response:
        run = await asyncio.to_thread(self._folder.run, request.match_info["name"])
        raise web.HTTPFound(address("runs", run.path.name))

    async def _picture(self, request: web.Request) -> web.Response:
        run = await asyncio.to_thread(self._folder.run, request.match_info["name"])
        followed = await self._following.look(run)
        if followed is None or followed.drawn is None:
            raise NotThereError(request.path)
        body = await asyncio.to_thread(msgspec.json.encode, followed.drawn.spec)
        return web.Response(body=body, content_type="application/json")

    # ---- files ----------------------------------------------------------------------------------------------------

    async def _files(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        files, complete = await asyncio.to_thread(self._folder.files, name)
        return _page(files_html(name, files, complete=complete))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """A file as it is, in pieces: it may be large, and may grow meanwhile."""
        path = request.match_info["path"]
        run = await asyncio.to_thread(self._folder.run, request.match_info["name"])
        descriptor = self._folder.open(run.path.name, *path.split("/"))
        try:
            left = os.fstat(descriptor).st_size
            response = web.StreamResponse(headers=_as_file(path, left))
            response.content_length = left
            await response.prepare(request)
            while left and request.method == "GET" and (piece := os.read(descriptor, min(left, CHUNK_BYTES))):
                left -= len(piece)
                await response.write(piece)
            await response.write_eof()
            return response
        finally:
            os.close(descriptor)


def _campaign(file: Path) -> Campaign:
    from raft_chaos.chaos.cli.serve.campaigns import (
        Campaign,
    )  # it brings what sums up and draws one; many folders have none

    return Campaign(file)


def _exploration(file: Path) -> Exploration:
    from raft_chaos.chaos.cli.serve.explorations import Exploration  # the same

    return Exploration(file)


def _as_file(path: str, size: int) -> dict[str, str]:
    """Plain text, whatever it says itself; a large or another file is for saving."""
    name = PurePosixPath(path)
    if name.suffix in TEXT and size <= MOST_TEXT_BYTES:
        return {**door.says(), "Content-Type": "text/plain; charset=utf-8"}
    saved_as = f"attachment; filename*=UTF-8''{quote(name.name, safe='')}"
    return {**door.says(), "Content-Type": "application/octet-stream", "Content-Disposition": saved_as}


def _page(content: str | bytes, policy: str = door.PAGE) -> web.Response:
    body = content if isinstance(content, bytes) else content.encode()
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=door.says(policy))


def _message(status: HTTPStatus, title: str, text: str) -> web.Response:
    response = _page(message_html(title, text))
    response.set_status(status)
    return response


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in door.says().items():
        response.headers.setdefault(name, value)
