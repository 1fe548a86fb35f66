"""The site: `make docs` builds it into build/docs. The pages are plain markdown, which also reads well on GitHub.

Its navigation is the lists of links in README.md, by heading. The site asks no other host for anything, and its search
works from files.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "raft-chaos"
root_doc = "README"
exclude_patterns = ["tools"]
extensions = ["myst_parser", "sphinx_copybutton"]
nitpicky = True

myst_heading_anchors = 3  # links to headings have GitHub's anchors, and each is checked
myst_links_external_new_tab = True
highlight_language = "none"

html_theme = "furo"
html_title = "raft-chaos"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would fetch each page found, which a browser refuses for files
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5fa5", "color-brand-content": "#0b5fa5"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ff", "color-brand-content": "#7cc0ff"},
}
copybutton_prompt_text = "$ "  # of a block with output, only the commands are copied

LINK = re.compile(r"^- \[[^]]+\]\(([\w/-]+)\.md\)", re.MULTILINE)


def navigation(readme: str) -> dict[str, list[str]]:
    """The pages of each section, as README.md lists them."""
    _, *sections = re.split(r"^## ", readme, flags=re.MULTILINE)
    return {section.partition("\n")[0]: LINK.findall(section) for section in sections}


def _add_navigation(_app: Sphinx, page: str, text: list[str]) -> None:
    if page == root_doc:
        for caption, pages in navigation(text[0]).items():
            text[0] += "\n".join(["\n```{toctree}", f":caption: {caption}", ":hidden:", "", *pages, "```\n"])


def setup(app: Sphinx) -> None:
    app.connect("source-read", _add_navigation)
    # index.html is what a browser asks a folder for.
    app.connect("build-finished", lambda app, error: error or _make_index(Path(app.outdir)))


def _make_index(folder: Path) -> None:
    (folder / "index.html").write_text((folder / f"{root_doc}.html").read_text("utf-8"), "utf-8")
