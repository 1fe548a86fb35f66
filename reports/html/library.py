"""The plotting library as it stands in a page: Vega, Vega-Lite and vega-embed, compressed, in base64.

vl-convert-python carries them. It takes a second or two to bundle them, so the bundle is made once for each of its
versions, and kept in the user's cache folder with a digest. A cache that cannot be written costs that time again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

EXPOSED = "window.vegaEmbed = vegaEmbed;"
"""What the bundle adds to the page that runs it."""


@cache
def library() -> str:
    """The bundle's source, compressed (RFC 1950), in base64: 0.4 MB."""
    folder = _cache_folder()
    if folder is None:
        return packed(_bundle())
    from importlib.metadata import version  # it brings the parser of mails

    file = folder / f"vega-{version('vl-convert-python')}"
    if (cached := _read(file)) is not None:
        return cached
    made = packed(_bundle())
    with suppress(OSError):
        _write(file, made)
    return made


def drawn(spec: dict[str, Any]) -> str:
    """The picture of a Vega specification as SVG, made without a browser."""
    import vl_convert

    return vl_convert.vega_to_svg(spec)


def packed(text: str) -> str:
    """A text as a page unpacks it with DecompressionStream("deflate")."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _bundle() -> str:
    import vl_convert  # here: no other command needs its 84 MB

    return vl_convert.javascript_bundle(EXPOSED)


def _cache_folder() -> Path | None:
    """None for a user without a home, as in some containers."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "raft-chaos"
    except RuntimeError:
        return None


def _read(file: Path) -> str | None:
    """The cached bundle; None if there is none, or if it is damaged."""
    try:
        digest, text = file.read_text(encoding="ascii").split("\n")
    except (OSError, ValueError):
        return None
    return text if digest == _digest(text) else None


def _write(file: Path, text: str) -> None:
    """Several processes may write it at once: each replaces the file as a whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with open(handle, "w", encoding="ascii") as out:  # noqa: PTH123 - it is open already
            out.write(f"{_digest(text)}\n{text}")
        Path(staged).replace(file)
    except OSError:
        Path(staged).unlink(missing_ok=True)
        raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
