"""A program that changes files in the folder that it is given, some changes synced and some not, and stays."""

import mmap
import os
import signal
import sys
from pathlib import Path

os.chdir(sys.argv[1])
FOLDER = os.open(".", os.O_RDONLY)


def write(name: str, data: bytes, flags: int = 0) -> int:
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)
    os.write(descriptor, data)
    return descriptor


os.fsync(write("synced", b"durable"))
os.fdatasync(write("appended", b"durable"))
os.write(os.open("appended", os.O_WRONLY | os.O_APPEND), b", and not")
write("by_open", b"durable", os.O_DSYNC)

mapped = write("mapped", bytes(8192))
memory = mmap.mmap(mapped, 8192)
memory[:7] = b"durable"
memory.flush()
memory[4096:4103] = b"and not"
assert os.pread(mapped, 7, 4096) == b"and not"

os.mkdir("folder")
os.fsync(write("folder/new", b"durable"))
os.rename("folder/new", "folder/named")
os.symlink("named", "folder/link")
os.link("folder/named", "folder/second")
assert os.stat("folder/second").st_nlink == 2
os.fsync(FOLDER)  # which is another folder: it syncs nothing in this one
os.fsync(os.open("folder", os.O_RDONLY))

os.rename("synced", "renamed")
os.unlink("by_open")
write("never", b"x" * 300_000)
assert Path("never").read_bytes() == b"x" * 300_000
assert sorted(os.listdir(".")) == ["appended", "folder", "mapped", "never", "renamed"]
sys.stdout.write("done")
sys.stdout.flush()
signal.pause()
