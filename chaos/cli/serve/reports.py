"""The page of a run that has ended: its own report.html, or one that is made when it is asked for.

The run directory stays as it is: a page that was made is kept in memory, with a few others.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from raft_chaos.chaos.cli.serve.folder import Folder, NotThereError
from raft_chaos.reports.html.page import REPORT

MOST_PAGE_BYTES = 32 << 20
KEPT_BYTES = 64 << 20
BEGINS = b'<header class="first'


class Reports:
    """The reports of the runs of a folder. `make` makes one; it is called in a thread, and only once at a time."""

    def __init__(self, folder: Folder, make: Callable[[Path], bytes]) -> None:
        self._folder = folder
        self._make = make
        self._kept: OrderedDict[str, tuple[tuple[int, ...], bytes]] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def of(self, name: str) -> bytes:
        """The page. Raises NotThereError, NoReportError."""
        saved = await asyncio.to_thread(self._saved, name)
        if saved is not None:
            return saved
        signature = self._signature(name)
        async with self._one_at_a_time:
            kept = self._kept.get(name)
            if kept is not None and kept[0] == signature:
                self._kept.move_to_end(name)
                return kept[1]
            page = await asyncio.to_thread(self._make, self._folder.run(name).path)
            self._keep(name, signature, page)
            return page

    def _saved(self, name: str) -> bytes | None:
        """report.html, if that is there and not older than run.json."""
        try:
            verdict_ns = self._changed_ns(name, "run.json")
            file = self._folder.open(name, REPORT)
        except NotThereError:
            return None
        with os.fdopen(file, "rb") as opened:
            status = os.fstat(opened.fileno())
            if status.st_mtime_ns < verdict_ns or status.st_size > MOST_PAGE_BYTES:
                return None
            return opened.read(MOST_PAGE_BYTES)

    def _signature(self, name: str) -> tuple[int, ...]:
        return tuple(self._changed_ns(name, part) for part in ("run.json", "harness.jsonl", "history.jsonl"))

    def _changed_ns(self, name: str, part: str) -> int:
        try:
            return (self._folder.run(name).path / part).lstat().st_mtime_ns
        except OSError:
            return 0

    def _keep(self, name: str, signature: tuple[int, ...], page: bytes) -> None:
        self._kept[name] = signature, page
        while sum(len(kept) for _, kept in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)


def with_links(page: bytes, links: list[tuple[str, str]]) -> bytes:
    """The page of a run with the way back to the list above its content, if it has the usual shape."""
    items = "".join(f'<li><a href="{address}">{text}</a></li>' for address, text in links)
    place = page.find(BEGINS)
    if place < 0:
        return page
    nav = f'<nav class="served" aria-label="Saved runs"><ul>{items}</ul></nav>\n'
    return page[:place] + nav.encode() + page[place:]
