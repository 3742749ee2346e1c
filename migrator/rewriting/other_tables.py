"""Checks that the new place of a table is not that of another one. No table may lie inside another: cleaning up or
dropping the outer one deletes the files of the inner one."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.errors import AccessDenied, NotFound, Occupied, Unreadable
from migrator.iceberg.json_text import read_object
from migrator.iceberg.metadata import is_metadata_file
from migrator.inventory.listing import list_pages
from migrator.layout import Location
from migrator.progress import Progress
from migrator.rewriting.moves import place_of
from migrator.store import Store, StoredObject


class OtherTables:
    """Finds tables and views at, below and around the place ``to`` that have another uuid than ``uuid``.

    ``own``: the new metadata file of the table that goes there; other files in its folder were there before.
    """

    def __init__(self, store: Store, to: Location, own: Location, uuid: str | None) -> None:
        self._store = store
        self._bucket, self._to = to.bucket, to.key.rstrip("/")
        self._own_folder = place_of(own).rpartition("/")[0]
        self._uuid = uuid
        parts = self._to.split("/")
        self._around = {"/".join([*parts[:depth], "metadata"]) for depth in range(len(parts))}
        """The metadata folders of tables in whose folder ``to`` may lie."""

    def refuse(self, progress: Progress) -> str:
        """Raise Occupied if there is one. Returns what could not be checked; "" if everything was."""
        newest: dict[str, StoredObject] = {}
        read: dict[str, str] = {}
        try:
            for folder, file in self._metadata_files(progress):
                # One file of each folder is read at once: the listing of a whole warehouse would take long.
                if folder not in read and self._check(folder, file):
                    read[folder] = file.key
                if folder not in newest or newest[folder].modified < file.modified:
                    newest[folder] = file
        except AccessDenied as error:
            return f"it was not checked whether another table lies at s3://{self._bucket}/{self._to}: {error.message}"
        for folder, file in newest.items():
            if read.get(folder) != file.key:
                self._check(folder, file)
        return ""

    def _metadata_files(self, progress: Progress) -> Iterator[tuple[str, StoredObject]]:
        """Yield (folder, metadata file) for tables that may lie at, below or around ``to``."""
        # The bucket as a whole has a prefix without a slash, and all other places lie below it.
        folders = sorted({self._to, *self._around}) if self._to else [""]
        places = [(self._bucket, f"{folder}/" if folder else "") for folder in folders]
        for _, page in list_pages(self._store, places, progress, "looking for other tables"):
            for found in page:
                folder, _, name = found.key.rpartition("/")
                if not is_metadata_file(name) or f"{self._bucket}/{folder}" == self._own_folder:
                    continue
                if self._is_below(folder) or folder in self._around:
                    yield folder, found

    def _is_below(self, folder: str) -> bool:
        return not self._to or f"{folder}/".startswith(f"{self._to}/")

    def _check(self, folder: str, file: StoredObject) -> bool:
        """True if the file belongs to a table or view. Raises Occupied if that is another table, and ``to`` is at its
        place, inside it or around it."""
        uri = f"s3://{self._bucket}/{file.key}"
        try:
            top = read_object(self._store.get(self._bucket, file.key).data, uri)
            top.integer("format-version")
            location = top.text("location")
            uuid = top.optional_text("table-uuid") or top.optional_text("view-uuid")
        except (NotFound, Unreadable):
            return False
        same = (uuid or "").lower() == (self._uuid or "").lower()
        if not same and (self._is_below(folder) or self._covers(location)):
            raise self._occupied(folder, uri)
        return True

    def _covers(self, location: str) -> bool:
        """True if ``to`` lies in this location. A table's metadata may lie outside of its location."""
        at = Location.parse(location)
        return at is not None and f"{self._bucket}/{self._to}/".startswith(f"{place_of(at)}/")

    def _occupied(self, folder: str, uri: str) -> Occupied:
        to = f"s3://{self._bucket}/{self._to}".rstrip("/")
        if not self._is_below(folder):
            message = f"{to} lies inside of another table: its metadata file is {uri}."
        elif folder in (self._to, f"{self._to}/metadata".lstrip("/")):
            message = f"Another table lies at {to} already: its metadata file is {uri}."
        else:
            message = f"Another table lies below {to}: its metadata file is {uri}."
        return Occupied(
            f"{message} Cleaning up or dropping one of the two would delete files of the other.",
            next_move="Choose another --to: a folder without another table in it or around it.",
        )
