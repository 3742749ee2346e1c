"""How pyiceberg reads the files of a table: only from S3.

A table that came from HDFS or a local disk has paths of those file systems; for them the objects in S3 are read.
Nothing is read from another place: a path like ``file:/etc/passwd`` in somebody's metadata must not open a file of this
machine.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from pyiceberg.io import InputStream
from pyiceberg.io.fsspec import FsspecFileIO, FsspecInputFile

from migrator.layout.recorded import is_s3

METADATA_SUFFIXES = (".avro", ".json")
"""Manifest lists, manifests and metadata files: pyiceberg reads each of them completely."""
KEPT_BYTES = 64 * 1024**2
"""The most bytes of one table's metadata that are kept in memory."""


class S3FileIO(FsspecFileIO):
    """Reads the S3 URI that ``where`` gives for a path that is not in S3. Raises FileNotFoundError if it gives none.

    One instance is for one table. A metadata file is read with one request, and kept in memory: most manifests belong
    to many snapshots.
    """

    def __init__(self, properties: Mapping[str, str], where: Callable[[str], str | None]) -> None:
        super().__init__(dict(properties))
        self._where = where
        self._kept = _Kept(KEPT_BYTES)

    def new_input(self, location: str) -> FsspecInputFile:
        """The input file of a path, at the place where its object is."""
        found = location if is_s3(location) else self._where(location)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
        file = super().new_input(found)
        return _MetadataFile(file, self._kept) if found.endswith(METADATA_SUFFIXES) else file


class _Kept:
    """A cache of files by location, limited in bytes; the least recently used files are removed first. Safe to share
    between threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, location: str) -> bytes | None:
        with self._lock:
            if location in self._files:
                self._files.move_to_end(location)
            return self._files.get(location)

    def add(self, location: str, data: bytes) -> None:
        with self._lock:
            if location in self._files or len(data) > self._limit:
                return
            self._files[location] = data
            self._size += len(data)
            while self._size > self._limit:
                self._size -= len(self._files.popitem(last=False)[1])


class _MetadataFile(FsspecInputFile):
    """A file that is read whole, once."""

    def __init__(self, file: FsspecInputFile, kept: _Kept) -> None:
        super().__init__(file.location, file._fs)
        self._kept = kept

    def open(self, seekable: bool = True) -> InputStream:
        """A stream over the whole file. Raises FileNotFoundError, which names the file, if there is none."""
        data = self._kept.get(self.location)
        if data is None:
            try:
                data = self._read()
            except FileNotFoundError as error:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.location) from error
            self._kept.add(self.location, data)
        return io.BytesIO(data)

    def _read(self) -> bytes:
        """The bytes, with one GET request: s3fs would send a HEAD request first."""
        return bytes(self._fs.cat_file(self.location, max_concurrency=1))
