"""The page that lists the files of a run directory, which `serve` shows as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from raft_chaos.reports.html.page import Served, page
from raft_chaos.reports.text import size, visible


class ListedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run, by its path in the directory."""

    path: str
    size_bytes: int

    @property
    def link(self) -> str:
        return quote(self.path)

    @property
    def shown(self) -> str:
        return visible(self.path)

    @property
    def size(self) -> str:
        return size(self.size_bytes)


def files_html(run: str, files: Sequence[ListedFile], *, complete: bool) -> str:
    """The page. `complete` is False if there are more files."""
    served = Served(links=[("/", "All runs"), ("../", visible(run))])
    return page("files", pictures=False, served=served, run=visible(run), files=files, complete=complete)
