"""The option that rewrites transcripts. It is known when pytest is given this folder or a file in it."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the output of now into the transcripts")
