"""The order of a retirement. Read :func:`retire` first.

Nothing is deleted before everything was checked: the plan was carried out long enough ago, the target has just been
verified completely, and nothing that migrator knows names an old place. What is deleted is decided object by object
from a new listing of the old buckets. After an interruption the same command continues.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from migrator.catalogs import Catalog
from migrator.cutover.fence import check_no_fence
from migrator.cutover.source_changes import find_source_changes
from migrator.errors import ConfigError, MigratorError, NotFound, RetireRefused, first_lines, then_again
from migrator.findings import CHANGED_AT_TARGET, NOT_COMPARED, UNREGISTERED
from migrator.layout import source_places
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, OLD_ENTRIES_REMOVED, RETIRE_BEGUN, RETIRED, Journal
from migrator.progress import Progress
from migrator.results import SourceChanges
from migrator.retiring.deleting import delete, look, remove_empty, why_kept
from migrator.retiring.old_entries import (
    OldEntry,
    moved_metadata,
    old_entries,
    old_namespaces,
    remove_old_entries,
)
from migrator.retiring.preconditions import (
    NOTHING_DELETED,
    check_finished,
    check_log,
    check_record,
    check_target_is_apart,
    parse_cooling,
)
from migrator.retiring.proof import note_proven, planned_by_bucket, unproven
from migrator.retiring.results import OldBucket, Retirement
from migrator.retiring.still_named import StillNamed, by_code
from migrator.store import LEASE_KEY, Store
from migrator.target import TargetGuard
from migrator.target.lease import Lease, lease
from migrator.verifying.checks import Verification
from migrator.verifying.objects import OBJECTS_CHECK
from migrator.verifying.rows import NEWER
from migrator.verifying.verifier import Verifier


@dataclass(frozen=True)
class RetireOptions:
    """What the user decides. ``confirm``: the name of the target; None only shows what would be deleted. ``accept``:
    codes of :data:`migrator.findings.ACCEPTABLE_AT_RETIRE`."""

    cooling: str = "7d"
    confirm: str | None = None
    accept: Collection[str] = ()
    remove_buckets: bool = False
    remove_old_entries: bool = False
    """Also remove the entries of tables that moved to another catalog from the old one."""


@dataclass
class Retiring:
    """One plan whose sources are to be deleted, and the values that the steps share."""

    plan: PlanFile
    store: Store
    catalogs: Mapping[str, Catalog]
    journal: Journal
    progress: Progress
    options: RetireOptions
    accepted: dict[str, list[str]] = field(default_factory=dict)
    """Code → what was found and accepted."""

    def __post_init__(self) -> None:
        self.guard = TargetGuard(self.plan, self.store, self.progress)


def retire(run: Retiring) -> Retirement:
    """Show what would be deleted of the old buckets, or delete it if ``options.confirm`` names the target.

    Raises RetireRefused, PlanStale or PlanBusy before anything was deleted. An object that the server refuses to delete
    is reported in the result.
    """
    check_confirmed(run.plan, run.options)
    check_target_is_apart(run.plan)
    check_log(run.plan)
    if not run.journal.has(CUTOVER_DONE):  # from now on the plan must not be carried out again, either
        run.guard.check_not_superseded(NOTHING_DELETED)
    check_finished(run.plan, run.journal, parse_cooling(run.options.cooling))
    check_no_fence(run.journal, run.plan)
    if run.options.confirm is None:
        verification = _checked(run)
        buckets = look(run.plan, run.store, run.progress)
        _say_what_becomes_of_buckets(run, buckets)
        return _result(run, verification, buckets, carried_out=False)
    with ExitStack() as stack:
        held = stack.enter_context(lease(run.store, run.plan.layout.target_bucket, run.plan.path))
        _check_not_the_same_bucket(run)
        verification = _checked(run)
        return _carry_out(run, verification, held)


def check_confirmed(plan: PlanFile, options: RetireOptions) -> None:
    """The user has confirmed the deletion with the name of the target. Raises ConfigError."""
    target = plan.layout.target_bucket
    if options.confirm not in (None, target):
        raise ConfigError(
            f"The objects in the old buckets of s3://{target}/ would be deleted for good; that is not confirmed.",
            next_move=f"Add --confirm {target}",
        )


def _checked(run: Retiring) -> Verification:
    """Check everything that must be true now. Raises RetireRefused or PlanStale."""
    check_record(run.plan, run.guard)
    named = StillNamed(run.plan, run.store, run.catalogs)
    _refuse(run, by_code(named.pointers()))
    verification = Verifier(run.plan, run.store, run.catalogs, run.progress).verify()
    note_proven(run.plan)
    _refuse(run, _differences(run, verification))
    _refuse(run, by_code(named.everything()))
    return verification


def _differences(run: Retiring, verification: Verification) -> dict[str, list[str]]:
    """What the verification found: code → problems, "" for what cannot be accepted.

    Objects that changed or vanished at the target may be accepted, because the target is in use: their originals stay.
    """
    others = [check for check in verification.checks if check.name != OBJECTS_CHECK]
    found = {"": [problem for check in others for problem in check.problems]}
    found[CHANGED_AT_TARGET] = unproven(run.plan)
    found[NOT_COMPARED] = [
        f"{count:,} {check.unit} were not compared: {reason}"
        for check in verification.checks
        for reason, count in check.reasons.items()
        if reason != NEWER  # the old place never had these
    ]
    found[UNREGISTERED] = [
        f"{table.old_location} is in no given catalog: no engine finds {table.metadata_location}"
        for table in verification.unregistered
    ]
    if not verification.cut_over:
        found[""].append("The plan is not cut over.")
    if not any(check.checked for check in verification.checks):
        found[""].append("The verification compared nothing.")
    return found


def _refuse(run: Retiring, found: Mapping[str, list[str]]) -> None:
    """Raise RetireRefused for what was found, unless its code is accepted."""
    open_ = {code: lines for code, lines in found.items() if lines and code not in run.options.accept}
    run.accepted |= {code: lines for code, lines in found.items() if lines and code in run.options.accept}
    if not open_:
        return
    lines = [f"{line} [{code}]" if code else line for code, lines in sorted(open_.items()) for line in lines]
    accept = " ".join(f"--accept {code}" for code in sorted(open_) if code)
    move = "Correct what is named, then run the same command again."
    if accept and "" not in open_:
        move += f" If it does not matter to you: {accept}"
    raise RetireRefused(
        f"The old buckets of {run.plan.path} are still needed, or that is not known. Nothing was deleted:\n"
        f"{first_lines(lines)}\n",
        next_move=move,
    )


def _check_not_the_same_bucket(run: Retiring) -> None:
    """No old bucket is the target under another name (an alias, an access point): then it would show the lease that
    this run has just written there. Raises RetireRefused."""
    lock = run.store.head(run.plan.layout.target_bucket, LEASE_KEY)
    for bucket in run.plan.layout.moved_buckets:
        try:
            same = run.store.find(bucket, LEASE_KEY)
        except NotFound:
            continue
        if same is not None and same.etag == lock.etag:
            raise RetireRefused(
                f"s3://{bucket}/ is the target s3://{run.plan.layout.target_bucket}/ under another name. "
                "Nothing was deleted."
            )


def _carry_out(run: Retiring, verification: Verification, held: Lease) -> Retirement:
    plan, options = run.plan, run.options
    resumed = run.journal.has(RETIRE_BEGUN)
    run.journal.event(
        RETIRE_BEGUN,
        target=plan.layout.target_bucket,
        cooling=options.cooling,
        remove_buckets=options.remove_buckets,
        accepted=sorted(run.accepted),
        buckets={name: {"objects": n, "bytes": size} for name, (n, size) in planned_by_bucket(plan).items()},
    )
    run.guard.note_log()
    entries = _old_entries(run)
    if options.remove_old_entries and entries:
        remove_old_entries(entries)
        run.journal.event(OLD_ENTRIES_REMOVED, entries=[str(entry) for entry in entries])
    with _errors_say_it_began():
        buckets = delete(plan, run.store, run.progress, held.check)
        if resumed:
            for bucket in buckets:
                bucket.gone, bucket.vanished = bucket.vanished.count, type(bucket.vanished)()
        if options.remove_buckets:
            remove_empty(plan, run.store, buckets, held.check)
    result = _result(run, verification, buckets, carried_out=True, entries=entries)
    left = _left(run, buckets)
    run.journal.event(
        RETIRED,
        ok=result.ok,
        added=left.added,
        changed=left.changed,
        buckets={bucket.name: bucket.summary() for bucket in buckets},
    )
    run.guard.note_log()
    return result


@contextmanager
def _errors_say_it_began() -> Iterator[None]:
    """Adds to an error that objects may be deleted already, and that the same command continues. A request without an
    answer may have deleted some, too."""
    try:
        yield
    except MigratorError as error:
        error.message += " The retirement has begun: objects in the old buckets may be deleted already."
        error.next_move = then_again(error, "it goes on with what is left")
        raise


def _left(run: Retiring, buckets: list[OldBucket]) -> SourceChanges:
    """The objects in the old buckets that ``migrate`` would treat as changes since planning."""
    there = {bucket.name for bucket in buckets if not bucket.missing and not bucket.removed}
    places = [(bucket, prefix) for bucket, prefix in source_places(run.plan.layout) if bucket in there]
    return find_source_changes(run.plan, run.store, run.progress, places)


def _say_what_becomes_of_buckets(run: Retiring, buckets: list[OldBucket]) -> None:
    """For a retirement that is only shown: which sources are known to be gone, and which buckets would stay."""
    if run.journal.has(RETIRE_BEGUN):
        for bucket in buckets:
            bucket.gone, bucket.vanished = bucket.vanished.count, type(bucket.vanished)()
    for bucket in buckets if run.options.remove_buckets else ():
        if bucket.missing:
            continue
        if bucket.stays:
            bucket.kept = "something stays in it"
        elif not any(bucket.counts.values()):
            bucket.kept = why_kept(run.plan.layout, run.store, bucket.name)


def _old_entries(run: Retiring) -> list[OldEntry]:
    return old_entries(run.catalogs, moved_metadata(run.plan, run.store))


def _result(
    run: Retiring,
    verification: Verification,
    buckets: list[OldBucket],
    *,
    carried_out: bool,
    entries: list[OldEntry] | None = None,
) -> Retirement:
    """``entries``: the old entries, before any was removed."""
    entries = _old_entries(run) if entries is None else entries
    return Retirement(
        str(run.plan.path),
        run.plan.layout.target_bucket,
        verification,
        carried_out,
        run.options.remove_buckets,
        buckets,
        run.accepted,
        run.options.remove_old_entries,
        [str(entry) for entry in entries],
        old_namespaces(run.plan, run.catalogs),
    )
