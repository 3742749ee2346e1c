"""How pyiceberg reads the files of a table: from S3 only, where the objects are that its paths stand for.

A table that came from HDFS or a local disk names its files there. Nothing is ever read from such a place: a path like
``file:/etc/passwd`` in somebody's metadata must not lead to a file of this machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from pyiceberg.io.fsspec import FsspecFileIO, FsspecInputFile

from migrator.layout.recorded import is_s3


class S3FileIO(FsspecFileIO):
    """Reads the S3 URI that ``where`` gives for a path that is not in S3. Raises FileNotFoundError if it gives none."""

    def __init__(self, properties: Mapping[str, str], where: Callable[[str], str | None]) -> None:
        super().__init__(dict(properties))
        self._where = where

    def new_input(self, location: str) -> FsspecInputFile:
        """The input file of a path, at the place where its object is."""
        found = location if is_s3(location) else self._where(location)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
        return super().new_input(found)
