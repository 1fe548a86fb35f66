"""Every block of commands in the pages does what the page says. `docs.tools.blocks` has how a page marks its blocks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from docs.tools.blocks import RUN, Block, agrees, blocks, looks_like_commands
from raft_chaos.chaos.targets.addresses import claimed

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = {str(page.relative_to(ROOT)): page for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])}
BLOCKS = {name: blocks(page.read_text("utf-8")) for name, page in PAGES.items()}
LONGEST_S = 120


@pytest.mark.parametrize("name", PAGES)
def test_each_block_of_commands_is_run_or_says_why_not(name: str) -> None:
    for block in BLOCKS[name]:
        place = f"{name}:{block.line}"
        commands = block.kind in RUN or (block.kind != "text" and looks_like_commands(block))
        assert block.kind in RUN or not commands, f"{place}: make it ```console or ```sh; output alone is ```text"
        assert block.notes.get("not run") != "", f"{place}: say why it is not run"


def test_each_make_target_in_the_pages_is_there() -> None:
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {target for page in PAGES.values() for target in re.findall(r"`make ([a-z-]+)", page.read_text("utf-8"))}
    in_blocks = {
        t for found in BLOCKS.values() for b in found for t in re.findall(r"^(?:\$ )?make ([a-z-]+)", b.text, re.M)
    }
    assert asked | in_blocks <= there


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, found in BLOCKS.items() if any(block.runs for block in found)])
def test_the_commands_of_a_page(name: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".curlrc").write_text("silent\nshow-error\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    with ExitStack() as running, neighbouring_ports(6) as ports:
        for block in BLOCKS[name]:
            if "file" in block.notes:
                (tmp_path / block.notes["file"]).write_text(block.text, "utf-8")
            elif block.runs and "curl" in block.text and shutil.which("curl") is None:
                pytest.skip("there is no curl")
            elif block.runs and "keeps running" in block.notes:
                running.pop_all().close()
                running.enter_context(kept_running(block, tmp_path, ports))
            elif block.runs:
                run(block, f"{name}:{block.line}", tmp_path, ports)


@contextmanager
def neighbouring_ports(number: int) -> Iterator[list[int]]:
    """As a cluster takes them, one after the other."""
    for _ in range(20):
        with claimed(["all"], list(map(str, range(number)))) as found:
            ports = list(found["all"].values())
            if ports[-1] - ports[0] == number - 1:
                yield ports
                return
    raise AssertionError("no neighbouring ports are free")


def run(block: Block, place: str, folder: Path, ports: list[int]) -> None:
    prepare(block, folder, ports)
    for step in block.steps:
        done = bash(rewritten(step.command, ports), folder)
        judged = (0, 1, 2) if block.kind == "console" else (0,)  # a session may show a red run
        assert done.returncode in judged, f"{place}: {step.command}\n{done.stdout}"
        assert agrees(step.shown, done.stdout, numbers_vary="numbers vary" in block.notes), (
            f"{place}: {step.command}\nthe page shows:\n{step.shown}\nit prints:\n{done.stdout}"
        )


def prepare(block: Block, folder: Path, ports: list[int]) -> None:
    if "first" in block.notes:
        done = bash(rewritten(block.notes["first"], ports), folder)
        assert done.returncode == 0, f"line {block.line}: before it: {done.stdout}"


@contextmanager
def kept_running(block: Block, folder: Path, ports: list[int]) -> Iterator[None]:
    """What the block starts, from when it has printed what the page shows, until it is interrupted."""
    (step,) = block.steps
    prepare(block, folder, ports)
    log = folder / f"line-{block.line}.log"
    with log.open("wb") as out:
        command = ["bash", "-c", f"exec {rewritten(step.command, ports)}"]
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment(folder))
    try:
        deadline = time.monotonic() + LONGEST_S
        while not agrees(step.shown, log.read_text("utf-8"), numbers_vary=True):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def rewritten(command: str, ports: list[int]) -> str:
    """The command with free ports in place of those of the page, which another program may have."""
    command = command.replace("raft-chaos cluster", f"raft-chaos cluster --http-port {ports[0]} --raft-port {ports[3]}")
    return re.sub(r"127\.0\.0\.1:800([123])", lambda match: f"127.0.0.1:{ports[int(match[1]) - 1]}", command)


def bash(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
    )


def environment(folder: Path) -> dict[str, str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "100", "CURL_HOME": str(folder)}


def test_what_agrees_with_a_page() -> None:
    page = blocks("text\n<!-- first: one\ntwo -->\n<!-- numbers vary -->\n```console\n$ a\nx 1.5  y\n...\n$ b\n```\n")
    assert [(block.line, block.notes, [step.command for step in block.steps]) for block in page] == [
        (5, {"first": "one\ntwo", "numbers vary": ""}, ["a", "b"])
    ]
    shown = page[0].steps[0].shown
    assert agrees(shown, "x 22 y\nmore\nand more\n", numbers_vary=True)
    assert agrees(shown, "x 1.5  y\n", numbers_vary=False)
    assert not agrees(shown, "x 22 y\n", numbers_vary=False)
    assert not agrees(shown, "x z y\n", numbers_vary=True)
    assert agrees("in runs/20261129T065041-7 ...", "in runs/20271230T000000-7 now", numbers_vary=False)
