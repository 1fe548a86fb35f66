"""The site can be built, without a warning, and asks no other host for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_site_is_built_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="the site needs pip install 'raft-chaos[docs]'")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page.name: page.read_text("utf-8") for page in tmp_path.rglob("*.html")}
    assert {"index.html", "README.html", "start.html", "commands.html", "search.html"} <= {*pages}
    for name, page in pages.items():
        asked = re.findall(r"""(?:<(?:script|img|iframe|source)[^>]*?src|<link[^>]*?href)=["'](?:https?:)?//""", page)
        assert not asked, f"{name}: {asked}"
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text("utf-8")), style.name
