"""Callbacks for everything that a check reads; :mod:`migrator.monitoring` counts it.

The classes here do nothing. A check lists the target and reads the files of each table once; subclasses get both, so
that they are not listed or read a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.catalogs import Catalog
from migrator.checking.seen import Seen
from migrator.checking.structure import Structure
from migrator.errors import MigratorError
from migrator.iceberg.manifests import Entry, ManifestFile
from migrator.iceberg.metadata import TableMetadata


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table in the target. ``name`` is for messages; ``namespace`` is "" for one that is in no catalog."""

    name: str
    namespace: str
    metadata: str
    in_catalog: tuple[Catalog, str] | None = None
    """Its catalog, and its name there."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """(catalog, namespace, name). One that is in no catalog has the URI of its folder for a name."""
        if self.in_catalog is None:
            return "", "", self.metadata.rpartition("/metadata/")[0] or self.metadata
        return self.in_catalog[0].name, self.namespace, self.in_catalog[1]


class TableWatch:
    """Callbacks for the files of one table, while they are read."""

    whole = False
    """True to read all files, even after one has named an old place."""

    def metadata(self, metadata: TableMetadata, place: str) -> None:
        """The metadata file of a table, not of a view, was read. Called before all others."""

    def view(self) -> None:
        """It is a view, which has no other files."""

    def manifest_list(self, path: str, manifests: Sequence[ManifestFile]) -> None:
        """This manifest list was read. All of them come before the first entry."""

    def entry(self, manifest: str, entry: Entry) -> None:
        """This manifest has this entry. Each manifest is read once, however many lists name it."""

    def old_path(self, path: str) -> None:
        """A file of the table names this path in an old bucket."""

    def missing(self, path: str, error: MigratorError) -> None:
        """A manifest list or manifest that the table names does not exist."""

    def done(self) -> None:
        """All files were read. Raises MigratorError if what was read must not count as the whole table."""


class Watch:
    """Callbacks for the check of a lake."""

    def listed(self, seen: Seen, structure: Structure) -> None:
        """The target was listed, and its objects were sorted into the structure."""

    def catalog(self, name: str, error: MigratorError | None) -> None:
        """This catalog was asked for its tables; ``error``: why it could not be read."""

    def table(self, table: LakeTable) -> TableWatch:
        """A table is about to be read, in one of several threads. Called again if it was committed to meanwhile."""
        return TableWatch()

    def unreadable(self, table: LakeTable, error: MigratorError) -> None:
        """This table could not be read."""

    def tables_read(self, seen: Seen, structure: Structure) -> None:
        """All tables were read."""
