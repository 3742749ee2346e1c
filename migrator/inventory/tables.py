"""Finds the tables: those that the catalogs name, and those that only the listing shows."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial

from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import TABLE, VIEW
from migrator.catalogs.hadoop import VERSION_HINT_FILE, current_version, hint_trouble, read_hint
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import ConfigError, NotFound, Unreadable
from migrator.findings import Finding
from migrator.iceberg.metadata import is_metadata_file, metadata_version, read_metadata, table_folder
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.inventory.listing import is_at_target
from migrator.inventory.located import locate
from migrator.inventory.metadata_cache import MetadataCache
from migrator.layout import Layout, Location
from migrator.layout.recorded import is_s3
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import keys_under
from migrator.progress import Progress
from migrator.store import Store


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A metadata file in the listing of the old buckets, with the values that are needed later."""

    bucket: str
    folder: str
    name: str
    uuid: str | None
    location: str
    last_updated_ms: int
    kind: str = TABLE

    @property
    def key(self) -> str:
        """The key of the metadata file in its bucket."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def age(self) -> tuple[int, int]:
        """Orders the metadata files of one table, the newest last."""
        return (metadata_version(self.name) or 0, self.last_updated_ms)


@dataclass(frozen=True)
class FoundTable:
    """A table or view and where it is now. ``catalog`` None: it is only in the listing.

    ``history`` holds its other metadata files in the old buckets, the newest last. ``hint`` is the
    bucket and folder of a ``version-hint.text``, for a table of a Hadoop catalog.
    """

    catalog: Catalog | None
    namespace: str
    name: str
    metadata: str
    history: tuple[str, ...] = ()
    hint: tuple[str, str] | None = None
    kind: str = TABLE
    alone: bool = True
    """False if another table's metadata lie in the same old folder."""
    own_folder: bool = True
    """True if no other table or catalog entry is known to have its metadata file in or below the table's folder."""
    trouble: str = ""
    """What is wrong with its version hint; see :attr:`migrator.catalogs.CatalogTable.trouble`."""

    @property
    def label(self) -> str:
        """``catalog.namespace.table``, or the place of its metadata."""
        if self.catalog is None:
            return self.metadata
        return ".".join(part for part in (self.catalog.name, self.namespace, self.name) if part)


@dataclass
class Discovery:
    """The tables that were found, and the files that could not be read (URI → why)."""

    tables: list[FoundTable] = field(default_factory=list)
    unreadable: dict[tuple[str, str], Unreadable] = field(default_factory=dict)


def named_tables(plan: PlanFile, catalogs: Mapping[str, Catalog]) -> list[CatalogTable]:
    """Every table and view that the catalogs name. Call it before the lake is listed: otherwise a commit in between
    could leave the plan with a pointer to files that the listing lacks.

    Raises CatalogError if a catalog cannot be read.
    """
    named: list[CatalogTable] = []
    for catalog in catalogs.values():
        try:
            tables = catalog.tables()
        except NotFound:  # the bucket of a Hadoop warehouse, which may have been retired
            tables = []
        if not tables:
            # Rows belong to a catalog *name*; under a wrong name the catalog looks empty.
            move = "Use the name that the engines use, such as spark.sql.catalog.<name>."
            plan.add_finding(Finding.of("empty-catalog", catalog.name, f"({catalog.describe()}) has no tables", move))
        named += tables
    return named


def is_named(catalog: str | None, namespace: str, name: str, among: Container[str]) -> bool:
    """True if a table of a catalog is one of these names: ``namespace.table`` or ``catalog.namespace.table``."""
    return any(text in among for text in _names(catalog, namespace, name))


def check_left(named: Iterable[CatalogTable], leave: Iterable[str]) -> None:
    """Raises ConfigError for a name in [tables] leave or --leave that no table has."""
    named = list(named)
    for name in leave:
        if not any(is_named(table.catalog, table.namespace, table.name, (name,)) for table in named):
            message = f"{name!r} is to be left where it is, but no given catalog has a table of that name."
            raise _no_table(message, name, named, "Correct [tables] leave or --leave.")


def matches(catalog: str | None, namespace: str, name: str, patterns: Iterable[str]) -> bool:
    """True if one of the patterns of [tables] only matches ``namespace.table`` or ``catalog.namespace.table``.

    In a pattern ``*`` stands for any characters, dots included, ``?`` for one character, and ``[ab]`` for one of these.
    Upper and lower case differ. A table that no catalog names matches none.
    """
    names = _names(catalog, namespace, name)
    return any(fnmatchcase(text, pattern) for pattern in patterns for text in names)


def check_only(named: Iterable[CatalogTable], only: Iterable[str]) -> None:
    """Raises ConfigError for a pattern in [tables] only that matches no table: a typing error must not leave a table
    behind."""
    named = list(named)
    for pattern in only:
        if not any(matches(table.catalog, table.namespace, table.name, (pattern,)) for table in named):
            message = f"[tables] only has {pattern!r}, which matches no table of the given catalogs."
            raise _no_table(message, pattern, named, "Correct it, or give the catalog of its tables.")


def _names(catalog: str | None, namespace: str, name: str) -> tuple[str, ...]:
    """The names of a table in [tables]: ``namespace.table`` and ``catalog.namespace.table``. Empty for a table that no
    catalog names."""
    short = ".".join(part for part in (namespace, name) if part)
    return () if catalog is None else (short, f"{catalog}.{short}")


def _no_table(message: str, given: str, named: Iterable[CatalogTable], move: str) -> ConfigError:
    """The error for a name that no table has. The next move is the most similar name, if there is one, otherwise
    ``move``."""
    near = difflib.get_close_matches(given, [table.identifier for table in named], n=1, cutoff=0.4)
    return ConfigError(message, next_move=f"Did you mean {near[0]!r}?" if near else move)


def discover(
    plan: PlanFile,
    store: Store,
    files: MetadataCache,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    named: Iterable[CatalogTable],
    progress: Progress,
) -> Discovery:
    """The named tables with all their metadata files, then every table in the listing that is not among them.
    ``files`` caches the metadata files, which are read again when each table is planned.

    Unreadable metadata files are returned, not raised, because the plan must name all of them.
    """
    found = Discovery()
    named = list(named)
    families = _Families(
        _read_all(plan, files, store.concurrency, found, progress), layout, partial(is_at_target, plan)
    )
    at_target = _read_at_target(files, store.concurrency, layout, named)
    for table in named:
        pointer = table.metadata_location
        there, at = at_target.get(pointer), families.place_of(locate(plan, layout, pointer))
        history = families.claim(at) if there is None else families.claim_moved(there)
        catalog = catalogs[table.catalog]
        found.tables.append(
            FoundTable(
                catalog,
                table.namespace,
                table.name,
                pointer,
                _uris(history, pointer, at),
                None if catalog.stores_pointers else _hint_of(pointer),
                table.kind,
                alone=families.alone(history),
                own_folder=bool(history) or _has_usual_name(at),
                trouble=table.trouble,
            )
        )
    for family in families.unclaimed():
        found.tables.append(_uncatalogued(store, family, families.beside(family)))
    found.tables = _with_own_folders(plan, layout, found.tables)
    return found


def _has_usual_name(at: Location | None) -> bool:
    """True if this can be the place of a metadata file in the folder of its table. A pointer may be any text."""
    folder, _, name = at.key.rpartition("/") if at is not None else ("", "", "")
    return f"/{folder}".endswith("/metadata") and is_metadata_file(name)


def _with_own_folders(plan: PlanFile, layout: Layout, tables: list[FoundTable]) -> list[FoundTable]:
    """The tables, with :attr:`FoundTable.own_folder` False if the metadata file of another one lies in or below the
    table's folder. A table in the same folder that no catalog names counts as an older state of it."""
    places = [locate(plan, layout, table.metadata) for table in tables]
    order = sorted((at.bucket, at.key, number) for number, at in enumerate(places) if at is not None)

    def is_shared(number: int, at: Location) -> bool:
        low, high = (bisect_left(order, (at.bucket, key)) for key in keys_under(table_folder(at.key)))
        folder = at.key.rpartition("/")[0]
        return any(
            other != number and (tables[other].catalog is not None or key.rpartition("/")[0] != folder)
            for _, key, other in order[low:high]
        )

    return [
        replace(table, own_folder=False) if at is not None and is_shared(number, at) else table
        for number, (table, at) in enumerate(zip(tables, places, strict=True))
    ]


def _parse(bucket: str, key: str, data: bytes) -> MetadataFile:
    """The values of a metadata file of a table or view. Raises Unreadable."""
    uri = f"s3://{bucket}/{key}"
    folder, _, name = key.rpartition("/")
    try:
        metadata = read_metadata(data, uri)
    except Unreadable:
        if not is_view_metadata(data, uri):
            raise
        view = read_view(data, uri)
        return MetadataFile(bucket, folder, name, view.view_uuid, view.location, 0, VIEW)
    return MetadataFile(bucket, folder, name, metadata.table_uuid, metadata.location, metadata.last_updated_ms)


def _read_at_target(
    cache: MetadataCache, workers: int, layout: Layout, named: Iterable[CatalogTable]
) -> dict[str, MetadataFile]:
    """Pointer → the metadata file, for tables that live at the target. Unreadable files are left out: they are reported
    when the table is planned."""
    places = {table.metadata_location: Location.parse(table.metadata_location) for table in named}
    wanted = [(uri, at) for uri, at in places.items() if at is not None and at.bucket == layout.target_bucket]

    def read(item: tuple[str, Location]) -> MetadataFile:
        at = item[1]
        try:
            return _parse(at.bucket, at.key, cache.read(at.bucket, at.key))
        except NotFound:
            at = at.collapsed
            return _parse(at.bucket, at.key, cache.read(at.bucket, at.key))

    found = {}
    for outcome in run_in_threads(read, wanted, workers=workers):
        if not isinstance(outcome, Failed):
            found[outcome.item[0]] = outcome.result
        elif not isinstance(outcome.error, Unreadable | NotFound):
            raise outcome.error
    return found


def _read_all(
    plan: PlanFile, cache: MetadataCache, workers: int, found: Discovery, progress: Progress
) -> list[MetadataFile]:
    """Read every metadata file in the listing."""
    query = "SELECT bucket, key FROM objects WHERE key LIKE '%.metadata.json%' AND target IS NOT NULL"
    rows = [row for row in plan.db.execute(query) if is_metadata_file(row[1].rpartition("/")[2])]

    def read(row: tuple[str, str]) -> MetadataFile:
        return _parse(*row, cache.read(*row))

    files: list[MetadataFile] = []
    with progress.stage("reading table metadata", objects=len(rows), unit="metadata files") as stage:
        for outcome in run_in_threads(read, rows, workers=workers):
            stage.advance(1)
            if isinstance(outcome, Failed):
                if isinstance(outcome.error, Unreadable):
                    found.unreadable[outcome.item] = outcome.error
                elif not isinstance(outcome.error, NotFound):  # a commit may delete old metadata while we read
                    raise outcome.error
            else:
                files.append(outcome.result)
    return files


_Family = tuple[str, str, str | None]
"""Bucket, folder and table uuid."""


class _Families:
    """Metadata files grouped by table: one folder and one uuid (a dropped table may share the folder with one that was
    created again in the same place). Each family is in order, the newest last."""

    def __init__(self, files: Iterable[MetadataFile], layout: Layout, at_target: Callable[[str], bool]) -> None:
        self._layout = layout
        self._at_target = at_target
        self._of: dict[_Family, list[MetadataFile]] = {}
        self._claimed: set[_Family] = set()
        self._at: dict[tuple[str, str], _Family] = {}  # (bucket, key) of each file
        self._in: dict[tuple[str, str], list[_Family]] = {}  # (bucket, folder)
        self._by_uuid: dict[str | None, list[_Family]] = {}
        for file in sorted(files, key=lambda f: (f.bucket, f.folder, f.age, f.name)):
            family = (file.bucket, file.folder, file.uuid)
            if family not in self._of:
                self._in.setdefault(family[:2], []).append(family)
                self._by_uuid.setdefault(file.uuid, []).append(family)
            self._of.setdefault(family, []).append(file)
            self._at[file.bucket, file.key] = family

    def place_of(self, location: Location | None) -> Location | None:
        """The place of a metadata file: the literal one or, if only that exists, the one that S3A makes of ``//``."""
        if location is None or (location.bucket, location.key) in self._at:
            return location
        at = location.collapsed
        return at if (at.bucket, at.key) in self._at else location

    def claim(self, location: Location | None) -> list[MetadataFile]:
        """The metadata files of the table with this pointer: those in its folder with its uuid."""
        family = self._at.get((location.bucket, location.key)) if location else None
        if family is None:
            return []
        self._claimed.add(family)
        return self._of[family]

    def claim_moved(self, there: MetadataFile) -> list[MetadataFile]:
        """The old metadata files of a table that lives at the target; none of them is moved again.

        They have its uuid, and lie in the folder from which its metadata was moved. If the rules have changed since,
        they are found by their names, which are unique except for Hadoop tables. A copy that a user made (its metadata
        names another location than its own) is not an old place: it moves.
        """
        claimed = [family for family in self._by_uuid.get(there.uuid, []) if self._was(family, there)]
        self._claimed |= set(claimed)
        return [file for family in claimed for file in self._of[family]]

    def _was(self, family: _Family, there: MetadataFile) -> bool:
        bucket, folder, _ = family
        # A table whose paths have // lies where S3A makes of them, and is at the target as it was here.
        folders = {there.folder, Location("s3", "", there.folder).collapsed.key}
        if self._layout.map_key(bucket, folder) in folders:
            return True
        return any(
            self._at_home(file) and not file.name.startswith("v") and self._at_target(f"{there.folder}/{file.name}")
            for file in self._of[family]
        )

    def _at_home(self, file: MetadataFile) -> bool:
        """True if the metadata file lies in the table's own location, as that file says."""
        at = self._layout.place_of(file.location)
        return at is not None and (at.bucket, f"{at.key.rstrip('/')}/metadata".lstrip("/")) == (
            file.bucket,
            file.folder,
        )

    def alone(self, files: Iterable[MetadataFile]) -> bool:
        """True if no other table has metadata in the folders of these files."""
        return all(len(self._in[place]) == 1 for place in {(f.bucket, f.folder) for f in files})

    def unclaimed(self) -> list[list[MetadataFile]]:
        return [files for family, files in self._of.items() if family not in self._claimed]

    def beside(self, files: list[MetadataFile]) -> list[MetadataFile]:
        """All metadata files in the same folder, of any table."""
        place = (files[0].bucket, files[0].folder)
        return [file for family in self._in[place] for file in self._of[family]]


def _uris(family: list[MetadataFile], current: str, at: Location | None) -> tuple[str, ...]:
    """The family's other files as URIs with the scheme of the current one. ``at``: the place of the current one."""
    scheme = current.partition("://")[0] if is_s3(current) else "s3"
    return tuple(
        f"{scheme}://{f.bucket}/{f.key}" for f in family if at is None or (f.bucket, f.key) != (at.bucket, at.key)
    )


def _hint_of(pointer: str) -> tuple[str, str] | None:
    location = Location.parse(pointer)
    return (location.bucket, location.key.rpartition("/")[0]) if location else None


def _uncatalogued(store: Store, family: list[MetadataFile], neighbours: list[MetadataFile]) -> FoundTable:
    """A table that only the listing shows: its current file is the newest, or the one that the hint names.

    The hint belongs to one family of the folder: a dropped table whose folder belongs to another table now has none.
    """
    newest = family[-1]
    hint_key = f"{newest.folder}/{VERSION_HINT_FILE}"
    hint: tuple[str, str] | None = None
    trouble = ""
    if newest.name.startswith("v"):
        text = read_hint(lambda: store.get(newest.bucket, hint_key).data)
        hint = (newest.bucket, newest.folder) if text is not None else None
        names = [f.name for f in neighbours]
        name = current_version(names, text)
        hinted = next((f for f in family if f.name == name), None)
        newest, hint = hinted or newest, hint if hinted else None
        trouble = hint_trouble(names, text) if hint else ""
    scheme = newest.location.partition("://")[0] if Location.parse(newest.location) else "s3"
    current = f"{scheme}://{newest.bucket}/{newest.key}"
    name = newest.folder.removesuffix("/metadata").rpartition("/")[2]
    alone = len({f.uuid for f in neighbours}) == 1
    return FoundTable(
        None,
        "",
        name,
        current,
        _uris(family, current, Location.parse(current)),
        hint,
        newest.kind,
        alone=alone,
        trouble=trouble,
    )
