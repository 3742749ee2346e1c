"""Writes the objects of the old buckets into the plan: from listings, or for a bucket with an Amazon S3 Inventory
report, from the report.

A report is hours or days old. Tables change meanwhile, so their present metadata names files which the report lacks. So
the folders of all tables are listed in any case, and only the rest comes from the report. Other newer objects are found
by the listing before the cutover (:mod:`migrator.cutover.source_changes`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from migrator.catalogs import CatalogTable
from migrator.config import Settings
from migrator.errors import ConfigError, MigratorError, StoreError, listed_twice, one_line
from migrator.findings import INFO, WARN, Finding
from migrator.inventory.listing import list_sources
from migrator.inventory.metadata_cache import MetadataCache
from migrator.inventory.s3_report.manifest import Manifest
from migrator.inventory.s3_report.reading import open_report, read_report
from migrator.inventory.table_places import table_places
from migrator.layout import Layout, source_places
from migrator.plan.local_files import list_local_files
from migrator.planfile.connecting import insert_rows
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import is_hadoop_marker, keys_under
from migrator.planfile.rows import COPY, SKIP
from migrator.planfile.s3_reports import OLD_DAYS, UsedReport, hours_apart
from migrator.progress import OBJECTS, Progress
from migrator.store import Store, StoredObject

_INDEXES = (
    "CREATE UNIQUE INDEX objects_source ON objects (bucket, key)",
    "CREATE INDEX objects_target ON objects (target)",
)
_INTO = "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
_TWICE = "SELECT bucket, key FROM objects GROUP BY bucket, key HAVING count(*) > 1 LIMIT 1"


@dataclass(frozen=True)
class Sources:
    """How the old buckets were read: the S3 Inventory reports, and the (bucket, prefix) pairs that were listed because
    their buckets have none. The older versions of a bucket with a report are not listed either, just to count them."""

    listed: list[tuple[str, str]]
    reports: list[UsedReport] = field(default_factory=list)


def find_objects(
    plan: PlanFile,
    settings: Settings,
    store: Store,
    files: MetadataCache,
    layout: Layout,
    named: Sequence[CatalogTable],
    progress: Progress,
) -> Sources:
    """Write every object of the old buckets, and every local file, into the plan. ``named``: the tables of the
    catalogs.

    Raises ConfigError or Unreadable for a report that cannot be used, and StoreError.
    """
    if not settings.only:  # local files are part of no wave
        list_local_files(plan, layout, progress)
    manifests = [manifest for uri in dict.fromkeys(settings.inventories) if (manifest := _opened(store, layout, uri))]
    places = source_places(layout)
    if not manifests:
        _list(plan, store, layout, places, progress)
        _make_indexes(plan, listed_twice)
        return Sources(places)
    reported = {manifest.source for manifest in manifests}
    used = [_read(plan, store, layout, manifest, places, progress) for manifest in manifests]
    _make_indexes(plan, partial(_reported_twice, manifests))
    folders = table_places(plan, store, files, layout, named, places, reported)
    for bucket, prefix in folders:
        _forget(plan, bucket, prefix)
    others = [place for place in places if place[0] not in reported]
    try:
        _list(plan, store, layout, [*others, *folders], progress)
    except sqlite3.IntegrityError as error:  # pragma: no cover - a server that lists a key twice
        raise listed_twice(error) from error
    return Sources(others, used)


# -- listings ----------------------------------------------------------------------------------------------


def _list(plan: PlanFile, store: Store, layout: Layout, places: Sequence[tuple[str, str]], progress: Progress) -> None:
    for bucket, page in list_sources(store, places, progress):
        insert_rows(plan.db, _INTO, _source_rows(layout, bucket, page))


def _reported_twice(manifests: Sequence[Manifest], place: str) -> MigratorError:
    reports = " or ".join(manifest.place for manifest in manifests)
    move = "Give one report for each bucket, or leave --inventory out."
    return MigratorError(one_line(f"{reports} has a key twice: {place}."), next_move=move)


def _make_indexes(plan: PlanFile, twice: Callable[[str], MigratorError]) -> None:
    """Raises ``twice`` of the place of a key that is there twice."""
    try:
        for index in _INDEXES:
            plan.db.execute(index)
    except sqlite3.IntegrityError as error:
        bucket, key = plan.db.execute(_TWICE).fetchone()
        raise twice(f"s3://{bucket}/{key}") from error


def _source_rows(layout: Layout, bucket: str, page: Iterable[StoredObject]) -> Iterator[tuple[str | int | None, ...]]:
    for stored in page:
        rule = layout.rule_for(bucket, stored.key)
        if rule is None:
            continue  # the listing also has keys next to the prefix: `iceberg-old/` for `iceberg/`
        if rule.target is None and layout.later and layout.later_rule(rule.source) is not None:
            continue  # another plan has it
        target = rule.move(stored.key)
        action = SKIP if target is None or is_hadoop_marker(stored.key, stored.size) else COPY
        yield (bucket, stored.key, stored.size, stored.etag, stored.modified, stored.storage_class, target, action)


# -- reports -----------------------------------------------------------------------------------------------


def _opened(store: Store, layout: Layout, uri: str) -> Manifest | None:
    """The manifest of a report; None if only rules of other plans move objects of its bucket."""
    manifest = open_report(store.ends[0], uri)
    if layout.later and manifest.source in set(layout.buckets) - set(layout.moved_buckets):
        return None
    if manifest.source not in layout.moved_buckets:
        raise ConfigError(
            f"{manifest.place} is about the bucket {manifest.source!r}, and no rule of [layout] moves an object of it.",
            next_move="Name the report of an old bucket, or add a rule for this one.",
        )
    return manifest


def _read(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    manifest: Manifest,
    places: Sequence[tuple[str, str]],
    progress: Progress,
) -> UsedReport:
    """Write the objects of a report into the plan: those that a listing of ``places`` would show."""
    count, bucket = 0, manifest.source
    prefixes = tuple(prefix for at, prefix in places if at == bucket)
    with progress.stage("reading S3 Inventory reports", unit=OBJECTS) as stage:
        for page in read_report(store.ends[0], manifest):
            here = [stored for stored in page if stored.key.startswith(prefixes)]
            insert_rows(plan.db, _INTO, _source_rows(layout, bucket, here))
            count += len(here)
            stage.advance(len(page), sum(stored.size for stored in page))
    return UsedReport(bucket, manifest.place, manifest.created, count)


def _forget(plan: PlanFile, bucket: str, prefix: str) -> None:
    """Remove the report's keys that begin with ``prefix``: they are listed instead."""
    if prefix.endswith("/") or not prefix:
        query = "DELETE FROM objects WHERE bucket = ? AND key >= ? AND key < ?"
        plan.db.execute(query, (bucket, *keys_under(prefix.removesuffix("/"))))
    else:
        plan.db.execute("DELETE FROM objects WHERE bucket = ? AND instr(key, ?) = 1", (bucket, prefix))


# -- findings ----------------------------------------------------------------------------------------------


def report_inventories(plan: PlanFile, store: Store, used: Sequence[UsedReport], now: float) -> None:
    """Add the findings about the reports that the plan was made from. ``now``: in seconds since the epoch."""
    for report in used:
        hours = hours_apart(report.created, now)
        old, ahead = hours > OLD_DAYS * 24, report.created > now * 1000
        when = ", ".join(part for part in (report.when, report.age(now)) if part)
        message = (
            f"is planned from the S3 Inventory report of {when}: the folders of its tables were listed, and other "
            "newer objects are found before the cutover"
        )
        move = ""
        if ahead:
            message += ". That time is in the future: this machine's clock or the report is wrong"
            move = "Check the clock, and whether this is the right report."
        elif old:
            move = "Use the newest report of the bucket, so that the cutover has less to copy."
        place, severity = f"s3://{report.bucket}/", WARN if old or ahead else INFO
        plan.add_finding(
            Finding.of("s3-inventory", place, message, move, count=max(report.objects, 1), severity=severity)
        )
    for bucket in sorted({report.bucket for report in used}):
        _report_versions(plan, store, bucket)
    if used:
        _add_move(plan)


def _report_versions(plan: PlanFile, store: Store, bucket: str) -> None:
    place = f"s3://{bucket}/"
    try:
        if store.is_versioned(bucket):
            message = (
                "is versioned: older versions are neither copied nor counted, because its S3 Inventory report is used"
            )
            move = "To count or copy them, leave --inventory out."
            plan.add_finding(Finding.of("versioned-bucket", place, message, move))
    except StoreError as error:
        message = f"could not be asked for versions: {error.message}"
        plan.add_finding(Finding.of("unchecked-bucket", place, message, error.next_move))


def _add_move(plan: PlanFile) -> None:
    """Extend the next move for missing files: a file outside of the table's folders may be newer than the report."""
    more = " If it is newer than the S3 Inventory report: plan without --inventory."
    plan.db.execute(
        "UPDATE findings SET next_move = next_move || ? WHERE code IN ('missing-object', 'size-differs')", (more,)
    )
