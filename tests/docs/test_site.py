"""The site is built without a warning, asks no other host for anything, and works from files: its search, too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("furo", reason="the site needs pip install 'raft-chaos[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-b", "html", str(DOCS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_it_has_each_page_and_asks_no_other_host(site: Path) -> None:
    pages = {page.name: page.read_text("utf-8") for page in site.rglob("*.html")}
    assert {"index.html", *(f"{page.stem}.html" for page in DOCS.rglob("*.md"))} <= {*pages}
    for name, page in pages.items():
        asked = re.findall(r"""(?:<(?:script|img|iframe|source)[^>]*?src|<link[^>]*?href)=["'](?:https?:)?//""", page)
        assert not asked, f"{name}: {asked}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text("utf-8")), style.name


def test_it_works_from_files(site: Path) -> None:
    browsing = pytest.importorskip("browsing", exc_type=ImportError)
    with browsing.headless() as browser:
        for width in browsing.WIDTHS:
            for scheme in ("light", "dark"):
                shown = browsing.opened(browser, site / "start.html", width, ready="h1", color_scheme=scheme)
                assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
                browsing.pictured(shown.page, f"site-{width}-{scheme}", whole=False)
                assert shown.errors == []
                shown.page.close()
        found = browsing.opened(browser, f"{(site / 'search.html').as_uri()}?q=vacuous", ready="#search-results li")
        found.page.get_by_role("link", name="Verdicts").last.click()
        assert found.page.get_by_role("heading", level=1).inner_text().startswith("Verdicts")
        assert found.errors == []
