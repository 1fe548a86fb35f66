"""Carries out the kernel's requests on a lossy folder: bytes in, bytes out.

The kernel keeps what it has read, and what it has written, in its own pages; every write comes here before it returns,
and what is written through a mapping (mmap) when the kernel writes its pages back, at the latest with msync, fsync, or
the end of the process. Locks are the kernel's own. There are no extended attributes.

An error goes to the node, as any disk would answer, unless the disk itself is in trouble: that ends the run.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from raft_chaos.chaos.processes.shortage import HarnessError, sentence
from raft_chaos.chaos.run.live.disk import protocol
from raft_chaos.chaos.run.live.disk.file import File
from raft_chaos.chaos.run.live.disk.folder import LossyFolder
from raft_chaos.chaos.run.live.disk.protocol import Header, Opcode, SetAttr

Answer = bytes | None
"""None: the kernel expects no answer."""
TROUBLE = frozenset(
    (
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO),  # of this machine
        *(errno.EBADF, errno.ESTALE),  # of this program: the kernel asks only for files that it was told of
    )
)
"""What no request is to blame for. A node that got it as an answer would be convicted for the end that it may make."""


class Requests:
    """One mount of the folder."""

    def __init__(self, folder: LossyFolder) -> None:
        self._folder = folder
        self._listed: dict[int, list[bytes]] = {}  # of each folder that is being read, its entries
        self._listings = 0
        self._methods: Mapping[int, Callable[[Header, memoryview], Answer]] = {
            Opcode.INIT: self._init,
            Opcode.LOOKUP: self._look_up,
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: self._getattr,
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: self._readlink,
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: self._remove,
            Opcode.RMDIR: self._remove,
            Opcode.RENAME: self._rename,
            Opcode.RENAME2: self._rename2,
            Opcode.LINK: self._link,
            Opcode.OPEN: self._open,
            Opcode.CREATE: self._create,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.FSYNC: self._fsync,
            Opcode.FSYNCDIR: self._fsync,
            Opcode.FALLOCATE: self._fallocate,
            Opcode.OPENDIR: self._opendir,
            Opcode.READDIR: self._readdir,
            Opcode.RELEASEDIR: self._releasedir,
            Opcode.STATFS: self._statfs,
            Opcode.INTERRUPT: lambda header, body: None,
            Opcode.DESTROY: lambda header, body: b"",
        }

    def answer(self, request: memoryview) -> bytes | None:
        """The answer to a request as the kernel sent it; None if it expects none. Raises HarnessError for `TROUBLE`."""
        header = Header(*protocol.HEADER.unpack_from(request))
        body = request[protocol.HEADER.size : header.length]
        method = self._methods.get(header.opcode)
        try:
            if method is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            if (payload := method(header, body)) is None:
                return None
        except OSError as error:
            if error.errno is None or error.errno in TROUBLE:
                raise HarnessError(sentence(error)) from error
            return protocol.ANSWER.pack(protocol.ANSWER.size, -error.errno, header.unique)
        return protocol.ANSWER.pack(protocol.ANSWER.size + len(payload), 0, header.unique) + payload

    # ---- the connection -------------------------------------------------------------------------------------------

    def _init(self, header: Header, body: memoryview) -> bytes:
        major, minor = protocol.INIT_IN.unpack_from(body)
        if (major, minor) < (protocol.MAJOR, protocol.MINOR):
            raise OSError(errno.EPROTO, "this kernel's FUSE is too old")
        flags = protocol.BIG_WRITES | protocol.PARALLEL_DIROPS | protocol.MAX_PAGES
        own = (protocol.MAJOR, protocol.MINOR, protocol.MAX_WRITE, flags, 0, 0, protocol.MAX_WRITE, 1)
        return protocol.INIT_OUT.pack(*own, protocol.WRITE_PAGES, 0)

    def _forget(self, header: Header, body: memoryview) -> None:
        (lookups,) = protocol.NUMBER.unpack_from(body)
        self._folder.forget(header.number, lookups)

    def _batch_forget(self, header: Header, body: memoryview) -> None:
        count, _ = protocol.SIZED.unpack_from(body)
        for number, lookups in protocol.FORGET_ONE.iter_unpack(body[8 : 8 + count * protocol.FORGET_ONE.size]):
            self._folder.forget(number, lookups)

    def _statfs(self, header: Header, body: memoryview) -> bytes:
        of = os.fstatvfs(self._folder.root.handle)
        room = (of.f_blocks, of.f_bfree, of.f_bavail, of.f_files, of.f_ffree)
        return protocol.STATFS_OUT.pack(*room, of.f_bsize, of.f_namemax, of.f_frsize)

    # ---- names ----------------------------------------------------------------------------------------------------

    def _look_up(self, header: Header, body: memoryview) -> bytes:
        try:
            return self._entry(self._folder.look_up(self._folder[header.number], _names(body)[0]))
        except FileNotFoundError:
            return protocol.NO_ENTRY

    def _mknod(self, header: Header, body: memoryview) -> bytes:
        mode, device, _, _ = protocol.MKNOD_IN.unpack_from(body)
        return self._entry(self._made(header, _names(body[protocol.MKNOD_IN.size :])[0], mode, device))

    def _mkdir(self, header: Header, body: memoryview) -> bytes:
        mode, _ = protocol.MKDIR_IN.unpack_from(body)
        return self._entry(self._made(header, _names(body[protocol.MKDIR_IN.size :])[0], mode | 0o040000))

    def _create(self, header: Header, body: memoryview) -> bytes:
        _, mode, _, _ = protocol.CREATE_IN.unpack_from(body)
        file = self._made(header, _names(body[protocol.CREATE_IN.size :])[0], mode)
        self._folder.open(file)
        return self._entry(file) + protocol.OPEN_OUT.pack(0, protocol.KEEP_CACHE, 0)

    def _made(self, header: Header, name: bytes, mode: int, device: int = 0) -> File:
        return self._folder.make(self._folder[header.number], name, mode, (header.uid, header.gid), device)

    def _symlink(self, header: Header, body: memoryview) -> bytes:
        name, to = _names(body)
        return self._entry(self._folder.make_symlink(self._folder[header.number], name, to, (header.uid, header.gid)))

    def _readlink(self, header: Header, body: memoryview) -> bytes:
        return os.readlink(b"", dir_fd=self._folder[header.number].handle)

    def _link(self, header: Header, body: memoryview) -> bytes:
        (number,) = protocol.NUMBER.unpack_from(body)
        folder, name = self._folder[header.number], _names(body[protocol.NUMBER.size :])[0]
        return self._entry(self._folder.make_link(self._folder[number], folder, name))

    def _remove(self, header: Header, body: memoryview) -> bytes:
        self._folder.remove(self._folder[header.number], _names(body)[0])
        return b""

    def _rename(self, header: Header, body: memoryview) -> bytes:
        (number,) = protocol.NUMBER.unpack_from(body)
        return self._renamed(header, number, body[protocol.NUMBER.size :], 0)

    def _rename2(self, header: Header, body: memoryview) -> bytes:
        number, flags = protocol.RENAME2_IN.unpack_from(body)
        return self._renamed(header, number, body[protocol.RENAME2_IN.size :], flags)

    def _renamed(self, header: Header, number: int, body: memoryview, flags: int) -> bytes:
        if flags & ~protocol.RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        (name, new_name), replace = _names(body), not flags
        self._folder.rename(self._folder[header.number], name, self._folder[number], new_name, replace=replace)
        return b""

    # ---- attributes -----------------------------------------------------------------------------------------------

    def _getattr(self, header: Header, body: memoryview) -> bytes:
        return protocol.ATTR_VALID.pack(protocol.VALID_S, 0, 0) + self._attributes(self._folder[header.number])

    def _setattr(self, header: Header, body: memoryview) -> bytes:
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _ = (
            protocol.SETATTR.unpack_from(body)
        )
        file = self._folder[header.number]
        if valid & SetAttr.MODE:
            os.chmod(file.path, mode & 0o7777)
        if valid & (SetAttr.UID | SetAttr.GID):
            os.chown(file.path, uid if valid & SetAttr.UID else -1, gid if valid & SetAttr.GID else -1)
        if valid & SetAttr.SIZE:
            self._folder.resize(file, size)
        if valid & (SetAttr.ATIME | SetAttr.MTIME):
            now = os.fstat(file.handle)
            times = (
                atime * 1_000_000_000 + atime_ns if valid & SetAttr.ATIME else now.st_atime_ns,
                mtime * 1_000_000_000 + mtime_ns if valid & SetAttr.MTIME else now.st_mtime_ns,
            )
            is_now = valid & (SetAttr.ATIME_NOW | SetAttr.MTIME_NOW)
            os.utime(file.path, None) if is_now else os.utime(file.path, ns=times)
        return self._getattr(header, body)

    def _attributes(self, file: File) -> bytes:
        return protocol.attributes(file.number, os.fstat(file.handle), file.removed)

    def _entry(self, file: File) -> bytes:
        return protocol.entry(file.number, self._attributes(file))

    # ---- content --------------------------------------------------------------------------------------------------

    def _open(self, header: Header, body: memoryview) -> bytes:
        self._folder.open(self._folder[header.number])
        return protocol.OPEN_OUT.pack(0, protocol.KEEP_CACHE, 0)

    def _release(self, header: Header, body: memoryview) -> bytes:
        self._folder.release(self._folder[header.number])
        return b""

    def _read(self, header: Header, body: memoryview) -> bytes:
        _, offset, size = protocol.READ_IN.unpack_from(body)
        return self._folder.read(self._folder[header.number], offset, size)

    def _write(self, header: Header, body: memoryview) -> bytes:
        _, offset, size, _, _, flags = protocol.WRITE_IN.unpack_from(body)
        file, data = self._folder[header.number], body[protocol.WRITE_IN.size :][:size]
        written = self._folder.write(file, offset, data)
        if flags & os.O_SYNC:  # has the bit of O_DSYNC as well
            self._folder.sync(file, data_only=flags & os.O_SYNC == os.O_DSYNC)
        return protocol.SIZED.pack(written, 0)

    def _fsync(self, header: Header, body: memoryview) -> bytes:
        _, flags = protocol.FSYNC_IN.unpack_from(body)
        self._folder.sync(self._folder[header.number], data_only=bool(flags & protocol.FDATASYNC))
        return b""

    def _fallocate(self, header: Header, body: memoryview) -> bytes:
        _, offset, length, mode = protocol.FALLOCATE_IN.unpack_from(body)
        self._folder.allocate(self._folder[header.number], mode, offset, length)
        return b""

    # ---- folders --------------------------------------------------------------------------------------------------

    def _opendir(self, header: Header, body: memoryview) -> bytes:
        self._listings += 1
        self._listed[self._listings] = []
        return protocol.OPEN_OUT.pack(self._listings, 0, 0)

    def _readdir(self, header: Header, body: memoryview) -> bytes:
        """The entries as they were when the folder was read from its beginning."""
        listing, offset, size = protocol.READ_IN.unpack_from(body)
        if offset == 0:
            names = self._folder.names(self._folder[header.number])
            self._listed[listing] = [
                protocol.directory_entry(name, inode, place, mode) for place, (name, inode, mode) in enumerate(names, 1)
            ]
        answer = bytearray()
        for raw in self._listed[listing][offset:]:
            if len(answer) + len(raw) > size:
                break
            answer += raw
        return bytes(answer)

    def _releasedir(self, header: Header, body: memoryview) -> bytes:
        listing, *_ = protocol.READ_IN.unpack_from(body)
        self._listed.pop(listing, None)
        return b""


def _names(body: memoryview) -> list[bytes]:
    """Texts that each end with a zero."""
    return bytes(body).split(b"\0")[:-1]
