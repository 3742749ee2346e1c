"""Building a plan: list the lake, hold it against the target, find the tables, say what is wrong.

Read-only towards the lake and its catalogs. Memory stays flat: listings go straight into the plan file,
and the diff is SQL. Nothing depends on the order of a listing, which differs between servers.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from migrator.catalogs import Catalog, properties_of
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.config import Settings, checked_codes
from migrator.errors import ConfigError, MigratorError, NotFound, StoreError
from migrator.findings import BLOCK, WARN, Finding
from migrator.inventory.listing import Listing, list_sources
from migrator.inventory.tables import check_left, named_tables
from migrator.inventory.versions import (
    Histories,
    compare_histories,
    has_versions,
    list_histories,
    report_histories,
    settle_histories,
)
from migrator.layout import MEDALLION, Layout, Location, source_places
from migrator.plan.attributes import Needs, find_attributes
from migrator.plan.beside import find_buckets, find_merged_folders, find_neighbours
from migrator.plan.bucket_settings import AskedSettings, find_settings
from migrator.plan.carriers import find_carriers
from migrator.plan.preflight import preflight
from migrator.plan.tables import plan_tables
from migrator.planfile.connecting import insert_rows
from migrator.planfile.file import PlanFile
from migrator.planfile.place import check_place, new_file, unwritable
from migrator.planfile.queries import is_hadoop_marker, keys_under, same_etag
from migrator.planfile.rows import CONFLICT, COPY, MIGRATED, OVERWRITE, SAME, SKIP
from migrator.progress import Progress
from migrator.store import Store, StoredObject
from migrator.store.endpoints import without_userinfo
from migrator.target.ledger import Ledger, own, same

AMBIGUOUS = "ambiguous"
"""Same size and another ETag: only the bytes can tell. Never in a finished plan."""

LEDGER_PAGE = 200_000
"""How many objects are looked up in the target's ledger at once."""

EXAMPLES = 20
"""How many places of one kind a plan names one by one; the rest are counted."""

_INDEXES = (
    "CREATE UNIQUE INDEX objects_source ON objects (bucket, key)",
    "CREATE INDEX objects_target ON objects (target)",
)

# An equal ETag decides. Otherwise the target's object is an older copy of ours if the ledger has it (_settle_known), or
# only the bytes can tell: an ETag depends on how an object was uploaded, and on the server's encryption.
_DIFF = f"""
UPDATE objects SET action = CASE
  WHEN p.size = objects.size AND {same_etag("p.etag", "objects.etag", "p")} THEN '{SAME}'
  WHEN p.size = objects.size THEN '{AMBIGUOUS}'
  ELSE '{CONFLICT}' END
FROM present AS p WHERE p.key = objects.target AND objects.action = '{COPY}'
"""
# What is at the target now, so that `migrate` can tell what was written there since.
_NOTE_TARGET = "UPDATE objects SET target_etag = p.etag FROM present AS p WHERE p.key = objects.target"


def build_plan(
    path: Path, settings: Settings, store: Store, catalogs: Mapping[str, Catalog], progress: Progress
) -> None:
    """Write a sealed plan for ``settings`` to ``path``.

    Raises PlanDamaged if ``path`` exists, PlanUnusable if it cannot be written, NotFound for a missing bucket, other
    MigratorErrors if the lake or a catalog cannot be read. What is wrong with the lake itself becomes findings.
    """
    check_place(path)
    if settings.all_versions and streamed(store):
        raise ConfigError(
            "Older versions can only be copied within one server and account, and the target is on another one.",
            next_move="Leave --all-versions out; the plan says what stays behind.",
        )
    checked_codes(settings.accept, "[plan] accept")
    layout = resolve_layout(settings, store)
    try:
        with new_file(path) as partial, PlanFile.create(partial) as plan:
            plan.db.execute("BEGIN")
            target_exists = store.bucket_exists(layout.target_bucket)  # a wrong endpoint is told before the listing
            asked = AskedSettings(store, layout, target_exists=target_exists)
            named = named_tables(plan, catalogs)
            check_left(named, settings.leave)
            _list_sources(plan, store, layout, progress)
            histories = list_histories(plan, store, layout, source_places(layout), progress, keep=settings.all_versions)
            target = Listing(plan.db)
            if target_exists:  # all of it, not just the layout's prefixes: tables made there since may lie anywhere
                target.list_target(store, layout.target_bucket, progress)
            plan.db.execute(_NOTE_TARGET)
            if target_exists:
                compare_histories(plan, store, layout, target, progress)
            plan.db.execute(_DIFF)
            _settle_known(plan, Ledger(store, layout.target_bucket))
            plan_tables(plan, store, layout, catalogs, named, progress, settings.leave)
            _note_metadata(plan, layout)
            _settle_ambiguous(plan, store, layout, progress)
            _skip_doubled_markers(plan)
            settle_histories(plan, layout)
            _find_collisions(plan)
            find_carriers(plan, store, layout)
            _find_by_name(plan)
            _find_extras(plan, layout)
            find_merged_folders(plan, layout)
            find_neighbours(plan, layout, catalogs)
            find_buckets(plan, store, layout)
            _find_bucket_state(plan, store, layout, histories, settings, target_exists=target_exists)
            read = asked.result()
            find_settings(plan, store, layout, read)
            needs = find_attributes(plan, store, layout, read, progress, object_lock=settings.object_lock)
            if settings.preflight:
                needs.left_out += preflight(
                    plan, store, layout, catalogs, settings.accept, progress, target_exists=target_exists
                )
            _accept(plan, settings.accept)
            plan.seal(_header(settings, store, layout, catalogs, needs, target_exists=target_exists))
            plan.db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise unwritable(path, error) from error


def resolve_layout(settings: Settings, store: Store) -> Layout:
    """The layout that applies: lake.toml's, or the medallion layout for those buckets that exist.

    Raises NotFound if a bucket that lake.toml names is missing, or if there is neither a bucket of the
    medallion layout nor the target.
    """
    target = settings.target_bucket
    if settings.layout is not None:
        layout = Layout.from_mapping(target, settings.layout)
        for bucket in layout.moved_buckets:
            if not store.bucket_exists(bucket):
                raise NotFound(
                    f"Bucket {bucket!r}, which [layout] names, does not exist at {store.endpoint_url}.",
                    next_move="Correct lake.toml or the endpoint.",
                )
        return layout
    layout = Layout.medallion(target, [b for b in MEDALLION if b != target and store.bucket_exists(b)])
    if not layout.rules and not store.bucket_exists(target):
        raise NotFound(
            f"None of the buckets {', '.join(MEDALLION)} exists at {store.endpoint_url}.",
            next_move="Check the endpoint, or write a lake.toml with your own [layout].",
        )
    return layout


def streamed(store: Store) -> bool:
    """True if what is copied goes through our memory, because no one server sees both ends."""
    return store.ends[0] is not store.ends[1]


def _header(
    settings: Settings,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    needs: Needs,
    *,
    target_exists: bool,
) -> dict[str, str]:
    now = datetime.now(timezone.utc)
    return {
        "plan_id": f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}",  # in the order in which plans are made
        "created": now.isoformat(timespec="seconds"),
        "endpoint_url": store.endpoint_url,
        "region": settings.region or "",
        "profile": settings.profile or "",
        "target_endpoint_url": store.ends[1].endpoint_url,
        "target_region": settings.target_region or "",
        "target_profile": settings.target_profile or "",
        "streamed": "1" if streamed(store) else "",
        "target_bucket": layout.target_bucket,
        "target_missing": json.dumps(not target_exists),
        "layout": json.dumps(layout.to_mapping()),
        "config": str(settings.path) if settings.path else "",
        # How each catalog is reached stays in lake.toml or pyiceberg's configuration: it may hold a password.
        "catalogs": json.dumps({name: catalog.describe() for name, catalog in catalogs.items()}),
        "all_versions": json.dumps(settings.all_versions),
        "warehouses": json.dumps(_warehouses(settings)),
        "left_out": json.dumps(needs.left_out),
        "asked": json.dumps(needs.asked),
        "object_lock": json.dumps(settings.object_lock),
        "locks": json.dumps(needs.locks),
    }


def _warehouses(settings: Settings) -> dict[str, str]:
    """Where each catalog's new tables go, so that the plan can say what that must become."""
    properties = {name: properties_of(name, given or None) for name, given in settings.catalogs.items()}
    return {name: without_userinfo(given["warehouse"]) for name, given in properties.items() if "warehouse" in given}


# -- listing ---------------------------------------------------------------------------------------------


def _list_sources(plan: PlanFile, store: Store, layout: Layout, progress: Progress) -> None:
    into = "INSERT INTO objects (bucket, key, size, etag, modified, storage_class, target, action)"
    for bucket, page in list_sources(store, source_places(layout), progress):
        insert_rows(plan.db, into, _source_rows(layout, bucket, page))
    try:
        for index in _INDEXES:
            plan.db.execute(index)
    except sqlite3.IntegrityError as error:  # pragma: no cover - a server that lists a key twice
        raise MigratorError(f"The server listed a key twice ({error}).", next_move="Plan again.") from error


def _source_rows(layout: Layout, bucket: str, page: Iterable[StoredObject]) -> Iterator[tuple[str | int | None, ...]]:
    for found in page:
        rule = layout.rule_for(bucket, found.key)
        if rule is None:
            continue  # a neighbour of a prefix that we list: `iceberg-old/` beside `iceberg/`
        target = rule.move(found.key)
        action = SKIP if target is None or is_hadoop_marker(found.key, found.size) else COPY
        yield (bucket, found.key, found.size, found.etag, found.modified, found.storage_class, target, action)


def _settle_known(plan: PlanFile, ledger: Ledger) -> None:
    """Of what differs at the target: what an earlier migration proved to be this object's copy is the same, and what
    it wrote there and is not is overwritten by what the object is now."""
    query = (
        "SELECT o.id, o.target, o.target_etag, o.bucket || '/' || o.key, o.etag FROM objects o"
        f" WHERE o.action IN ('{AMBIGUOUS}', '{CONFLICT}') AND o.id > ? ORDER BY o.id LIMIT {LEDGER_PAGE}"
    )
    last = -1
    while rows := plan.db.execute(query, (last,)).fetchall():
        last = rows[-1][0]
        prints = [(row[0], same(*row[1:]), own(row[1], row[2])) for row in rows]
        known = ledger.known({fingerprint for row in prints for fingerprint in row[1:]})
        found = [row for row in prints if known.intersection(row[1:])]
        actions = [(SAME if proven in known else OVERWRITE, id_) for id_, proven, _ in found]
        plan.db.executemany("UPDATE objects SET action = ? WHERE id = ?", actions)


def _note_metadata(plan: PlanFile, layout: Layout) -> None:
    """The folders where tables go, and what metadata files are there now: `migrate` finds those that come later."""
    for table in plan.tables():
        at = Location.parse(table.new_metadata or "")
        if at is not None and table.state != MIGRATED:
            folder = at.key.rpartition("/")[0]
            plan.db.execute("INSERT INTO target_folders VALUES (?, ?)", (table.id, folder))
            plan.db.execute(
                "INSERT OR IGNORE INTO target_metadata SELECT key, etag FROM present"
                " WHERE key > ? AND key < ? AND key LIKE '%.metadata.json%'",
                (f"{folder}/", f"{folder}0"),
            )


def _settle_ambiguous(plan: PlanFile, store: Store, layout: Layout, progress: Progress) -> None:
    """Compare bytes where ETags cannot tell (a target that encrypts, say): same, or a conflict."""
    count = plan.db.execute("SELECT count(*) FROM objects WHERE action = ?", (AMBIGUOUS,)).fetchone()[0]
    query = (
        "SELECT id, target, bucket, key, size, etag, modified, storage_class FROM objects"
        f" WHERE action = '{AMBIGUOUS}' AND id > ? ORDER BY id LIMIT {LEDGER_PAGE}"
    )

    def compare(row: tuple[Any, ...]) -> bool:
        return store.same_as_source((row[2], StoredObject(*row[3:])), (layout.target_bucket, row[1]))

    with progress.stage("comparing contents", objects=count) as stage:
        last = -1
        while page := plan.db.execute(query, (last,)).fetchall():
            last = page[-1][0]
            for outcome in run_in_threads(compare, page, workers=store.concurrency):
                if isinstance(outcome, Failed):
                    raise outcome.error
                action = SAME if outcome.result else CONFLICT
                plan.db.execute("UPDATE objects SET action = ? WHERE id = ?", (action, outcome.item[0]))
                stage.advance(1)


# -- findings --------------------------------------------------------------------------------------------


def _skip_doubled_markers(plan: PlanFile) -> None:
    """Two empty directory markers for one prefix say the same thing: one is enough."""
    plan.db.execute(
        f"UPDATE objects SET action = '{SKIP}' WHERE size = 0 AND target LIKE '%/' AND action <> '{SKIP}' AND EXISTS"
        f" (SELECT 1 FROM objects x WHERE x.target = objects.target AND x.action <> '{SKIP}' AND x.id < objects.id)"
    )


def _find_collisions(plan: PlanFile) -> None:
    differs = f"SELECT 's3://' || bucket || '/' || key, target FROM objects WHERE action = '{CONFLICT}'"
    for place, target, more in _examples(plan, differs):
        message = f"the target already holds another object at {target!r}, which migrator did not write"
        _add(plan, "target-differs", place, message, "Move one of the two away, or map it elsewhere.", more)
    moved = f"SELECT target FROM objects WHERE action <> '{SKIP}' GROUP BY target HAVING count(*) > 1"
    collisions = (
        "SELECT group_concat('s3://' || bucket || '/' || key, ' and '), target FROM objects"
        f" WHERE action <> '{SKIP}' AND target IN ({moved}) GROUP BY target"
    )
    for places, target, more in _examples(plan, collisions):
        message = f"both map to {target!r}"
        _add(plan, "key-collision", places, message, "Give one of them a rule of its own in [layout].", more)
    plan.db.execute(f"UPDATE objects SET action = '{CONFLICT}' WHERE action <> '{SKIP}' AND target IN ({moved})")
    older = (
        "WITH sources AS (SELECT bucket, key, target FROM versions UNION SELECT bucket, key, target FROM objects"
        f" WHERE action NOT IN ('{SKIP}', '{CONFLICT}') AND target IN (SELECT target FROM versions))"
        " SELECT group_concat('s3://' || bucket || '/' || key, ' and '), target FROM sources"
        f" WHERE target NOT IN (SELECT target FROM objects WHERE action = '{CONFLICT}' AND target IS NOT NULL)"
        " GROUP BY target HAVING count(*) > 1"
    )
    for places, target, more in _examples(plan, older):
        message = f"both map to {target!r}, with their older versions"
        _add(plan, "key-collision", places, message, "Give one of them a rule of its own in [layout].", more)
    inside = (
        "SELECT 's3://' || bucket || '/' || key, target FROM objects o WHERE action <> 'skip' AND target NOT LIKE '%/'"
        " AND EXISTS (SELECT 1 FROM objects x WHERE x.target > o.target || '/' AND x.target < o.target || '0'"
        " AND x.bucket <> o.bucket AND x.action <> 'skip')"
    )
    for place, target, more in _examples(plan, inside):
        message = f"would be the object {target!r} beside a directory of that name"
        _add(plan, "file-and-directory", place, message, "Move it away, or map it elsewhere.", more)
    too_long = (
        "SELECT 's3://' || bucket || '/' || key, target FROM objects"
        " WHERE action <> 'skip' AND length(CAST(target AS BLOB)) > 1024"
        " UNION SELECT 's3://' || bucket || '/' || key, target FROM versions"
        " WHERE length(CAST(target AS BLOB)) > 1024"
    )
    for place, _, more in _examples(plan, too_long):
        message = "would have a key of more than 1,024 bytes"
        _add(plan, "key-too-long", place, message, "Choose a shorter target prefix.", more)


_UNFINISHED = (
    "'/' || key LIKE '%/\\_temporary/%' ESCAPE '\\' OR '/' || key LIKE '%/\\_\\_magic%/%' ESCAPE '\\'"
    " OR key LIKE '%.pending' OR key LIKE '%.pendingset'"
)


def _find_by_name(plan: PlanFile) -> None:
    """What the keys alone tell: unfinished work, and what is not copied. One finding per bucket."""
    query = (
        "SELECT 's3://' || bucket || '/' || min(key), count(*) FROM objects"
        f" WHERE action IN ('copy', 'overwrite') AND role = '' AND ({_UNFINISHED}) GROUP BY bucket"
    )
    for place, count in plan.db.execute(query).fetchall():
        message, move = "is left over from an unfinished write", "Wait for the writer, or remove it."
        plan.add_finding(Finding.of("unfinished-work", place, message, move, count=count))
    for code, condition, message in (
        ("skipped-markers", "size = 0 AND key LIKE '%\\_$folder$' ESCAPE '\\'", "and its like are not copied"),
        ("checksum-files", "role = 'checksum'", "and its like are checksums of files that are rewritten"),
        ("left-out", "target IS NULL", "and its like stay where they are: a layout rule says so"),
    ):
        query = f"SELECT 's3://' || bucket || '/' || min(key), count(*) FROM objects WHERE {condition} GROUP BY bucket"
        for place, count in plan.db.execute(query).fetchall():
            plan.add_finding(Finding.of(code, place, message, count=count))
    scripts = plan.db.execute(
        "SELECT bucket, count(*) FROM objects WHERE target GLOB 'scripts/*' AND action <> 'skip' GROUP BY bucket"
    ).fetchall()
    for bucket, count in scripts:
        message = "are copied as they are"
        plan.add_finding(
            Finding.of("scripts-unchanged", f"s3://{bucket}/", message, "Search them for the old paths.", count=count)
        )


def _find_extras(plan: PlanFile, layout: Layout) -> None:
    """What an earlier copy left at the target and the old buckets have dropped since: readers of plain files
    would see it again. We cannot tell it from what was written to the target itself, and delete neither."""
    for target in layout.target_prefixes:
        count, example = plan.db.execute(
            "SELECT count(*), min(key) FROM present p WHERE key >= ? AND key < ?"
            " AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.target = p.key)",
            keys_under(target),
        ).fetchone()
        if count:
            message = "and its like are in no old bucket: dropped there since an earlier copy, or written here"
            move = "Before a cutover, remove what the old buckets have dropped."
            place = f"s3://{layout.target_bucket}/{example}"
            plan.add_finding(Finding.of("extra-at-target", place, message, move, count=count))


def _find_bucket_state(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    histories: Mapping[str, Histories],
    settings: Settings,
    *,
    target_exists: bool,
) -> None:
    for bucket in layout.moved_buckets:
        try:
            uploads = store.open_uploads(bucket)
            if (total := histories.get(bucket)) is not None:
                report_histories(plan, bucket, total, kept=settings.all_versions)
        except StoreError as error:
            message = f"could not be asked for versions and open uploads: {error.message}"
            plan.add_finding(Finding.of("unchecked-bucket", f"s3://{bucket}/", message, error.next_move))
            continue
        if uploads:
            message, move = "has open multipart uploads", "Stop the writers, or abort what is left over."
            plan.add_finding(Finding.of("open-uploads", f"s3://{bucket}/", message, move, count=uploads))
    if not target_exists:
        message = "does not exist yet; migrate will create it (whether that is allowed was not tried)"
        if has_versions(plan):
            message += " and have it keep versions"
        plan.add_finding(Finding.of("target-bucket-missing", f"s3://{layout.target_bucket}/", message))


def _accept(plan: PlanFile, codes: Iterable[str]) -> None:
    for code in codes:
        plan.db.execute("UPDATE findings SET severity = ? WHERE code = ? AND severity = ?", (WARN, code, BLOCK))


def _examples(plan: PlanFile, query: str) -> Iterator[tuple[str, str, int]]:
    """The first rows of a query as (place, detail, how many places the row stands for)."""
    rows = plan.db.execute(f"{query} LIMIT {EXAMPLES}").fetchall()
    more = 0
    if len(rows) == EXAMPLES:
        more = plan.db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0] - EXAMPLES
    for number, (place, detail) in enumerate(rows, 1):
        yield place, detail, 1 + (more if number == EXAMPLES else 0)


def _add(plan: PlanFile, code: str, place: str, message: str, move: str, count: int) -> None:
    plan.add_finding(Finding.of(code, place, message, move, count=count))
