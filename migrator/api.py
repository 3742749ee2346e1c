"""The functions behind the commands, for Python programs. docs/orchestration.md has whole Dagster and Airflow jobs:

    from migrator import load_settings, plan_lake, migrate_lake, verify_lake

    plan = plan_lake(load_settings("lake.toml"), "plans/lake.db")
    if not plan["blocked"]:
        migrate_lake("plans/lake.db")
        assert verify_lake("plans/lake.db").ok

Every function raises the errors of ``migrator.errors`` and prints nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from migrator.catalogs import Catalog, open_catalog, open_target, properties_of
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.checking.look import Checking, check
from migrator.checking.results import LakeCheck
from migrator.config import Settings, checked_layers, load
from migrator.copying.stage import CopySettings
from migrator.copying.verify_modes import MAX_FAILURES
from migrator.cutover.fence import Lifted, fences_on, lift_after, lift_fence, plan_fence, set_fence, unfence_command
from migrator.cutover.together import REFUSED, check_fit, check_ready, refuse
from migrator.errors import MigratorError, PlanStale, redacted
from migrator.inventory.lake_scripts import show_scripts
from migrator.layout import MEDALLION, Layout
from migrator.layout.recorded import is_s3
from migrator.live.generation import renew
from migrator.live.passes import LiveCutover, held_up, quiet_since, repeated
from migrator.live.quiet import look
from migrator.migration import Choices, Migration, carry_out
from migrator.monitoring.collect import collect
from migrator.monitoring.measures import CountLimits, LakeMeasures
from migrator.plan.build import build_plan
from migrator.plan.policy import least_policy, retire_policy, settings_policy
from migrator.plan.scripts import known_scripts
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_BEGUN, VERIFIED, VERIFY_FAILED, Journal
from migrator.planfile.measured import prices_of
from migrator.planfile.rows import EARLIER, LATER
from migrator.planfile.s3_reports import next_move_named
from migrator.planfile.wave import places_in_use
from migrator.progress import Progress
from migrator.repair.stage import Repair, repair_tables
from migrator.reporting.describe import StatusSummary, describe_plan, describe_status
from migrator.reporting.description import PlanDescription, TableDescription
from migrator.reporting.html import ReportFacts, html_report, read_facts
from migrator.reporting.html.output import report_path, write_page
from migrator.reporting.log import PlanLog, read_log
from migrator.retiring.results import Retirement
from migrator.retiring.retire import RetireOptions, Retiring, check_confirmed, retire
from migrator.rewriting.relocate import Relocation, relocate
from migrator.rollback.stage import Rollback, roll_back
from migrator.run import Run
from migrator.scripts.stage import RewrittenFiles, rewrite_files
from migrator.settings.access import access_policy
from migrator.settings.iam import translate_iam_policy
from migrator.settings.kinds import Decisions
from migrator.settings.new_lake import NewLake, lake_toml
from migrator.settings.translate import Translation
from migrator.store import Store, connect
from migrator.target import PlanRecord, TargetGuard
from migrator.target.new_lake import MadeLake, check_free, look_at_bucket, make_lake
from migrator.target.settings import (
    AppliedSettings,
    lake_without_settings,
    set_settings,
    settings_to_undo,
    translated_settings,
)
from migrator.verifying.verifier import Verification, Verifier
from migrator.workers.engine import Engine, engine_of
from migrator.workers.local import LocalEngine
from migrator.workers.pack import Packed, pack
from migrator.workers.settings import EngineSettings

PLANS = Path("plans")


class _LiveReader:
    """Reads for a Hadoop catalog, directly from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        return (found.key for found in self._store.list(bucket, prefix))

    def get(self, bucket: str, key: str) -> bytes:
        return self._store.get(bucket, key).data


@contextmanager
def _opened(
    settings: Settings, mapped: Callable[[str], str | None] = lambda path: None
) -> Iterator[tuple[Store, dict[str, Catalog]]]:
    """The store and the catalogs of these settings, closed afterwards. ``mapped``: returns the new path of an old one,
    for entries that a cutover creates in a target catalog."""
    store = connect(**settings.connection)
    with ExitStack() as stack:
        catalogs: dict[str, Catalog] = {}
        for name, given in settings.catalogs.items():
            catalog = open_catalog(name, properties_of(name, given or None), _LiveReader(store))
            stack.callback(catalog.close)
            catalogs[name] = catalog
            if name in settings.catalog_targets:
                target = open_target(name, settings.catalog_targets[name], _LiveReader(store))
                stack.callback(target.close)
                catalogs[name] = TwoCatalogs(catalog, target, settings.target_bucket, mapped)
        yield store, catalogs


def _settings_to_plan_again(plan: PlanFile) -> Settings:
    """The settings that this plan was made with."""
    header = plan.header()
    names = json.loads(header["script_names"])
    return replace(
        _settings_of(plan),
        layout=json.loads(header.get("whole_layout", header["layout"])),
        rules=tuple(json.loads(header.get("rules", "[]"))),
        accept=tuple(json.loads(header["accept"])),
        leave=tuple(json.loads(header["leave"])),
        only=tuple(json.loads(header["only"])),
        all_versions=json.loads(header["all_versions"]),
        object_lock=json.loads(header["object_lock"]),
        preflight=json.loads(header["preflight"]),
        left_out=(),
        asked=(),
        rewrite_scripts=json.loads(header["rewrite_scripts"]),
        known_scripts=known_scripts(plan),
        script_endpoints=tuple(names["endpoints"]),
        script_aliases=tuple(names["aliases"]),
        script_checkpoints=names["checkpoints"],
        prices=prices_of(header),
        path=Path(header["config"]) if header["config"] else None,
    )


def _settings_of(plan: PlanFile) -> Settings:
    """How to reach the lake of a plan: from the header, and for the catalogs from the lake.toml that the header
    names."""
    header = plan.header()
    config = load(Path(header["config"])) if header["config"] else Settings()
    planned = json.loads(header["catalogs"])
    return Settings(
        target_bucket=header["target_bucket"],
        endpoint_url=header["endpoint_url"],
        region=header["region"] or None,
        profile=header["profile"] or None,
        target_endpoint_url=header["target_endpoint_url"],
        target_region=header["target_region"] or None,
        target_profile=header["target_profile"] or None,
        catalogs={name: config.catalogs.get(name, {}) for name in planned},
        catalog_targets={name: target for name, target in config.catalog_targets.items() if name in planned},
        left_out=tuple(json.loads(header.get("left_out", "[]"))),
        asked=tuple(json.loads(header.get("asked", "[]"))),
        object_lock=json.loads(header.get("locks", "false")),
    )


@contextmanager
def _connected(plan: PlanFile) -> Iterator[tuple[Store, dict[str, Catalog]]]:
    """The store and the catalogs of a plan. Raises PlanStale if a catalog is not the one that was planned."""
    with _opened(_settings_of(plan), plan.layout.whole.map_uri) as (store, catalogs):
        planned = json.loads(plan.header()["catalogs"])
        for name, catalog in catalogs.items():
            if catalog.describe() != planned[name]:
                raise PlanStale(
                    f"Catalog {name!r} is now {catalog.describe()}; the plan was made for {planned[name]}.",
                    next_move='Correct its configuration, or run "migrator plan" again.',
                )
        yield store, catalogs


def _engine(plan: PlanFile, kind: str | None) -> Engine:
    """The engine that lake.toml chooses, or this ``kind`` of engine. Raises ConfigError if it cannot run here."""
    config = plan.header()["config"]
    chosen = load(Path(config)).engine if config else EngineSettings()
    return engine_of(replace(chosen, kind=kind) if kind else chosen)


def load_settings(path: str | Path) -> Settings:
    """Read a ``lake.toml``. Raises ConfigError."""
    return load(Path(path))


def default_plan_path(settings: Settings) -> Path:
    """``plans/<target>-<UTC time>.db``: a new name for every plan, so that no journal is ever lost."""
    now = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")
    return PLANS / f"{settings.target_bucket}-{now}.db"


def plan_lake(
    settings: Settings, path: str | Path | None = None, *, progress: Progress | None = None
) -> PlanDescription:
    """Make a plan, read-only towards the lake, and return its description (see :func:`show_plan`).

    The plan file is ``path``, or a new one in ``plans/``; its path is in the description.
    """
    path = Path(path) if path is not None else default_plan_path(settings)
    with _opened(settings) as (store, catalogs):
        build_plan(path, settings, store, catalogs, progress or Progress())
    with PlanFile.open_unchecked(path) as plan:  # this process has just sealed it
        return describe_plan(plan)


def list_tables(settings: Settings, *, progress: Progress | None = None) -> list[TableDescription]:
    """Every table and view of the lake, described as under ``tables`` in a plan. The plan is made in a temporary
    file."""
    with TemporaryDirectory(prefix="migrator-") as folder:
        listing = replace(settings, preflight=False)
        described = plan_lake(listing, Path(folder) / "tables.db", progress=progress)
    return described["tables"]


def check_lake(settings: Settings, *, layers: Iterable[str] = (), progress: Progress | None = None) -> LakeCheck:
    """Check whether a lake has the folder structure of its layout, and what still names an old bucket. Changes nothing,
    and needs no plan: call it before a migration, after it, or a year later. Look at ``LakeCheck.ok``.

    ``layers``: new layers that you want to add; the findings say where they go. What cannot be read is a finding.
    Raises ConfigError, NotFound if there is no such lake, StoreError if the target cannot be listed, CatalogError if a
    catalog cannot be opened.
    """
    layout, wanted = _layout_of(settings), checked_layers(layers, "--layer")
    with _opened(settings, layout.map_uri) as (store, catalogs):
        return check(Checking(settings, layout, store, catalogs, progress or Progress(), wanted))


def measure_lake(
    settings: Settings, *, limits: CountLimits | None = None, progress: Progress | None = None
) -> LakeMeasures:
    """Count the objects and tables of a lake, as ``migrator metrics`` exports them. Changes nothing.

    ``limits``: which files count as small, and which as orphans. A table that cannot be read is in the result, with
    ``readable`` False. Raises what :func:`check_lake` raises.
    """
    layout = _layout_of(settings)
    with _opened(settings, layout.map_uri) as (store, catalogs):
        return collect(Checking(settings, layout, store, catalogs, progress or Progress()), limits)


def relocate_table(
    metadata_uri: str,
    to: str,
    *,
    also: Iterable[tuple[str, str]] = (),
    copy: bool = True,
    endpoint_url: str | None = None,
    progress: Progress | None = None,
) -> Relocation:
    """Move one table from its bare metadata file, without a catalog; see :func:`migrator.rewriting.relocate`."""
    return relocate(Store(endpoint_url=endpoint_url), metadata_uri, to, also=also, copy=copy, progress=progress)


def _said(record: PlanRecord | None) -> str | None:
    return None if record is None else str(record)


class OpenPlan:
    """A plan that was opened and checked once, by :func:`open_plan`, to describe it and to carry it out."""

    def __init__(self, plan: PlanFile, progress: Progress) -> None:
        self._plan, self._progress, self._held = plan, progress, False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this context, no other process can carry out the plan or make it anew. Raises PlanBusy or
        PlanUnusable."""
        with self._plan.lock():
            self._plan.allow_writing(self._progress)
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def describe(self) -> PlanDescription:
        """The plan as one JSON-able dictionary; ``migrator explain --json-keys`` says what each key means."""
        return describe_plan(self._plan)

    def status(self, *, look: bool = False) -> StatusSummary:
        """How far the plan has been carried out, as its journal says. ``look``: also ask the target whether a newer
        plan replaces it, or whether a copy of this plan was carried out."""
        status = describe_status(self._plan)
        if not look:
            return status
        try:
            store = connect(**_settings_of(self._plan).connection)
            guard = TargetGuard(self._plan, store, Progress())
            newer, journal = guard.superseded(), Journal(self._plan)
            copy = guard.carried_out_by_copy(journal) or guard.rolled_back_by_copy(journal)
        except MigratorError as error:
            return replace(status, not_checked=f"whether a newer plan was carried out: {error.message}")
        return replace(status, superseded_by=_said(newer), copy_carried_out=_said(copy))

    def log(self, *, look: bool = False) -> PlanLog:
        """Everything that was done with the plan. ``look``: also compare with the plan's record at the target, which
        shows whether entries were removed from the end."""
        found = read_log(self._plan)
        if not look or found.changed:
            return found
        try:
            guard = TargetGuard(self._plan, connect(**_settings_of(self._plan).connection), Progress())
            return replace(found, changed=guard.log_difference())
        except MigratorError as error:
            return replace(found, not_checked=error.message)

    def facts(self, *, look: bool = False) -> ReportFacts:
        """The facts for the HTML report of the plan. ``look``: as in :meth:`status` and :meth:`log`."""
        status = self.status(look=look)
        asked = look and not status.not_checked  # do not ask a target twice that does not answer
        return read_facts(self._plan, status, self.log(look=asked), asked=asked)

    def migrate(self, choices: Choices | None = None, copying: CopySettings | None = None) -> Migration:
        """Carry out the plan; see :func:`migrate_lake`."""
        copying = copying or CopySettings()
        plan = self._plan
        plan.allow_writing(self._progress)
        with (
            _engine(plan, copying.engine) as engine,
            _connected(plan) as (store, catalogs),
            nullcontext() if self._held else plan.lock(),
            Journal(plan) as journal,
            next_move_named(plan.path, plan.header()),
        ):
            how = (copying.max_failures, copying.only)
            run = Run(plan, store, catalogs, journal, self._progress, *how, engine=engine)
            return carry_out(run, copying.options, choices or Choices())

    def check_ready(self, *, cutover: bool = True) -> None:
        """Check, without a change, what shows early that the plan cannot be carried out: see
        :func:`migrator.cutover.together.check_ready`."""
        with _connected(self._plan) as (store, catalogs):
            run = Run(self._plan, store, catalogs, Journal(self._plan), self._progress, MAX_FAILURES)
            check_ready(run, cutover=cutover)

    def settings_set(self) -> list[str]:
        """The settings of the target that this plan has set, and that a rollback gives back."""
        return list(dict.fromkeys(event["setting"] for event in settings_to_undo(Journal(self._plan))))

    def roll_back(self, *, discard_newer: bool = False, bring_back: bool = False) -> Rollback:
        """Undo the cutover; see :func:`rollback_lake`."""
        plan = self._plan
        plan.allow_writing(self._progress)
        with _connected(plan) as (store, catalogs), plan.lock(), Journal(plan) as journal:
            run = Run(plan, store, catalogs, journal, self._progress, MAX_FAILURES)
            return roll_back(run, discard_newer=discard_newer, bring_back=bring_back)


@contextmanager
def open_plan(path: str | Path, *, progress: Progress | None = None) -> Iterator[OpenPlan]:
    """Open a plan and check that nobody edited it: about a second per million objects. Raises PlanDamaged, PlanStale
    if it has another format, or PlanUnusable."""
    progress = progress or Progress()
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        yield OpenPlan(plan, progress)


@contextmanager
def open_plans(
    paths: Sequence[str | Path], *, cutover: bool = True, progress: Progress | None = None
) -> Iterator[list[OpenPlan]]:
    """Open several plans to carry them out one after the other with :meth:`OpenPlan.migrate`, in any order. They are
    checked before anything is written, and held until the end.

    Raises what :func:`open_plan` raises, PlanBusy, ConfigError for plans that do not fit together, and PlanBlocked,
    PlanStale or MigrationFailed, which names every plan that cannot be carried out. ``cutover``: as for
    :func:`migrate_lake`.
    """
    progress, troubles = progress or Progress(), []
    with ExitStack() as stack:
        plans = [stack.enter_context(PlanFile.open(Path(path), progress, read_only=True)) for path in paths]
        check_fit(plans)
        opened = [OpenPlan(plan, progress) for plan in plans]
        for one in opened:
            stack.enter_context(one.held())
        for plan, one in zip(plans, opened, strict=True):
            try:
                one.check_ready(cutover=cutover)
            except REFUSED as error:
                troubles.append((plan, error))
        refuse(troubles, len(plans))
        yield opened


def show_plan(path: str | Path, *, progress: Progress | None = None) -> PlanDescription:
    """A plan as one JSON-able dictionary; ``migrator explain --json-keys`` says what each key means."""
    with open_plan(path, progress=progress) as plan:
        return plan.describe()


def plan_status(path: str | Path, *, look: bool = True, progress: Progress | None = None) -> StatusSummary:
    """How far a plan has been carried out. ``look``: also ask the target whether a newer plan took its place."""
    with open_plan(path, progress=progress) as plan:
        return plan.status(look=look)


def plan_log(path: str | Path, *, look: bool = True, progress: Progress | None = None) -> PlanLog:
    """Everything that was done with a plan. ``look``: also compare the log with the plan's record at the target, which
    shows whether entries were removed from its end."""
    with open_plan(path, progress=progress) as plan:
        return plan.log(look=look)


def report_page(path: str | Path, *, look: bool = True, progress: Progress | None = None) -> str:
    """The page that :func:`write_report` writes."""
    progress = progress or Progress()
    with open_plan(path, progress=progress) as plan, progress.stage("writing the report", unit=""):
        return html_report(plan.facts(look=look))


def write_report(
    path: str | Path, output: str | Path | None = None, *, look: bool = True, progress: Progress | None = None
) -> Path:
    """Write a plan, its progress and its certificate as one HTML file that needs no network, and return its path: by
    default that of the plan with the suffix .html. An older report is replaced, nothing else is.

    ``look``: also ask the target whether the log is complete, and whether a newer plan replaces this one.
    Raises ConfigError if a package of the extra "report" is missing, or the file cannot be written.
    """
    page = report_page(path, look=look, progress=progress)
    written = Path(output) if output is not None else report_path(Path(path))
    write_page(page, written)
    return written


def policy_of_plan(path: str | Path, side: str = "both", *, progress: Progress | None = None) -> dict[str, Any]:
    """The least policy for the buckets of a plan: for the "source", the "target", or "both" in one."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        header = plan.header()
        missing, versions = json.loads(header["target_missing"]), json.loads(header["all_versions"])
        locks = json.loads(header.get("object_lock", "false"))
        return _policy(plan.layout, side, all_versions=versions, object_lock=locks, make_target=missing)


def retire_policy_of_plan(path: str | Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """The permissions that :func:`retire_lake` needs in the old buckets of a plan, in addition to the least policy."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        return retire_policy(plan.layout.moved_buckets)


def settings_policy_of_plan(path: str | Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """The permissions that :func:`apply_settings` needs at the target of a plan, in addition to the least policy."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        return settings_policy(plan.layout.target_bucket)


def policy_of_settings(settings: Settings, side: str = "both") -> dict[str, Any]:
    """The least policy for the buckets of a lake.toml, without a request to a server. So it covers all medallion
    buckets if there is no [layout], and allows creating the target."""
    versions, locks = settings.all_versions, settings.object_lock
    return _policy(_layout_of(settings), side, all_versions=versions, object_lock=locks, make_target=True)


def _layout_of(settings: Settings) -> Layout:
    """The layout of these settings without asking any server: that of all medallion buckets if they have none."""
    if settings.layout is None:
        return Layout.medallion(settings.target_bucket, MEDALLION)
    return Layout.from_mapping(settings.target_bucket, settings.layout)


def rewrite_config(
    paths: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    write: bool = False,
    backup: bool = False,
    progress: Progress | None = None,
) -> RewrittenFiles:
    """Rewrite the old paths in scripts and settings. ``paths``: files and folders, or URIs in S3. Only local files
    change, and only with ``write``; ``backup`` keeps their old text in FILE.bak.

    Raises ConfigError if a path does not exist. What a file system or server refuses is in the result, under
    ``skipped``; an S3 server that cannot be reached raises Unreachable."""
    settings = settings or Settings()
    names = settings.script_names(_layout_of(settings))
    uris = [path for path in paths if isinstance(path, str) and is_s3(path)]
    local = [path for path in paths if path not in uris]
    result = rewrite_files(local, names, write=write, backup=backup, configuration=settings.path)
    if uris:
        show_scripts(uris, connect(**settings.connection), names, result, progress or Progress())
    return result


def _policy(layout: Layout, side: str, *, all_versions: bool, object_lock: bool, make_target: bool) -> dict[str, Any]:
    sources = [] if side == "target" else layout.buckets
    target = "" if side == "source" else layout.target_bucket
    return least_policy(sources, target, all_versions=all_versions, object_lock=object_lock, make_target=make_target)


def show_settings(
    path: str | Path, decisions: Decisions | None = None, *, progress: Progress | None = None
) -> Translation:
    """Translate the settings of the old buckets of a plan into those of the target; changes nothing."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        return translated_settings(plan, connect(**_settings_of(plan).connection), decisions or Decisions())


def apply_settings(
    path: str | Path, decisions: Decisions | None = None, *, progress: Progress | None = None
) -> AppliedSettings:
    """Set on the target what :func:`show_settings` shows; the bucket is made if it does not exist yet. Look at
    ``AppliedSettings.ok``. :func:`rollback_lake` gives the old settings back.

    Raises PlanBlocked, with nothing set, while a person must decide something.
    """
    with _journal_of(path, progress) as (plan, store, journal):
        translation = translated_settings(plan, store, decisions or Decisions())
        target = plan.layout.target_bucket
        if not translation.blocked and not store.bucket_exists(target):
            store.create_bucket(target)
            translation = translated_settings(plan, store, decisions or Decisions())
        return set_settings(store, journal, translation)


def init_lake(
    new: NewLake,
    file: str | Path = "lake.toml",
    settings: Settings | None = None,
    *,
    make: bool,
    progress: Progress | None = None,
) -> MadeLake:
    """Show what a new lake gets: its bucket, encryption, lifecycle and a lake.toml, or make it if ``make``. What exists
    already stays as it is. Look at ``MadeLake.ok``.

    Raises ConfigError for invalid layers, or if the file exists, and PlanBlocked, with nothing made, while a
    person must decide something.
    """
    settings = replace(settings or Settings(), target_bucket=new.bucket)
    if make:
        check_free(Path(file))
    new.check()
    store = connect(**settings.connection)
    text = lake_toml(new, settings.target_endpoint_url or settings.endpoint_url, settings.region)
    made = MadeLake(new, look_at_bucket(store, new), Path(file), text)
    if make:
        make_lake(store, made)
    return made


def iam_policy_of_plan(
    path: str | Path, policy: str, decisions: Decisions | None = None, *, progress: Progress | None = None
) -> Translation:
    """Add to a policy of AWS IAM or MinIO, as JSON, what it allows in the old buckets of a plan for their new places.
    Asks no server. Raises ConfigError if it is no such policy."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        return translate_iam_policy(lake_without_settings(plan, decisions or Decisions()), policy)


def access_of_plan(path: str | Path, layer: str, role: str, *, progress: Progress | None = None) -> dict[str, Any]:
    """A policy for one layer of the target, for AWS IAM and MinIO. ``role``: "reader", "writer" or "admin"."""
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        return access_policy(plan.layout, layer, role)


def migrate_lake(
    path: str | Path,
    *,
    cutover: bool = True,
    accept_late: bool = False,
    accept: Collection[str] = (),
    copying: CopySettings | None = None,
    progress: Progress | None = None,
) -> Migration:
    """Carry out a plan: copy, rewrite, compare, cut over, verify. Safe to call again after any interruption.

    ``accept_late``: cut over although something was added to the old buckets, changed or removed since planning.
    ``accept``: codes of :data:`migrator.findings.AT_MIGRATION` that need not stop the migration.
    With ``copying.only``, only those objects are copied, and no other step is done.
    Raises PlanBlocked, PlanStale or MigrationFailed if no pointer has been changed, CutoverIncomplete if some have.
    A verification that fails after the cutover is returned, not raised: look at ``Migration.ok``.
    """
    with open_plan(path, progress=progress) as plan:
        return plan.migrate(Choices(cutover, accept_late, accept), copying)


def _renew(path: Path, progress: Progress | None) -> None:
    """Make the plan anew from the lake as it is now; see :func:`migrator.live.generation.renew`."""
    progress = progress or Progress()

    def build(old: PlanFile, fresh: Path) -> None:
        settings = _settings_to_plan_again(old)
        with _opened(settings) as (store, catalogs):
            build_plan(fresh, settings, store, catalogs, progress)

    renew(path, build, progress)


def copy_lake(path: str | Path, *, copying: CopySettings | None = None, progress: Progress | None = None) -> Migration:
    """Copy what is new, while the lake is in use. Call it as often as you like: each pass takes in what changed since
    the one before, in a new generation of the same plan. The tables are rewritten and compared at the target as they
    are now, so that the cutover has less to do. No pointer changes.

    Raises PlanStale if tables came or went since the plan was approved, PlanBlocked if something blocks now.
    """

    def copy() -> Migration:
        with open_plan(path, progress=progress) as plan:
            return plan.migrate(Choices(cutover=False, copy_only=True), copying)

    return repeated(lambda: _renew(Path(path), progress), copy)


FENCE, FENCE_KEEP = "window", "keep"


@contextmanager
def _journal_of(path: str | Path, progress: Progress | None) -> Iterator[tuple[PlanFile, Store, Journal]]:
    """A plan, opened for writing and locked, its store and its journal."""
    progress = progress or Progress()
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        plan.allow_writing(progress)
        with plan.lock(), Journal(plan) as journal:
            yield plan, connect(**_settings_of(plan).connection), journal


@contextmanager
def _fenced(path: str | Path, fence: str | None, lift: bool, progress: Progress | None) -> Iterator[Lifted]:
    """Set the fence, if one is asked for, and afterwards give the old policies back, if ``lift`` or after an error.
    Yields the result of giving them back, which is filled at the end."""
    result = Lifted()
    if fence:
        with _journal_of(path, progress) as (plan, store, journal):
            set_fence(store, journal, plan_fence(plan, store, journal))
    try:
        yield result
    except BaseException as error:
        if fence or lift:
            lift_after(error, partial(unfence_lake, path, progress=progress), path)
        raise
    if lift:
        try:
            lifted = unfence_lake(path, progress=progress)
        except MigratorError as error:
            error.message = f"The cutover is done, but the fence may still be on: {error.message}"
            again = f"Then give the old policies back: {unfence_command(path)}"
            error.next_move = f"{error.next_move} {again}".strip()
            raise
        result.given_back, result.changed = lifted.given_back, lifted.changed


def unfence_lake(path: str | Path, *, progress: Progress | None = None) -> Lifted:
    """Give the old buckets of a plan their old policies back, if a cutover with a fence has left the fence on. A policy
    that somebody else has changed since stays as it is, and is named."""
    with _journal_of(path, progress) as (_, store, journal):
        return lift_fence(store, journal)


def cutover_lake(
    path: str | Path,
    *,
    quiet_for: float = 10,
    wait: float = 600,
    fence: str | None = None,
    accept: Collection[str] = (),
    copying: CopySettings | None = None,
    progress: Progress | None = None,
) -> LiveCutover:
    """Cut over a lake that was in use until now: wait until pointers and listings have been still for ``quiet_for``
    seconds, copy what is new, rewrite the tables from their present metadata, compare, swap, verify.

    ``fence``: :data:`FENCE` ("window") denies writes to the old buckets by their policies from the last pass to the
    end; :data:`FENCE_KEEP` ("keep") leaves that on after a cutover that succeeded. In any other case, a fence that an
    earlier call has left on is lifted at the end.

    Raises PlanStale if the lake is still written to after ``wait`` seconds, or while this works; nothing was cut over
    then. Otherwise as :func:`migrate_lake`.
    """

    def cut_over() -> Migration:
        with open_plan(path, progress=progress) as plan:
            return plan.migrate(Choices(accept=accept), copying)

    since = None
    with PlanFile.open(Path(path), progress, read_only=True) as plan:
        journal = Journal(plan)
        lift = fence != FENCE_KEEP and (fence is not None or bool(fences_on(journal)))
        if fence:  # a bucket that cannot be fenced is reported before anything changes
            plan_fence(plan, connect(**_settings_of(plan).connection), journal)
        if not journal.has(CUTOVER_BEGUN):
            with _connected(plan) as (store, catalogs):
                places = places_in_use(plan)
                others = {table.identifier for table in plan.tables() if table.state in (LATER, EARLIER)}
                still = partial(look, store, catalogs, places, progress or Progress(), others)
                since = quiet_since(still, quiet_for, wait)
    with _fenced(path, fence, lift, progress) as fenced:
        migration = repeated(lambda: _renew(Path(path), progress), cut_over)
    return LiveCutover(migration, since, held_up(plan_log(path, look=False).entries, since), fenced)


def rollback_lake(
    path: str | Path, *, discard_newer: bool = False, bring_back: bool = False, progress: Progress | None = None
) -> Rollback:
    """Undo the cutover of a plan: point every table, view and namespace to its old place again. Safe to call again
    after any interruption. Nothing is deleted.

    Raises RollbackRefused, with what would be lost, if something was committed at the target since the cutover, unless
    it is to be kept (``bring_back``: copied and rewritten to the old place) or lost (``discard_newer``; with both, what
    cannot be kept is lost); MigrationFailed if the old buckets lack files that a table needs.
    """
    with open_plan(path, progress=progress) as plan:
        return plan.roll_back(discard_newer=discard_newer, bring_back=bring_back)


def repair_lake(path: str | Path, *, change: bool, progress: Progress | None = None) -> Repair:
    """Find the tables that name files in the old buckets since the cutover of a plan, and, if ``change``, move these
    files to the target and commit metadata that names them there. Look at ``Repair.ok``.

    Raises MigrationFailed if the plan is not cut over, PlanBusy if another run holds the target.
    """
    progress = progress or Progress()
    with (
        PlanFile.open(Path(path), progress, read_only=not change) as plan,
        _connected(plan) as (store, catalogs),
        plan.lock() if change else nullcontext(),
        Journal(plan) as journal,
    ):
        return repair_tables(Run(plan, store, catalogs, journal, progress, MAX_FAILURES), change=change)


def verify_lake(
    path: str | Path, *, deep: bool = False, engine: str | None = None, progress: Progress | None = None
) -> Verification:
    """Compare the target with a plan; see :class:`migrator.verifying.verifier.Verifier`. The log of the plan gets an
    entry with the result, unless the plan cannot be written: see ``Verification.not_recorded``. ``engine``: the kind of
    engine that compares bytes if ``deep``; None for that of lake.toml."""
    progress = progress or Progress()
    # With ``deep``, keep the digests of the old rows, for when the old buckets are gone.
    with (
        PlanFile.open(Path(path), progress, read_only=None if deep else True) as plan,
        _engine(plan, engine) if deep else LocalEngine() as workers,
        _connected(plan) as (store, catalogs),
    ):
        try:
            newer = TargetGuard(plan, store, progress).superseded()
            verification = Verifier(plan, store, catalogs, progress, workers).verify(deep=deep)
        except MigratorError as error:
            _recorded(plan, progress, VERIFY_FAILED, reason=redacted(error.message))
            raise
        verification.superseded_by = str(newer) if newer else None
        verification.not_recorded = _recorded(plan, progress, VERIFIED, **verification.summary())
        return verification


def _recorded(plan: PlanFile, progress: Progress, event: str, **detail: Any) -> str | None:
    """Write an entry into the log of a plan, from which certificates are made. Returns why that cannot be done, for a
    plan file that is read-only; None if it was written."""
    try:
        plan.allow_writing(progress)
        Journal(plan).event(event, **detail)
    except MigratorError as error:
        return error.message
    return None


def retire_lake(
    path: str | Path,
    *,
    confirm: str | None = None,
    cooling: str = "7d",
    accept: Collection[str] = (),
    remove_buckets: bool = False,
    remove_old_entries: bool = False,
    progress: Progress | None = None,
) -> Retirement:
    """Show what would be deleted in the old buckets, or delete it for good if ``confirm`` is the name of the target.

    ``cooling``: how long ago the plan must have been finished (``7d``, ``12h``, ``0``). ``accept``: codes of
    :data:`migrator.findings.ACCEPTABLE_AT_RETIRE`. ``remove_buckets``: also remove old buckets that are empty then.
    ``remove_old_entries``: also remove the entries in an old catalog of tables that moved to another catalog.
    Raises RetireRefused, PlanStale or PlanBusy before anything is deleted, ConfigError if ``confirm`` is another name.
    Objects that the server refuses to delete are in the result: look at ``Retirement.ok``.
    """
    progress = progress or Progress()
    options = RetireOptions(cooling, confirm, tuple(accept), remove_buckets, remove_old_entries)
    deletes = confirm is not None
    with ExitStack() as stack:
        plan = stack.enter_context(PlanFile.open(Path(path), progress, read_only=True))
        check_confirmed(plan, options)
        if deletes:
            plan.allow_writing(progress)
            stack.enter_context(plan.lock())
        store, catalogs = stack.enter_context(_connected(plan))
        journal = stack.enter_context(Journal(plan))
        return retire(Retiring(plan, store, catalogs, journal, progress, options))


def pack_executors(path: str | Path) -> Packed:
    """Write the file that the executors of ``--engine spark`` import migrator from. Replaces an older one. Raises
    ConfigError if something else is there, or it cannot be written."""
    return pack(Path(path))


__all__ = [
    "FENCE",
    "FENCE_KEEP",
    "Choices",
    "CopySettings",
    "Decisions",
    "LakeCheck",
    "Migration",
    "NewLake",
    "OpenPlan",
    "access_of_plan",
    "apply_settings",
    "check_lake",
    "copy_lake",
    "cutover_lake",
    "default_plan_path",
    "iam_policy_of_plan",
    "init_lake",
    "list_tables",
    "load_settings",
    "migrate_lake",
    "open_plan",
    "open_plans",
    "pack_executors",
    "plan_lake",
    "plan_log",
    "plan_status",
    "policy_of_plan",
    "policy_of_settings",
    "relocate_table",
    "repair_lake",
    "retire_lake",
    "retire_policy_of_plan",
    "rollback_lake",
    "settings_policy_of_plan",
    "show_plan",
    "show_settings",
    "unfence_lake",
    "verify_lake",
    "write_report",
]
