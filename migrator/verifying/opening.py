"""Opens tables with pyiceberg, which does not check whether an answer is the metadata file.

If pyiceberg cannot parse an answer, our own store reads the file again and checks its length and ETag. If pyiceberg can
parse these bytes, the first answer was wrong and the table may be good.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from migrator.errors import MigratorError, StoreError
from migrator.layout import Location
from migrator.layout.recorded import is_s3
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_at, object_named
from migrator.store import Store
from migrator.verifying.pyiceberg_reader import check_understood, open_table
from migrator.verifying.unreadable import DAMAGED, UNSUPPORTED, Read, Reader, Trouble, trouble_of

if TYPE_CHECKING:
    from pyiceberg.table import Table


class TableOpener:
    """Opens the tables of one plan, in the old place and at the target."""

    def __init__(self, plan: PlanFile, store: Store) -> None:
        self._plan = plan
        self._store = store

    def open(self, uri: str) -> Table:
        """The table that this metadata file describes, read where its bucket is.

        Raises what pyiceberg raises for the file; StoreError if the answer was not the file; what :meth:`Store.get`
        raises.
        """
        try:
            return self._open(uri)
        except Exception as error:
            at = self._place(uri)
            if at is None or trouble_of(error).kind not in (DAMAGED, UNSUPPORTED):
                raise
            check_understood(at.uri, self._bytes(at))
            raise StoreError(
                f"{at.uri}: the server gave another answer to pyiceberg than this file ({type(error).__name__})."
            ) from error

    def open_old(self, reader: Reader, uri: str) -> Read[Table]:
        """The table in the old place. The planner has read this metadata file, so if pyiceberg cannot open it,
        pyiceberg lacks a feature."""
        opened = reader.read(partial(self.open, uri))
        if opened.trouble is None or opened.trouble.kind != DAMAGED or isinstance(opened.error, MigratorError):
            return opened
        reason = opened.trouble.message.partition(":")[0]
        trouble = Trouble(UNSUPPORTED, f"pyiceberg cannot open its metadata ({reason})", opened.trouble.message)
        return Read(None, trouble, opened.error)

    def _open(self, uri: str) -> Table:
        at = self._place(uri)
        return open_table(uri, self._store.reader_properties(at.bucket) if at else {}, self._where)

    def _place(self, uri: str) -> Location | None:
        """Where the object of a metadata file is; None if it is not in S3."""
        return Location.parse(uri if is_s3(uri) else self._where(uri) or "")

    def _where(self, path: str) -> str | None:
        """The S3 URI of the object for a path outside of S3; None if there is none."""
        found = object_named(self._plan, path)
        return found.place if found is not None else None

    def _bytes(self, at: Location) -> bytes:
        """The bytes of an object. An object in an old bucket must have the planned ETag."""
        planned = object_at(self._plan, at.bucket, at.key)
        return self._store.get(at.bucket, at.key, etag=planned.etag if planned is not None else None).data
