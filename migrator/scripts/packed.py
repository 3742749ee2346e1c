"""Old paths in files that are not UTF-8 text: as they are, or packed in them with gzip, bzip2, xz, tar or zip
(``.whl``, ``.jar``, ``.pex``). Such files are never rewritten.

At most ``MOST_UNPACKED`` bytes are unpacked of one file: a few kilobytes can unpack to gigabytes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from migrator.errors import Unreadable
from migrator.scripts.doubtful import mentions
from migrator.scripts.files import decode
from migrator.scripts.found import Names
from migrator.scripts.rewrite import rewrite_text

MOST_UNPACKED = 16 << 20
DEEPEST = 3
"""How deep archives in archives are unpacked: ``.tar.gz`` is two."""

NO, MAYBE, YES = range(3)

_STREAMS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_FAULTS = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError, MemoryError, KeyError),
    *(zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile),
)


def names_old_path(place: str, data: bytes, names: Names) -> int:
    """Whether a file that is not UTF-8 text, or something packed in it, names an old path: NO, MAYBE or YES. NO for
    text.

    Raises Unreadable if that is not known: it is damaged, encrypted, or unpacks to more than the bound."""
    if decode(data) is not None:
        return NO
    if mentions(data, names):
        return YES
    return max((_names(content, names) for content in _Unpacking(place).contents(data, 0)), default=NO)


def _names(content: bytes, names: Names) -> int:
    text = decode(content)
    if text is None:
        return YES if mentions(content, names) else NO
    done = rewrite_text(text, names)
    return YES if done.changes else MAYBE if done.doubts else NO


class _Unpacking:
    """Unpacks one file. ``place``: for errors."""

    def __init__(self, place: str) -> None:
        self._place, self._left = place, MOST_UNPACKED

    def contents(self, data: bytes, depth: int) -> Iterator[bytes]:
        """The content of each file that is packed in ``data``, and of those packed in these. Raises Unreadable."""
        try:
            for content in self._packed(data):
                if depth >= DEEPEST:
                    raise Unreadable(self._place, "too many archives are packed in each other")
                yield content
                yield from self.contents(content, depth + 1)
        except _FAULTS as fault:
            raise Unreadable(self._place, f"it cannot be unpacked: {fault}") from fault

    def _packed(self, data: bytes) -> Iterator[bytes]:
        for magic, opened in _STREAMS.items():
            if data.startswith(magic):
                with opened(io.BytesIO(data)) as stream:
                    yield self._read(stream)
                return
        if decode(data) is None and zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.infolist():
                    with archive.open(member) as stream:
                        yield self._read(stream)
        elif data[257:262] == b"ustar":
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
                for entry in tar:
                    if (file := tar.extractfile(entry) if entry.isfile() else None) is not None:
                        yield self._read(file)

    def _read(self, stream: IO[bytes]) -> bytes:
        content = stream.read(self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise Unreadable(self._place, f"it unpacks to more than {MOST_UNPACKED >> 20} MiB")
        return content
