"""Building a plan: the order of planning.

Planning only reads the lake and its catalogs. Memory stays flat: listings go straight into the plan file, and the
comparison is SQL. Nothing depends on the order of a listing, which differs between servers.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from migrator.catalogs import Catalog, CatalogTable
from migrator.config import Settings, checked_codes
from migrator.errors import ConfigError, NotFound
from migrator.inventory.listing import Listing
from migrator.inventory.metadata_cache import MetadataCache
from migrator.inventory.tables import check_left, check_only, named_tables
from migrator.inventory.versions import (
    compare_histories,
    list_histories,
    settle_histories,
)
from migrator.layout import MEDALLION, Layout
from migrator.layout.choice import choose
from migrator.plan.attributes import Needs, find_attributes
from migrator.plan.bucket_settings import AskedSettings, find_settings
from migrator.plan.carriers import plan_carriers
from migrator.plan.checkpoints import plan_checkpoints
from migrator.plan.checks import (
    accept_findings,
    find_bucket_state,
    find_by_name,
    find_collisions,
    find_extras,
    find_missing_target,
)
from migrator.plan.dropped import find_dropped
from migrator.plan.file_marks import refuse_foreign, rewrite_stale_logs
from migrator.plan.header import plan_header
from migrator.plan.local_files import compare_local_files
from migrator.plan.neighbours import find_buckets, find_merged_folders, find_neighbours
from migrator.plan.object_actions import (
    compare_contents,
    compare_listings,
    note_target,
    note_target_metadata,
    recognize_copies,
    skip_doubled_markers,
)
from migrator.plan.preflight import preflight
from migrator.plan.probe import may_write, measure_speed
from migrator.plan.scripts import plan_scripts
from migrator.plan.sources import find_objects, report_inventories
from migrator.plan.table_planner import plan_tables
from migrator.plan.target_catalogs import check_target_catalogs
from migrator.plan.timing import TimedProgress
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import Measured
from migrator.planfile.place import check_place, new_file, unwritable
from migrator.planfile.s3_reports import REPORTS, to_header
from migrator.progress import Progress
from migrator.store import Store
from migrator.target.ledger import Ledger


def build_plan(
    path: Path, settings: Settings, store: Store, catalogs: Mapping[str, Catalog], progress: Progress
) -> None:
    """Write a sealed plan for ``settings`` to ``path``.

    Raises PlanDamaged if ``path`` exists, PlanUnusable if it cannot be written, NotFound for a missing bucket, other
    MigratorErrors if the lake or a catalog cannot be read. Problems of the lake itself become findings.
    """
    check_place(path)
    if settings.all_versions and streamed(store):
        raise ConfigError(
            "Older versions can only be copied within one server and account, and the target is on another one.",
            next_move="Leave --all-versions out; the plan counts the versions that are not copied.",
        )
    if settings.all_versions and settings.inventories:
        raise ConfigError(
            "With --all-versions every bucket is listed, so that it cannot be planned from an S3 Inventory report.",
            next_move="Leave out one of them: --all-versions (all_versions in [plan]) or --inventory (inventories in "
            "[source]).",
        )
    checked_codes(settings.accept, "[plan] accept")
    layout = resolve_layout(settings, store)
    try:
        with new_file(path) as partial, PlanFile.create(partial) as plan:
            plan.db.execute("BEGIN")
            _build(plan, settings, store, layout, catalogs, TimedProgress(progress))
            plan.db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise unwritable(path, error) from error


def _build(
    plan: PlanFile,
    settings: Settings,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    progress: TimedProgress,
) -> None:
    """The order of planning: list, compare, plan the tables, and find what is wrong."""
    settings.script_names(layout.whole)  # an invalid name is reported before the listing
    target_exists = store.bucket_exists(layout.target_bucket)  # a wrong endpoint is reported before the listing
    asked = AskedSettings(store, layout, target_exists=target_exists)
    named = _named_tables(plan, catalogs, settings)
    files = MetadataCache(store)
    sources = find_objects(plan, settings, store, files, layout, named, progress)
    histories = list_histories(plan, store, layout, sources.listed, progress, keep=settings.all_versions)
    target = Listing(plan.db)
    if target_exists:  # the whole bucket, not just the layout's prefixes: newer tables may lie anywhere
        target.list_target(store, layout.target_bucket, progress)
    note_target(plan)
    if target_exists:
        compare_histories(plan, store, layout, target, progress)
    compare_listings(plan)
    ledger = Ledger(store, layout.target_bucket)
    recognize_copies(plan, ledger)
    plan_tables(plan, store, files, layout, catalogs, named, progress, settings)
    note_target_metadata(plan, layout)
    compare_contents(plan, store, layout, progress)
    skip_doubled_markers(plan)
    _plan_other_files(plan, settings, store, layout, ledger, progress)
    settle_histories(plan, layout)
    check_target_catalogs(plan, store, layout, catalogs, settings.leave)
    _find_trouble(plan, store, layout, catalogs, target_exists=target_exists)
    find_bucket_state(plan, store, layout, histories, all_versions=settings.all_versions)
    report_inventories(plan, store, sources.reports, time.time())
    needs = _find_what_copies_need(plan, settings, store, layout, asked, progress)
    measured = _try_servers(plan, settings, store, layout, catalogs, needs, progress, target_exists=target_exists)
    accept_findings(plan, settings.accept)
    measured = replace(measured, plan_bytes=plan.size())
    described = plan_header(settings, store, layout, catalogs, needs, measured, target_exists=target_exists)
    plan.seal({**described, REPORTS: to_header(sources.reports)})


def _try_servers(
    plan: PlanFile,
    settings: Settings,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    needs: Needs,
    progress: TimedProgress,
    *,
    target_exists: bool,
) -> Measured:
    """Test the permissions that the migration needs, and measure how fast the servers are."""
    if settings.preflight:
        accept = settings.accept
        needs.left_out += preflight(plan, store, layout, catalogs, accept, progress, target_exists=target_exists)
        if streamed(store) and target_exists and may_write(plan, layout.target_bucket):
            find_dropped(plan, store, layout, needs.samples)
    return measure_speed(plan, store, layout, progress, preflight=settings.preflight, target_exists=target_exists)


def _plan_other_files(
    plan: PlanFile, settings: Settings, store: Store, layout: Layout, ledger: Ledger, progress: Progress
) -> None:
    """Plan the files outside of tables that migrator rewrites: checkpoints, logs, scripts, local files."""
    compare_local_files(plan, store, layout)
    used = plan_checkpoints(plan, store, layout)
    plan_carriers(plan, store, layout, used)
    plan_scripts(plan, store, settings.script_names(layout.whole), settings, progress)
    rewrite_stale_logs(plan, store, layout.target_bucket, used)
    refuse_foreign(plan, ledger)


def _named_tables(plan: PlanFile, catalogs: Mapping[str, Catalog], settings: Settings) -> list[CatalogTable]:
    """The tables of the catalogs. Raises ConfigError if the settings name one that is not among them."""
    named = named_tables(plan, catalogs)
    check_left(named, settings.leave)
    check_only(named, settings.only)
    return named


def _find_trouble(
    plan: PlanFile, store: Store, layout: Layout, catalogs: Mapping[str, Catalog], *, target_exists: bool
) -> None:
    """Find problems of the objects, and buckets and catalogs that the user may have forgotten."""
    find_collisions(plan)
    find_by_name(plan)
    find_extras(plan, layout)
    find_merged_folders(plan, layout)
    find_neighbours(plan, layout, catalogs)
    find_buckets(plan, store, layout)
    if not target_exists:
        find_missing_target(plan, layout)


def _find_what_copies_need(
    plan: PlanFile, settings: Settings, store: Store, layout: Layout, asked: AskedSettings, progress: Progress
) -> Needs:
    """Find the settings of buckets and the attributes of objects, and return what copying must know of them."""
    read = asked.result()
    find_settings(plan, store, layout, read)
    return find_attributes(plan, store, layout, read, progress, object_lock=settings.object_lock)


def resolve_layout(settings: Settings, store: Store) -> Layout:
    """The layout that applies: lake.toml's, or the medallion layout for those buckets that exist; of it, the rules that
    the settings choose.

    Raises NotFound if a bucket from which objects move is missing, or if there is neither a bucket of the medallion
    layout nor the target; ConfigError for a choice of rules that is not possible.
    """
    target = settings.target_bucket
    if settings.layout is not None:
        layout = _chosen(Layout.from_mapping(target, settings.layout), settings)
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
    return _chosen(layout, settings)


def _chosen(layout: Layout, settings: Settings) -> Layout:
    return choose(layout, settings.rules) if settings.rules else layout


def streamed(store: Store) -> bool:
    """True if copies go through the memory of this process, because no server has both the source and the target."""
    return store.ends[0] is not store.ends[1]
