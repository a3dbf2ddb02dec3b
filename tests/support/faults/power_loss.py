"""The files that a power loss may leave, by the calls that a process made until then.

A file system promises what was synchronized: the bytes of a file by a `fsync` of it, and that a file was created,
renamed or deleted by a `fsync` of its folder. Of everything else, any part may be on the disk: any of the writes, also
in part by sectors of 512 bytes, in any order. Changes of names are kept in their order, as file systems with a journal
do.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Final

from tests.support.faults.shim import Call, Record

_SECTOR: Final = 512


@dataclass(kw_only=True, slots=True)
class _File:
    """The bytes that are on the disk for sure, and the changes that may be."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.content, change)
        self.pending.clear()

    def after_power_loss(self, rng: random.Random) -> bytes:
        content = bytearray(self.content)
        share = rng.choice([0.0, 0.5, 1.0])
        for change in self.pending:
            for part in _sectors(change) if rng.random() < 0.3 else [change]:
                if rng.random() < share:
                    _apply(content, part)
        return bytes(content)


def _apply(content: bytearray, change: Record) -> None:
    if change.call is Call.TRUNCATE:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _sectors(change: Record) -> list[Record]:
    """Cut a write at the ends of sectors."""
    if change.call is not Call.WRITE:
        return [change]
    start, end = change.offset, change.offset + len(change.data)
    cuts = [start, *range(start - start % _SECTOR + _SECTOR, end, _SECTOR), end]
    return [
        Record(call=Call.WRITE, path=change.path, offset=cut, data=change.data[cut - start : after - start])
        for cut, after in pairwise(cuts)
    ]


class Disk:
    """A folder on a disk whose power may fail."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}  # as processes see them
        self._durable: dict[str, int] = {}  # as they are on the disk
        self._changes: list[tuple[str, int | None, str]] = []  # of names: the name, its file, its folder

    def apply(self, record: Record) -> None:
        """Make a call."""
        match record.call:
            case Call.OPEN:
                self._files[len(self._files)] = _File()
                self._rename(record.path, len(self._files) - 1)
            case Call.UNLINK:
                self._rename(record.path, None)
            case Call.RENAME:
                file = self._names[record.path]
                self._rename(record.data.decode(), file)
                self._rename(record.path, None)
            case Call.WRITE | Call.TRUNCATE:
                self._files[self._names[record.path]].pending.append(record)
            case Call.SYNC if record.path in self._names:
                self._files[self._names[record.path]].sync()
            case Call.SYNC:
                here = [change for change in self._changes if change[2] == record.path]
                self._changes = [change for change in self._changes if change[2] != record.path]
                _rename_all(self._durable, here)

    def _rename(self, name: str, file: int | None) -> None:
        change = name, file, str(PurePath(name).parent)
        self._changes.append(change)
        _rename_all(self._names, [change])

    def content(self, name: str) -> bytes:
        """Return a file as processes see it."""
        file = self._files[self._names[name]]
        content = bytearray(file.content)
        for change in file.pending:
            _apply(content, change)
        return bytes(content)

    def after_power_loss(self, rng: random.Random) -> dict[str, bytes]:
        """Return one of the ways in which the files may be found after the power came back."""
        names = dict(self._durable)
        _rename_all(names, self._changes[: rng.randint(0, len(self._changes))])
        return {name: self._files[file].after_power_loss(rng) for name, file in names.items()}


def _rename_all(names: dict[str, int], changes: Iterable[tuple[str, int | None, str]]) -> None:
    for name, file, _ in changes:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def write_files(files: dict[str, bytes], before: Path, folder: Path) -> None:
    """Write files into another folder than the one they were in."""
    for name, content in files.items():
        (folder / PurePath(name).relative_to(before)).write_bytes(content)
