"""What a loss leaves, compared with a second model that works forwards: it carries out anew only what was durable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_chaos.chaos.run.live.disk.file import File
from raft_chaos.chaos.run.live.disk.folder import KEEP_SIZE, PUNCH_HOLE, LossyFolder
from raft_chaos.chaos.run.live.disk.unsynced import Lost

FOLDERS, NAMES = ("", "d"), ("a", "b", "c")
OWNER = (os.geteuid(), os.getegid())


class Disk:
    """A lossy folder over a real one, its files named by paths."""

    def __init__(self, place: Path) -> None:
        self.data, graves = place / "data", place / "graves"
        (self.data / "d").mkdir(parents=True)
        graves.mkdir()
        self.folder = LossyFolder(os.open(self.data, os.O_PATH), os.open(graves, os.O_PATH))
        self.graves = graves

    @contextmanager
    def at(self, path: str) -> Iterator[tuple[File, bytes]]:
        """The folder of this path, and the name in it."""
        folder, _, name = path.rpartition("/")
        found = self.folder.look_up(self.folder.root, folder.encode()) if folder else self.folder.root
        yield found, name.encode()
        if folder:
            self.folder.forget(found.number, 1)

    @contextmanager
    def file(self, path: str) -> Iterator[File]:
        """The file, open."""
        if not path:
            yield self.folder.root
            return
        with self.at(path) as (folder, name):
            file = self.folder.look_up(folder, name)
        self.folder.open(file) if not file.is_folder else None
        yield file
        self.folder.release(file) if not file.is_folder else None
        self.folder.forget(file.number, 1)

    def create(self, path: str) -> None:
        with self.at(path) as (folder, name):
            self.folder.forget(self.folder.make(folder, name, 0o100644, OWNER).number, 1)

    def make_folder(self, path: str) -> None:
        with self.at(path) as (folder, name):
            self.folder.forget(self.folder.make(folder, name, 0o040755, OWNER).number, 1)

    def link(self, path: str, new: str) -> None:
        with self.file(path) as file, self.at(new) as (folder, name):
            self.folder.forget(self.folder.make_link(file, folder, name).number, 1)

    def remove(self, path: str) -> None:
        with self.at(path) as (folder, name):
            self.folder.remove(folder, name)

    def rename(self, path: str, new: str) -> None:
        with self.at(path) as (folder, name), self.at(new) as (new_folder, new_name):
            self.folder.rename(folder, name, new_folder, new_name, replace=True)

    def write(self, path: str, offset: int, data: bytes) -> None:
        with self.file(path) as file:
            assert self.folder.write(file, offset, data) == len(data)

    def resize(self, path: str, size: int) -> None:
        with self.file(path) as file:
            self.folder.resize(file, size)

    def sync(self, path: str, data_only: bool = False) -> None:
        with self.file(path) as file:
            self.folder.sync(file, data_only=data_only)

    def tree(self) -> dict[str, bytes | None]:
        """Path -> content; None for a folder."""
        found: dict[str, bytes | None] = {}
        for one in self.data.rglob("*"):
            found[str(one.relative_to(self.data))] = None if one.is_dir() else one.read_bytes()
        return found


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


# ---- by example --------------------------------------------------------------------------------------------------


def test_what_is_synced_stays_and_the_rest_goes(disk: Disk) -> None:
    disk.create("a")
    disk.write("a", 0, b"durable")
    disk.sync("a", data_only=True)
    disk.write("a", 0, b"CHANGED, and longer")
    assert disk.tree()["a"] == b"CHANGED, and longer"  # until the loss everybody sees it
    assert disk.folder.lose(0) == Lost(len(b"CHANGED, and longer"), 0)
    assert disk.tree() == {"d": None, "a": b"durable"}


def test_a_file_that_was_never_synced_is_not_there(disk: Disk) -> None:
    disk.create("a")
    disk.write("a", 0, b"lost")
    assert disk.folder.lose(0) == Lost(4, 1)
    assert disk.tree() == {"d": None}


def test_a_rename_needs_its_folder_synced(disk: Disk) -> None:
    """A new file is synced, then takes the place of the old one: the usual way to replace a file."""
    disk.create("a")
    disk.write("a", 0, b"old")
    disk.sync("a")
    disk.create("b")
    disk.write("b", 0, b"new")
    disk.sync("b")
    disk.rename("b", "a")
    disk.folder.lose(0)
    assert disk.tree() == {"d": None, "a": b"old", "b": b"new"}
    disk.rename("b", "a")
    disk.sync("")
    assert disk.folder.lose(0) == Lost(0, 0)
    assert disk.tree() == {"d": None, "a": b"new"} and not list(disk.graves.iterdir())


def test_a_file_that_is_renamed_before_it_is_synced_may_be_empty(disk: Disk) -> None:
    disk.create("b")
    disk.write("b", 0, b"new")
    disk.rename("b", "a")
    disk.sync("")
    disk.folder.lose(0)
    assert disk.tree() == {"d": None, "a": b""}


def test_a_later_sync_of_another_file_makes_names_before_it_durable(disk: Disk) -> None:
    """The journal has one order."""
    disk.create("log")
    disk.sync("log")
    disk.create("a")
    disk.rename("a", "b")
    disk.write("log", 0, b"x")
    disk.sync("log")
    disk.create("c")
    assert disk.folder.lose(0) == Lost(0, 1)
    assert disk.tree() == {"d": None, "log": b"x", "b": b""}


def test_an_fdatasync_of_bytes_in_place_says_nothing_about_names(disk: Disk) -> None:
    disk.create("log")
    disk.write("log", 0, b"x")
    disk.sync("log")
    disk.create("a")
    disk.write("log", 0, b"y")
    disk.sync("log", data_only=True)
    assert disk.folder.lose(0) == Lost(0, 1)
    assert disk.tree() == {"d": None, "log": b"y"}


def test_an_fsync_after_the_fdatasync_still_makes_older_names_durable(disk: Disk) -> None:
    """Although nobody has the file open meanwhile, and nothing of it can be lost: its inode is in the journal."""
    disk.create("a")
    disk.write("a", 0, b"old")
    disk.sync("a")
    disk.create("b")
    disk.write("a", 0, b"new")
    disk.sync("a", data_only=True)
    disk.sync("a")
    assert disk.folder.lose(0) == Lost(0, 0)
    assert disk.tree() == {"d": None, "a": b"new", "b": b""}


def test_the_first_unsynced_bytes_can_stay_and_the_last_write_be_torn(disk: Disk) -> None:
    disk.create("a")
    disk.write("a", 0, b"0123456789")
    disk.sync("a")
    disk.write("a", 0, b"abcdefgh")
    disk.write("a", 8, b"ijkl")
    disk.rename("a", "b")
    assert disk.folder.lose(500) == Lost(6, 1)  # a rename counts as one byte: 6 of 13 stay
    assert disk.tree() == {"d": None, "a": b"abcdef6789"}


def test_folders_come_back_and_go_with_what_is_in_them(disk: Disk) -> None:
    disk.create("d/a")
    disk.sync("d/a")
    disk.remove("d/a")
    disk.remove("d")
    disk.make_folder("e")
    disk.create("e/b")
    assert disk.tree() == {"e": None, "e/b": b""}
    assert disk.folder.lose(0) == Lost(0, 4)
    assert disk.tree() == {"d": None, "d/a": b""}


def test_a_hole_that_is_punched_is_filled_again(disk: Disk) -> None:
    disk.create("a")
    disk.write("a", 0, b"x" * 9000)
    disk.sync("a")
    with disk.file("a") as file:
        try:
            disk.folder.allocate(file, PUNCH_HOLE | KEEP_SIZE, 100, 20_000)
        except OSError:
            pytest.skip("this file system has no holes")
        disk.folder.allocate(file, 0, 0, 50_000)
    assert disk.tree()["a"] == b"x" * 100 + bytes(49_900)
    disk.folder.lose(0)
    assert disk.tree()["a"] == b"x" * 9000


def test_content_that_was_cut_off_comes_back_without_its_holes_filled(disk: Disk) -> None:
    disk.create("a")
    disk.write("a", 1 << 20, b"end")
    disk.sync("a")
    disk.resize("a", 10)
    disk.folder.lose(0)
    content = disk.tree()["a"]
    assert content == bytes(1 << 20) + b"end"
    assert (disk.data / "a").stat().st_blocks * 512 < 1 << 20


# ---- against the forward model -----------------------------------------------------------------------------------

Durable: TypeAlias = dict[str, bytes | None]


@dataclass
class Change:
    """One change of the second model; `apply` gets how many of its bytes remain."""

    concerned: tuple[int, ...]
    length: int
    apply: Callable[[State, int], None]
    is_name: bool = True
    journalled: bool = True
    durable: bool = False
    gone: bool = False  # content of a file that has certainly no name


@dataclass
class State:
    names: dict[str, int] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)

    def tree(self) -> Durable:
        return {"d": None, **{name: bytes(self.files[number]) for name, number in self.names.items()}}


class Forwards:
    """The rules of `unsynced`, read as they are written: which changes are durable, and a replay of these."""

    def __init__(self) -> None:
        self.now = State()
        self.changes: list[Change] = []
        self.removals: list[tuple[Change, int]] = []

    def do(self, change: Change) -> None:
        self.changes.append(change)
        change.apply(self.now, change.length)

    def folder(self, path: str) -> int:
        return -1 - FOLDERS.index(path.rpartition("/")[0])

    def create(self, path: str) -> None:
        number = len(self.now.files)

        def apply(state: State, _: int) -> None:
            state.names[path], state.files[number] = number, bytearray()

        self.do(Change((self.folder(path), number), 1, apply))

    def link(self, path: str, new: str) -> None:
        number = self.now.names[path]
        self.do(Change((self.folder(new), number), 1, lambda state, _: state.names.update({new: number})))

    def remove(self, path: str) -> None:
        number = self.now.names[path]
        change = Change((self.folder(path), number), 1, lambda state, _: state.names.__delitem__(path))
        self.removals.append((change, number))
        self.do(change)

    def rename(self, path: str, new: str) -> None:
        number, replaced = self.now.names[path], self.now.names.get(new)
        if number == replaced:
            return

        def apply(state: State, _: int) -> None:
            state.names[new] = state.names.pop(path)

        change = Change((self.folder(path), self.folder(new), number), 1, apply)
        if replaced is not None:
            self.removals.append((change, replaced))
        self.do(change)

    def write(self, path: str, offset: int, data: bytes) -> None:
        number = self.now.names[path]

        def apply(state: State, kept: int) -> None:
            content = state.files[number]
            if kept:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + kept] = data[:kept]

        grows = offset + len(data) > len(self.now.files[number])
        self.do(Change((number,), len(data), apply, is_name=False, journalled=grows))

    def resize(self, path: str, size: int) -> None:
        number = self.now.names[path]
        if size == len(self.now.files[number]):
            return

        def apply(state: State, _: int) -> None:
            content = state.files[number]
            content[size:] = b""
            content.extend(bytes(size - len(content)))

        self.do(Change((number,), 1, apply, is_name=False))

    def sync(self, path: str, data_only: bool) -> None:
        number = self.now.names[path] if path in self.now.names else self.folder(f"{path}/")
        last = max(
            (
                place
                for place, one in enumerate(self.changes)
                if number in one.concerned and (one.journalled or not data_only)
            ),
            default=-1,
        )
        for place, one in enumerate(self.changes):
            one.durable |= place <= last if one.is_name else one.concerned == (number,)
        named = {*self.now.names.values(), *(number for change, number in self.removals if not change.durable)}
        for one in self.changes:
            one.gone |= not one.is_name and one.concerned[0] not in named

    def after_loss(self, keep_permille: int) -> Durable:
        unsure = [one for one in self.changes if not one.durable and not one.gone]
        left = sum(one.length for one in unsure) * keep_permille // 1000
        state = State()
        for one in self.changes:
            kept = one.length
            if one in unsure:
                kept = min(left, one.length)
                left -= kept
            if kept == one.length or (kept and not one.is_name):
                one.apply(state, kept)
        return state.tree()


paths = st.builds(lambda folder, name: f"{folder}/{name}".lstrip("/"), st.sampled_from(FOLDERS), st.sampled_from(NAMES))
steps = st.one_of(
    st.tuples(st.just("create"), paths),
    st.tuples(st.just("write"), paths, st.integers(0, 30), st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("write"), paths, st.just(0), st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("resize"), paths, st.integers(0, 30)),
    st.tuples(st.just("link"), paths, paths),
    st.tuples(st.just("rename"), paths, paths),
    st.tuples(st.just("remove"), paths),
    st.tuples(st.just("sync"), st.one_of(paths, st.sampled_from(FOLDERS)), st.booleans()),
)


histories = st.lists(steps, max_size=25)
permilles = st.one_of(st.just(0), st.integers(0, 1000))


@settings(max_examples=25, deadline=None)
@given(histories, permilles)
def test_a_loss_leaves_what_was_durable_and_the_first_of_the_rest(
    chosen: list[tuple[str, ...]], keep_permille: int
) -> None:
    agree(chosen, keep_permille)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(histories, permilles)
def test_the_same_of_many_more_histories(chosen: list[tuple[str, ...]], keep_permille: int) -> None:
    agree(chosen, keep_permille)


def agree(chosen: list[tuple[str, ...]], keep_permille: int) -> None:
    """Whatever happened before, and no descriptor is left over."""
    with tempfile.TemporaryDirectory() as place:
        before = len(os.listdir("/proc/self/fd"))
        disk, model = Disk(Path(place)), Forwards()
        for what, path, *rest in chosen:
            is_there = path in model.now.names or (what == "sync" and path in FOLDERS)
            is_free = what != "link" or rest[0] not in model.now.names
            if (path not in model.now.names) if what == "create" else (is_there and is_free):
                getattr(disk, what)(path, *rest)
                getattr(model, what)(path, *rest)
        assert disk.tree() == model.now.tree()
        disk.folder.lose(keep_permille)
        assert disk.tree() == model.after_loss(keep_permille)
        assert not list(disk.graves.iterdir())
        for descriptor in (disk.folder.root.handle, disk.folder._graves):
            os.close(descriptor)
        assert len(os.listdir("/proc/self/fd")) == before
