"""Finding the tables: those that the catalogs name, and those that only the listing shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import TABLE, VIEW
from migrator.catalogs.hadoop import HINT, current_version
from migrator.errors import NotFound, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import is_metadata_file, metadata_version, read_metadata
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.layout import Layout, Location
from migrator.parallel import Failed, each
from migrator.plan.file import PlanFile
from migrator.progress import Progress
from migrator.store import Store


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A metadata JSON that the listing of the old buckets shows, and as much of it as is needed later."""

    bucket: str
    folder: str
    name: str
    uuid: str | None
    location: str
    last_updated_ms: int
    kind: str = TABLE

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def age(self) -> tuple[int, int]:
        """Orders the metadata files of one table, the newest last."""
        return (metadata_version(self.name) or 0, self.last_updated_ms)


@dataclass(frozen=True)
class FoundTable:
    """A table or view and where it is now. ``catalog`` None: only the listing knows it.

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
    kind: str = TABLE

    @property
    def label(self) -> str:
        """``catalog.namespace.table``, or where its metadata is."""
        names = (self.catalog, self.namespace, self.name)
        return ".".join(name for name in names if name) if self.catalog else self.metadata


@dataclass
class Discovery:
    """What was found, and the files that could not be read (URI → why)."""

    tables: list[FoundTable] = field(default_factory=list)
    unreadable: dict[tuple[str, str], Unreadable] = field(default_factory=dict)


def named_tables(plan: PlanFile, catalogs: Mapping[str, Catalog]) -> list[CatalogTable]:
    """Every table and view that the catalogs name. Call it before the lake is listed: a commit that comes between
    must not leave the plan with a pointer to files that the listing has not seen.

    Raises CatalogError if a catalog cannot be read.
    """
    named: list[CatalogTable] = []
    for catalog in catalogs.values():
        try:
            tables = catalog.tables()
        except NotFound:  # the bucket of a Hadoop warehouse, which may have been retired
            tables = []
        if not tables:
            # Rows belong to a catalog *name*; under another one there seem to be none.
            move = "Give it the name that the engines use, such as spark.sql.catalog.<name>."
            plan.add_finding(Finding.of("empty-catalog", catalog.name, f"({catalog.describe()}) has no tables", move))
        named += tables
    return named


def discover(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    named: Iterable[CatalogTable],
    progress: Progress,
) -> Discovery:
    """The named tables with all their metadata files, then every table in the listing that is not among them.

    Unreadable metadata files are returned, not raised: the plan must name them all.
    """
    found = Discovery()
    families = _Families(_read_all(plan, store, found, progress), layout)
    for table in named:
        kind = catalogs[table.catalog].kind
        history = families.claim(table.metadata_location)
        hint = _hint_of(table.metadata_location) if kind == "hadoop" else None
        uris = _uris(history, table.metadata_location)
        found.tables.append(
            FoundTable(
                table.catalog, kind, table.namespace, table.name, table.metadata_location, uris, hint, table.kind
            )
        )
    found.tables += [_uncatalogued(store, family, families.beside(family)) for family in families.unclaimed()]
    return found


def _read_all(plan: PlanFile, store: Store, found: Discovery, progress: Progress) -> list[MetadataFile]:
    """Read every metadata file in the listing."""
    query = "SELECT bucket, key FROM objects WHERE key LIKE '%.metadata.json%' AND target IS NOT NULL"
    rows = [row for row in plan.db.execute(query) if is_metadata_file(row[1].rpartition("/")[2])]

    def read(row: tuple[str, str]) -> MetadataFile:
        bucket, key = row
        data, uri = store.get(bucket, key).data, f"s3://{bucket}/{key}"
        folder, _, name = key.rpartition("/")
        try:
            metadata = read_metadata(data, uri)
        except Unreadable:
            if not is_view_metadata(data, uri):
                raise
            view = read_view(data, uri)
            return MetadataFile(bucket, folder, name, view.view_uuid, view.location, 0, VIEW)
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


class _Families:
    """Metadata files grouped by table: one folder and one uuid (a dropped table may share the folder with
    the one that was created again in its place). Each family is in order, the newest last."""

    def __init__(self, files: Iterable[MetadataFile], layout: Layout) -> None:
        self._target_bucket = layout.target_bucket
        self._of: dict[tuple[str, str, str | None], list[MetadataFile]] = {}
        self._claimed: set[tuple[str, str, str | None]] = set()
        # (bucket, key) of each file, and (target bucket, folder) of where each folder goes → families
        self._at: dict[tuple[str, str], set[tuple[str, str, str | None]]] = {}
        for file in sorted(files, key=lambda f: (f.bucket, f.folder, f.age, f.name)):
            family = (file.bucket, file.folder, file.uuid)
            self._of.setdefault(family, []).append(file)
            self._at.setdefault((file.bucket, file.key), set()).add(family)
            new_folder = layout.map_key(file.bucket, file.folder)
            self._at.setdefault((layout.target_bucket, new_folder or ""), set()).add(family)

    def claim(self, pointer: str) -> list[MetadataFile]:
        """The files that belong to the table with this pointer: its own family; or, if it lives at the
        target already, all that is left in its old folder, none of which is to be moved again."""
        location = Location.parse(pointer)
        if location is None:
            return []
        at_target = location.bucket == self._target_bucket
        key = location.key.rpartition("/")[0] if at_target else location.key
        families = self._at.get((location.bucket, key), set())
        self._claimed |= families
        return [file for family in sorted(families, key=str) for file in self._of[family]]

    def unclaimed(self) -> list[list[MetadataFile]]:
        return [files for family, files in self._of.items() if family not in self._claimed]

    def beside(self, files: list[MetadataFile]) -> list[MetadataFile]:
        """All files in the same folder, whichever table's."""
        place = (files[0].bucket, files[0].folder)
        return [f for family, others in self._of.items() if family[:2] == place for f in others]


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
    hint_key = f"{newest.folder}/{HINT}"
    hint = None
    if newest.name.startswith("v"):
        try:
            text: bytes | None = store.get(newest.bucket, hint_key).data
            hint = (newest.bucket, newest.folder)
        except NotFound:
            text = None
        name = current_version([f.name for f in neighbours], text, f"s3://{newest.bucket}/{hint_key}")
        hinted = next((f for f in family if f.name == name), None)
        newest, hint = hinted or newest, hint if hinted else None
    scheme = newest.location.partition("://")[0] if Location.parse(newest.location) else "s3"
    current = f"{scheme}://{newest.bucket}/{newest.key}"
    name = newest.folder.removesuffix("/metadata").rpartition("/")[2]
    return FoundTable(None, None, "", name, current, _uris(family, current), hint, newest.kind)
