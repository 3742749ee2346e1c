"""Looks for everything that still names an old place: then its objects must not be deleted.

Asked now, not remembered: every table, view and namespace of the given catalogs and of their neighbours; the files of
tables that stay where they are; the texts of tables and views; logs, checkpoints and scripts at the target.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from migrator.carriers.kinds import NARROW
from migrator.catalogs import Catalog, CatalogTable
from migrator.catalogs.base import Neighbour
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import NotFound, StoreError, Unreachable, Unreadable
from migrator.findings import CARRIERS, INFO, NOT_COMPARED
from migrator.iceberg.metadata import read_metadata
from migrator.iceberg.views import is_view_metadata, read_view
from migrator.inventory.listing import TARGET
from migrator.layout import Layout, Location
from migrator.plan.carriers import carrier_findings
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_named
from migrator.planfile.queries import SAME_AS_SOURCE
from migrator.planfile.rows import OTHER_ROLES, SKIP, PlannedTable
from migrator.planfile.wave import is_wave
from migrator.retiring.old_entries import moved_metadata, moved_namespaces, old_entries
from migrator.retiring.proof import RETIRABLE
from migrator.retiring.table_paths import TablePaths
from migrator.store import Store

SCRIPTS = "scripts-unchanged"
TEXTS = "path-in-text"
MOST_SCRIPTS, MOST_SCRIPT_BYTES = 10_000, 1 << 20
"""How many scripts are read, and the size in bytes up to which a file counts as one."""
WORKERS = 16

_S3_URI = re.compile(r"s3[an]?://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(?:/[^\s\"'`,;()<>\[\]{}|]*)?")
_ENDINGS = ("py", "sql", "sh", "scala", "r", "ipynb", "yml", "yaml", "conf", "properties", "toml")
_IS_SCRIPT = " OR ".join(["o.target GLOB 'scripts/*'", *(f"o.target LIKE '%.{ending}'" for ending in _ENDINGS)])
_COPIES = f"({SAME_AS_SOURCE} OR o.role IN {OTHER_ROLES}) AND t.size > 0"
_SCRIPTS = (
    f"SELECT t.key FROM objects o JOIN {TARGET} t ON t.key = o.target"
    f" WHERE {_COPIES} AND ({_IS_SCRIPT}) AND t.size <= {MOST_SCRIPT_BYTES} LIMIT {MOST_SCRIPTS}"
)
_CARRIERS = (
    "SELECT bucket, key, size, etag FROM (SELECT ? AS bucket, t.key, t.size, t.etag FROM objects o"
    f" JOIN {TARGET} t ON t.key = o.target WHERE {_COPIES}) WHERE {NARROW}"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that names an old place. ``code``: with which code of ``--accept`` it may be accepted; "" for none."""

    place: str
    message: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.place} {self.message}" + (f" [{self.code}]" if self.code else "")


def moved(layout: Layout, uri: str) -> bool:
    """True for an S3 URI of a place in an old bucket that the layout moves."""
    at = Location.parse(uri)
    if at is None or at.bucket not in layout.moved_buckets:
        return False
    rule = layout.rule_for(at.bucket, at.key)
    # The root of a bucket of which only parts move is as good as these parts.
    return rule.target is not None if rule else not at.key


def moved_in_text(layout: Layout, text: str) -> str:
    """The first URI in a text that :func:`moved` is true for; "" if there is none."""
    return next((found for found in _S3_URI.findall(text) if moved(layout, found)), "")


class StillNamed:
    """Looks around one plan. The target must be listed, and what is proven noted
    (:func:`migrator.retiring.proof.note_proven`)."""

    def __init__(self, plan: PlanFile, store: Store, catalogs: Mapping[str, Catalog]) -> None:
        self._plan, self._store, self._catalogs, self._layout = plan, store, catalogs, plan.layout
        self._paths = TablePaths(store)
        self._wave = is_wave(plan)
        self._changed = {(change.catalog, change.namespace, change.key) for change in plan.namespaces()}
        self._planned = {(t.catalog, t.namespace, t.name): t for t in plan.tables() if t.catalog is not None}

    def everything(self) -> Iterator[Mention]:
        """Yield what names an old place. Raises MigratorError if a catalog or the server does not answer."""
        yield from self.pointers()
        yield from self._files_of_tables()
        yield from self._texts_of_tables()
        yield from self._carriers()
        yield from self._scripts()

    # -- catalogs --------------------------------------------------------------------------------------

    def pointers(self) -> Iterator[Mention]:
        """Yield the pointers and namespace properties that lead to an old place now. Quick: reads catalogs only."""
        for catalog in self._catalogs.values():
            if isinstance(catalog, TwoCatalogs):
                yield from self._pointers_of(catalog.target)
                yield from self._pointers_of(
                    catalog.old, self._old_entries(catalog), moved_namespaces(self._plan, catalog)
                )
                yield from self._neighbours_of(catalog.target, catalog.neighbours_of_target())
                yield from self._neighbours_of(catalog.old, catalog.old.neighbours())
            else:
                yield from self._pointers_of(catalog)
                yield from self._neighbours_of(catalog, catalog.neighbours())

    def _old_entries(self, catalog: TwoCatalogs) -> frozenset[tuple[str, str]]:
        """(namespace, name) of what an old catalog keeps of tables that moved to another one."""
        entries = old_entries({catalog.name: catalog}, moved_metadata(self._plan, self._store))
        return frozenset((entry.table.namespace, entry.table.name) for entry in entries)

    def _pointers_of(
        self,
        catalog: Catalog,
        known: frozenset[tuple[str, str]] = frozenset(),
        namespaces: frozenset[str] = frozenset(),
    ) -> Iterator[Mention]:
        """``known``: the tables that may be in an old place; ``namespaces``: those that may name one."""
        for table in _tables_of(catalog):
            may = (table.namespace, table.name) in known or self._may_be_there(catalog, table)
            if moved(self._layout, table.metadata_location) and not may:
                yield Mention(table.identifier, f"points to {table.metadata_location}")
        for namespace, key, value in catalog.namespace_properties():
            if self._wave and (catalog.name, namespace, key) not in self._changed:
                continue  # its tables, or some of them, stay for a later wave
            if namespace not in namespaces and (uri := moved_in_text(self._layout, value)):
                yield Mention(f"{catalog.name}.{namespace}", f"has the property {key!r} with {uri}")

    def _neighbours_of(self, catalog: Catalog, neighbours: Iterable[Neighbour]) -> Iterator[Mention]:
        for neighbour in neighbours:
            if moved(self._layout, neighbour.metadata_location) and not self._wave:
                schema = f"{neighbour.schema}." if neighbour.schema else ""
                name = f"{schema}{neighbour.catalog}.{neighbour.namespace}.{neighbour.name}"
                yield Mention(name, f"points to {neighbour.metadata_location} (in the database of {catalog.name})")

    def _may_be_there(self, catalog: Catalog, table: CatalogTable) -> bool:
        """True for a table that was left on purpose, and for the old self of a moved table in a catalog whose pointers
        are objects: these are deleted like the others, if they are the planned ones."""
        if self._stays(self._planned.get((catalog.name, table.namespace, table.name))):
            return True
        return not catalog.stores_pointers and self._moved_with_the_plan(table.metadata_location)

    def _moved_with_the_plan(self, uri: str) -> bool:
        at = object_named(self._plan, uri)
        return at is not None and at.action != SKIP

    # -- tables ----------------------------------------------------------------------------------------

    def _files_of_tables(self) -> Iterator[Mention]:
        """Read every table that the verification does not: those that stay in the old buckets must keep their files,
        and no other one may name an old place."""
        for name, location, stays in self._unverified():
            try:
                for path, file in self._paths.of(location):
                    if self._is_deleted(path):
                        yield Mention(name, f"needs {path}, which would be deleted ({file} names it)")
                        break
                    if not stays and moved(self._layout, path):
                        yield Mention(name, f"names {path} ({file})")
                        break
            except Unreachable:
                raise
            except (Unreadable, StoreError) as error:
                yield Mention(name, f"cannot be read, so what it names is not known: {error}", NOT_COMPARED)

    def _unverified(self) -> Iterator[tuple[str, str, bool]]:
        """(name, metadata location, whether it stays in an old bucket on purpose) of the tables to read."""
        for catalog in self._catalogs.values():
            for table in _tables_of(catalog):
                at = Location.parse(table.metadata_location)
                planned = self._planned.get((catalog.name, table.namespace, table.name))
                verified = planned is not None and planned.new_metadata is not None
                if at is None or (verified and at.bucket == self._layout.target_bucket):
                    continue
                stays = at.bucket in self._layout.buckets
                if not stays or not moved(self._layout, table.metadata_location):
                    yield table.identifier, table.metadata_location, stays
                elif self._stays(planned):
                    yield table.identifier, table.metadata_location, True
            for neighbour in catalog.neighbours():
                at = Location.parse(neighbour.metadata_location)
                if neighbour.reason and "metadata.json" not in neighbour.metadata_location:
                    continue  # the folder of a table that is not Iceberg's
                ours = at is not None and at.bucket in (self._layout.target_bucket, *self._layout.buckets)
                stays = self._wave or not moved(self._layout, neighbour.metadata_location)
                if at is not None and ours and stays:
                    name = f"{neighbour.catalog}.{neighbour.namespace}.{neighbour.name}"
                    yield name, neighbour.metadata_location, at.bucket in self._layout.buckets

    def _stays(self, planned: PlannedTable | None) -> bool:
        """True for a table that may stay in an old bucket: it was left out, or is not part of this wave. A table that
        the plan does not know came after planning; it is not part of the wave, either."""
        return self._wave if planned is None else planned.stays

    def _is_deleted(self, path: str) -> bool:
        at = Location.parse(path)
        places = dict.fromkeys((at, at.collapsed)) if at else {}
        query = f"SELECT 1 FROM objects JOIN {RETIRABLE} USING (id) WHERE bucket = ? AND key = ?"
        return any(self._plan.db.execute(query, (place.bucket, place.key)).fetchone() for place in places)

    def _texts_of_tables(self) -> Iterator[Mention]:
        """Read the properties of tables and the SQL of views at the target, where they are now."""
        for table in self._plan.tables():
            location = table.new_metadata
            if location is None:
                continue
            if table.catalog is not None and self._catalogs[table.catalog].stores_pointers:
                location = self._catalogs[table.catalog].current(table.namespace, table.name) or location
            try:
                for label, text in _texts(self._paths.read(location), location):
                    if uri := moved_in_text(self._layout, text):
                        yield Mention(table.identifier, f"mentions {uri} in {label} ({location})", TEXTS)
            except (NotFound, Unreadable) as error:
                yield Mention(table.identifier, f"cannot be read at the target: {error}", NOT_COMPARED)

    # -- other files -----------------------------------------------------------------------------------

    def _carriers(self) -> Iterator[Mention]:
        """Logs, checkpoints and manifests: as the plan found them, and their copies as they are now."""
        for finding in self._plan.findings():
            if finding.code in CARRIERS and finding.severity != INFO:
                yield Mention(finding.place, finding.message, finding.code)
        rows = self._plan.db.execute(_CARRIERS, (self._layout.target_bucket,)).fetchall()
        for finding in carrier_findings(rows, self._store, self._layout):
            if finding.severity != INFO:
                yield Mention(finding.place, finding.message, finding.code)

    def _scripts(self) -> Iterator[Mention]:
        bucket = self._layout.target_bucket
        keys = [key for (key,) in self._plan.db.execute(_SCRIPTS)]

        def first_uri(key: str) -> str:
            text = self._store.get(bucket, key).data.decode("utf-8", "replace")
            return moved_in_text(self._layout, text)

        for outcome in run_in_threads(first_uri, keys, workers=WORKERS):
            place = f"s3://{bucket}/{outcome.item}"
            if isinstance(outcome, Failed):
                yield Mention(place, f"cannot be read: {outcome.error}", NOT_COMPARED)
            elif outcome.result:
                yield Mention(place, f"names {outcome.result}", SCRIPTS)


def _tables_of(catalog: Catalog) -> list[CatalogTable]:
    """The tables that a catalog names now; none if the bucket of its warehouse is gone."""
    try:
        return catalog.tables()
    except NotFound:
        return []


def _texts(data: bytes, place: str) -> Iterator[tuple[str, str]]:
    """(what it is, the text) of what a rewrite leaves as it is and readers may follow. Summaries of snapshots are left
    out: they tell what was done once."""
    if is_view_metadata(data, place):
        view = read_view(data, place)
        yield from view.sql
        properties: Mapping[str, str] = view.properties
    else:
        properties = read_metadata(data, place).properties
    yield from ((f"property {key!r}", value) for key, value in properties.items())


def by_code(mentions: Iterable[Mention]) -> dict[str, list[str]]:
    """Code → the mentions that can be accepted with it; "" for those that cannot."""
    found: dict[str, list[str]] = {}
    for mention in mentions:
        found.setdefault(mention.code, []).append(f"{mention.place} {mention.message}")
    return found
