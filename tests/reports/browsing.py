"""Pages in headless Chromium, for tests: opened, looked at, clicked, and asked what they said on the console.

It needs Debian's package `chromium` and `pip install -e '.[browser]'`, whose own browsers are not needed. With
RAFT_CHAOS_PICTURES=FOLDER, tests leave screenshots there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'")

CHROMIUM = shutil.which("chromium")
WIDTHS = (400, 900, 1600)
DRAWN = "html[data-drawn=yes]"

# The middle of the first mark of a name that is at least this many pixels wide, in the picture's coordinates.
MIDDLE = """([name, least]) => {
  const { view } = window.pictures[0];
  const find = (mark, x, y) => {
    for (const item of mark.items) {
      if (mark.name === name && item.bounds.x2 - item.bounds.x1 >= least)
        return [x + (item.bounds.x1 + item.bounds.x2) / 2, y + (item.bounds.y1 + item.bounds.y2) / 2];
      for (const inner of item.items ?? []) {
        const found = inner.items && find(inner, x + (item.x || 0), y + (item.y || 0));
        if (found) return found;
      }
    }
    return null;
  };
  const { left, top } = view.padding();
  return find(view.scenegraph().root, left, top);
}"""

# Of the first picture of the page.
PAINTED = """() => {
  const canvas = document.querySelector("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) if (pixels[at + 3] === 255)
    colours.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
  return colours.size;
}"""


@dataclass
class Opened:
    """A page, and what it said on the console."""

    page: Any
    errors: list[str] = field(default_factory=list)

    def part(self) -> list[float]:
        found: list[float] = self.page.evaluate("window.pictures[0].part")
        return found

    def middle(self, name: str, least: float = 12) -> tuple[float, float]:
        """Where on the screen the first mark of that name is."""
        drawing = self.page.locator("#picture .drawing")
        drawing.scroll_into_view_if_needed()
        box = drawing.bounding_box()
        at = self.page.evaluate(MIDDLE, [name, least])
        assert at is not None, f"no {name} of {least} pixels"
        return box["x"] + at[0], box["y"] + at[1]


@contextmanager
def headless() -> Iterator[Any]:
    """The browser. Skips the test if there is none."""
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def opened(browser: Any, address: Path | str, width: int = 900, *, ready: str = DRAWN, **options: Any) -> Opened:
    """The page of a file, or at an address, once it has what `ready` selects. No request may go elsewhere."""
    url = address if isinstance(address, str) else address.as_uri()
    origin = "/".join(url.split("/")[:3])
    page = browser.new_page(viewport={"width": width, "height": 1000}, **options)
    shown = Opened(page)
    page.on("pageerror", lambda error: shown.errors.append(str(error)))
    page.on("console", lambda message: shown.errors.append(message.text) if message.type != "log" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith((origin, "data:")) else shown.errors.append(request.url),
    )
    page.goto(url)
    page.wait_for_selector(ready, state="attached")
    return shown


def pictured(page: Any, name: str, *, whole: bool = True) -> None:
    """Leaves a screenshot, if somebody wants it."""
    if folder := os.environ.get("RAFT_CHAOS_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=whole)
