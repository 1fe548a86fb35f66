"""Writes the pages."""

from __future__ import annotations

from docs.tools.reference.pages import FOLDER, PAGES

FOLDER.mkdir(exist_ok=True)
for name, text in PAGES.items():
    (FOLDER / name).write_text(text(), "utf-8")
