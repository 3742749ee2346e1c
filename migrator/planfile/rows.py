"""The rows of a plan: objects, older versions, tables and namespace properties, and the words in their columns."""

from __future__ import annotations

from dataclasses import dataclass, fields

from migrator.store import StoredObject
from migrator.store.server_errors import place_of

COPY, OVERWRITE, SAME, REWRITE, CONFLICT, SKIP = "copy", "overwrite", "same", "rewrite", "conflict", "skip"
ACTIONS = (COPY, OVERWRITE, SAME, REWRITE, CONFLICT, SKIP)
"""What happens to an object: it is copied to a free key; copied over an older copy of it; at the target already;
rewritten; not copied because something else is at its target key; not copied on purpose."""

TO_REWRITE, REWRITTEN, MIGRATED, LEFT = "rewrite", "rewritten", "migrated", "left"
"""States of a table: to be rewritten; rewritten at the target, not cut over; living at the target; left where it is
because the user said so."""
LATER, EARLIER = "later", "earlier"
"""States of a table that is not part of this wave: it stays for a later one; an earlier one has moved it."""
STAYING = (LEFT, LATER, EARLIER)
"""States of the tables that the plan does not touch."""

REWRITTEN_ROLES = (
    ROLE_DELETES,
    ROLE_MANIFEST,
    ROLE_MANIFEST_LIST,
    ROLE_METADATA,
    ROLE_VIEW,
    ROLE_CURRENT,
) = ("position-deletes", "manifest", "manifest-list", "metadata", "view", "current-metadata")
"""What a file that is rewritten is to its table, in the order in which the files are written: each role needs the ones
before it. A table's current metadata is written last: if it is at the target, all of the table is."""

LOG_ROLES = (ROLE_SINK_LOG, ROLE_SOURCE_LOG, ROLE_SYMLINK) = ("sink-log", "file-source-log", "symlink-manifest")
"""What a file that is rewritten is, if it is of no table: part of the log of a stream that writes files, or of one that
reads files, or a manifest that lists files for other engines."""
TIMED_ROLES = {ROLE_SINK_LOG: "modificationTime", ROLE_SOURCE_LOG: "timestamp"}
"""The roles of the logs that record when each file was written, and the key under which they do."""

LOCAL = "file:"
"""In place of the bucket of a local file that is uploaded. Its key is its absolute path without the first slash, its
ETag its MD5. No bucket has such a name."""
ROLE_LOCAL = "local-file"
"""The role of such a file, if it is uploaded as it is."""

FILES = "files"
UNITS = {
    ROLE_DELETES: "delete files",
    ROLE_MANIFEST: "manifests",
    ROLE_MANIFEST_LIST: "manifest lists",
    ROLE_METADATA: "metadata files",
    ROLE_VIEW: "views",
    ROLE_CURRENT: "tables",
}
"""What a stage counts that rewrites the files of a role; those of any other role are FILES."""

ROLE_SCRIPT = "script"
"""The role of a script whose old paths are rewritten."""
OTHER_ROLES = (*LOG_ROLES, ROLE_SCRIPT, ROLE_LOCAL)
"""The roles of the files that migrator writes itself and that are of no table."""
OF_NO_TABLE = ("", *OTHER_ROLES)
"""The roles of all objects that are of no table: "" for those that are copied as they are."""

ROLE_VERSION_HINT = "version-hint"
"""The role of a Hadoop table's pointer, which is copied at the cutover."""

ROLE_CHECKSUM = "checksum"
"""The role of Hadoop's checksum file of something that is rewritten. It is not copied: it would be wrong."""

ROLE_LEFT = "left"
"""The role of the files of a table that stays where it is. They are not copied."""

ROLE_LATER = "later"
"""The role of all objects that are not part of this wave. They are not copied."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """One object of the lake and what happens to it. ``target`` is a key in the target bucket; ``target_etag`` is the
    ETag of what was at that key while planning, None if nothing was."""

    id: int
    bucket: str
    key: str
    size: int
    etag: str
    modified: int
    storage_class: str
    target: str | None
    action: str
    role: str
    table_id: int | None
    target_etag: str | None = None

    @property
    def place(self) -> str:
        """The source, as a URI."""
        return f"file:///{self.key}" if self.bucket == LOCAL else f"s3://{self.bucket}/{self.key}"

    @property
    def stored(self) -> StoredObject:
        """The source, as its bucket's listing had it."""
        return StoredObject(self.key, self.size, self.etag, self.modified, self.storage_class)


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """An older version of an object, or a delete marker, and what happens to it: ``copy``, or ``same`` if the
    target has it. ``ordinal`` counts from 1, the oldest, for each key; ``target`` is a key in the target bucket."""

    id: int
    bucket: str
    key: str
    version_id: str
    ordinal: int
    size: int
    etag: str
    modified: int
    storage_class: str
    marker: int
    target: str
    action: str

    @property
    def place(self) -> str:
        """The source, as a URI with its version id."""
        return place_of(self.bucket, self.key, self.version_id)

    @property
    def stored(self) -> StoredObject:
        """The source, as its bucket's listing had it."""
        return StoredObject(self.key, self.size, self.etag, self.modified, self.storage_class)


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One Iceberg table and where its metadata goes. ``catalog`` None: no catalog names it."""

    id: int
    catalog: str | None
    catalog_kind: str | None
    namespace: str
    name: str
    uuid: str | None
    format_version: int | None
    old_location: str | None
    new_location: str | None
    old_metadata: str
    new_metadata: str | None
    state: str
    snapshots: int | None
    manifests: int | None
    data_files: int | None
    delete_files: int | None
    facts: str
    """JSON of :class:`migrator.inventory.features.TableFeatures`; ``{}`` where the table could not be read."""
    problems: str
    """JSON: the codes of the findings about this table."""
    kind: str
    """"table" or "view"."""

    @property
    def moves(self) -> bool:
        """True if the migration gives the table new metadata at the target."""
        return self.state != MIGRATED and self.new_metadata is not None

    @property
    def stays(self) -> bool:
        """True if the plan does not touch the table: it is left out, or not part of this wave."""
        return self.state in STAYING

    @property
    def identifier(self) -> str:
        """``catalog.namespace.table``, or the location for a table that no catalog names."""
        if self.catalog is None:
            return self.old_location or self.old_metadata
        return ".".join(part for part in (self.catalog, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class NamespaceChange:
    """A namespace property that holds an old path."""

    catalog: str
    namespace: str
    key: str
    old: str
    new: str


OBJECT_COLUMNS = ", ".join(field.name for field in fields(PlannedObject))
"""The columns of the table ``objects`` in the order of :class:`PlannedObject`, for a SELECT."""
VERSION_COLUMNS = ", ".join(field.name for field in fields(PlannedVersion))
"""The columns of the table ``versions`` in the order of :class:`PlannedVersion`."""
TABLE_COLUMNS = ", ".join(field.name for field in fields(PlannedTable))
"""The columns of the table ``tables`` in the order of :class:`PlannedTable`."""
