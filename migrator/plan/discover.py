"""Finding the tables: those that the catalogs name, and those that only the listing shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrator.catalogs import Catalog
from migrator.catalogs.hadoop import current_version
from migrator.errors import NotFound, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import TableMetadata, is_metadata_file, metadata_version, read_metadata
from migrator.layout import Layout, Location
from migrator.parallel import Failed, each
from migrator.plan.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store

HINT_NAME = "version-hint.text"


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A metadata JSON that the listing of the old buckets shows, and as much of it as is needed later."""

    bucket: str
    folder: str
    name: str
    uuid: str | None
    location: str
    last_updated_ms: int

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def age(self) -> tuple[int, int]:
        """Orders the metadata files of one table, the newest last."""
        return (metadata_version(self.name) or 0, self.last_updated_ms)


@dataclass(frozen=True)
class FoundTable:
    """A table and where it is now. ``catalog`` None: only the listing knows it.

    ``history`` holds its other metadata files in the old buckets, the newest last. ``hint`` is the
    bucket and folder of a ``version-hint.text``, for a table of a Hadoop catalog.
    """

    catalog: str | None
    catalog_kind: str | None
    namespace: str
    name: str
    metadata: str
    history: tuple[str, ...] = ()
    hint: tuple[str, str] | None = None


@dataclass
class Discovery:
    """What was found, and the files that could not be read (URI → why)."""

    tables: list[FoundTable] = field(default_factory=list)
    unreadable: dict[tuple[str, str], Unreadable] = field(default_factory=dict)


def discover(
    plan: PlanFile, store: Store, layout: Layout, catalogs: Mapping[str, Catalog], progress: Progress
) -> Discovery:
    """Every table in the catalogs, then every table in the listing that none of them names.

    Views and namespaces' properties are left to the caller. Raises CatalogError if a catalog cannot be
    read. Unreadable metadata files are returned, not raised: the plan must name them all.
    """
    found = Discovery()
    files = _read_all(plan, store, found, progress)
    families = _families(files)
    claimed: set[int] = set()
    for catalog in catalogs.values():
        try:
            tables = catalog.tables()
        except NotFound:  # the bucket of a Hadoop warehouse, which may have been retired
            tables = []
        if not tables:
            # Rows belong to a catalog *name*; under another one there seem to be none.
            move = "Give it the name that the engines use, such as spark.sql.catalog.<name>."
            plan.add_finding(Finding.of("empty-catalog", catalog.name, f"({catalog.describe()}) has no tables", move))
        for table in tables:
            if table.kind == "view":
                message = "is an Iceberg view, which is not rewritten yet"
                plan.add_finding(
                    Finding.of("view", table.identifier, message, "Drop it and create it anew afterwards.")
                )
                continue
            index = _family_of(table.metadata_location, families, layout)
            claimed |= {index} if index is not None else set()
            history = families[index] if index is not None else []
            hint = _hint_of(table.metadata_location) if catalog.kind == "hadoop" else None
            found.tables.append(
                FoundTable(
                    catalog.name,
                    catalog.kind,
                    table.namespace,
                    table.name,
                    table.metadata_location,
                    _uris(history, table.metadata_location),
                    hint,
                )
            )
    for index, family in enumerate(families):
        if index not in claimed:
            neighbours = [f for other in families for f in other if f.folder == family[0].folder]
            found.tables.append(_uncatalogued(store, family, neighbours))
    return found


def _read_all(plan: PlanFile, store: Store, found: Discovery, progress: Progress) -> list[MetadataFile]:
    """Read every metadata file in the listing."""
    query = "SELECT bucket, key FROM objects WHERE key LIKE '%.metadata.json%' AND target IS NOT NULL"
    rows = [row for row in plan.db.execute(query) if is_metadata_file(row[1].rpartition("/")[2])]

    def read(row: tuple[str, str]) -> MetadataFile:
        bucket, key = row
        metadata: TableMetadata = read_metadata(store.get(bucket, key).data, f"s3://{bucket}/{key}")
        folder, _, name = key.rpartition("/")
        return MetadataFile(bucket, folder, name, metadata.table_uuid, metadata.location, metadata.last_updated_ms)

    files: list[MetadataFile] = []
    with progress.stage("reading table metadata", objects=len(rows)) as stage:
        for outcome in each(read, rows, workers=store.concurrency):
            stage.advance(1)
            if isinstance(outcome, Failed):
                if not isinstance(outcome.error, Unreadable):
                    raise outcome.error
                found.unreadable[outcome.item] = outcome.error
            else:
                files.append(outcome.result)
    return files


def _families(files: list[MetadataFile]) -> list[list[MetadataFile]]:
    """The metadata files grouped by table: one folder and one uuid (a dropped table may share the folder
    with the one that was created again in its place). Each family is in order, the newest last."""
    families: dict[tuple[str, str, str | None], list[MetadataFile]] = {}
    for file in sorted(files, key=lambda f: (f.bucket, f.folder, f.name)):
        families.setdefault((file.bucket, file.folder, file.uuid), []).append(file)
    return [sorted(family, key=lambda f: f.age) for family in families.values()]


def _family_of(pointer: str, families: list[list[MetadataFile]], layout: Layout) -> int | None:
    """The family that the pointer belongs to, by its place in the old bucket or at the target."""
    location = Location.parse(pointer)
    if location is None:
        return None
    for index, family in enumerate(families):
        if location.bucket == layout.target_bucket:
            folder = location.key.rpartition("/")[0]
            if any(layout.map_key(f.bucket, f.folder) == folder for f in family[-1:]):
                return index
        elif any((f.bucket, f.key) == (location.bucket, location.key) for f in family):
            return index
    return None


def _uris(family: list[MetadataFile], current: str) -> tuple[str, ...]:
    """The family's other files as URIs with the scheme of the current one."""
    scheme = current.partition("://")[0]
    uris = (f"{scheme}://{f.bucket}/{f.key}" for f in family)
    return tuple(uri for uri in uris if uri != current)


def _hint_of(pointer: str) -> tuple[str, str] | None:
    location = Location.parse(pointer)
    return (location.bucket, location.key.rpartition("/")[0]) if location else None


def _uncatalogued(store: Store, family: list[MetadataFile], neighbours: list[MetadataFile]) -> FoundTable:
    """A table that only the listing shows: its current file is the newest, or what its hint says.

    The hint speaks for the whole folder, so for one family only: a dropped table whose folder is another's
    by now has none.
    """
    newest = family[-1]
    hint_key = f"{newest.folder}/{HINT_NAME}"
    hint = None
    if newest.name.startswith("v"):
        try:
            text: bytes | None = store.get(newest.bucket, hint_key).data
            hint = (newest.bucket, newest.folder)
        except NotFound:
            text = None
        names = [f.name for f in neighbours if f.bucket == newest.bucket]
        name = current_version(names, text, f"s3://{newest.bucket}/{hint_key}")
        hinted = next((f for f in family if f.name == name), None)
        newest, hint = hinted or newest, hint if hinted else None
    scheme = newest.location.partition("://")[0] if Location.parse(newest.location) else "s3"
    current = f"{scheme}://{newest.bucket}/{newest.key}"
    name = newest.folder.removesuffix("/metadata").rpartition("/")[2]
    return FoundTable(None, None, "", name, current, _uris(family, current), hint)
