"""Finds what a copy of an object would lose: archives, own keys, encryption, locks, access control lists.

Each archived object gets a HEAD request, since one that is not restored blocks the plan. Of the other objects, a sample
of each bucket is read, and its access control lists only if the bucket can have them. A finding says if it is about a
sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import AccessDenied, StoreError
from migrator.findings import EXAMPLES, WARN, Finding
from migrator.inventory import advice
from migrator.layout import Layout
from migrator.plan.bucket_settings import settings_of_target
from migrator.plan.encryption import TargetEncryption, default_algorithm
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import TO_WRITE, VERSIONS_TO_COPY
from migrator.progress import Progress
from migrator.settings.kinds import LOCK, OWNERSHIP
from migrator.store import Store
from migrator.store.bucket_settings import BucketSettings
from migrator.store.look import ARCHIVES, HeadResult, Look
from migrator.store.server_errors import place_of

SAMPLE = 50
"""How many objects of a bucket are read."""
WORKERS = 16

OWN_KEY, LOCKS, ACLS = "customer-key", "object-lock", "object-acls"

_ARCHIVED = f"storage_class IN {ARCHIVES}"


@dataclass(frozen=True)
class Sample:
    """Some objects of an old bucket: key → the kinds of its attributes (see :mod:`migrator.store.kept`). ``whole``:
    these are all objects of the bucket; ``asked``: how many they are, as findings say it."""

    kinds: dict[str, frozenset[str]]
    whole: bool
    asked: str


@dataclass
class Needs:
    """What copying must know about the objects. ``left_out``: storage classes that copies do not get. ``asked``:
    buckets in which each copy needs a HEAD request for the source before it. ``samples``: for findings of planning, by
    bucket."""

    left_out: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    locks: bool = False
    """Retention and legal hold are copied."""
    samples: dict[str, Sample] = field(default_factory=dict)


def find_attributes(
    plan: PlanFile,
    store: Store,
    layout: Layout,
    read: Mapping[str, BucketSettings],
    progress: Progress,
    *,
    object_lock: bool,
) -> Needs:
    """Add findings for what the copies of objects would lose, and return what copying must know.

    ``read``: the settings of the buckets, without the target if there is none yet. ``object_lock``: retention and legal
    hold are copied; a target that does not exist yet is then created with object lock.
    """
    needs = Needs()
    target = read.get(layout.target_bucket)
    with progress.stage("looking at objects' attributes", unit=""):
        if object_lock and target is not None:
            _note_unread(plan, target, LOCK)
        held = object_lock and (target is None or _can_lock(target))
        _find_archived(plan, store, layout, needs)
        encryption = TargetEncryption(settings_of_target(store, layout, read), exists=target is not None)
        for bucket in layout.moved_buckets:
            try:
                look = Look(store, bucket)
                sample = _BucketSample(plan, layout, read[bucket], look, carry=object_lock, held=held)
                sample.find(needs, encryption)
            except StoreError as error:
                message = f"locks and access control lists could not be read: {error.message}"
                plan.add_finding(Finding.of("unchecked-bucket", f"s3://{bucket}/", message, error.next_move))
    return needs


def _can_lock(settings: BucketSettings) -> bool:
    """True if objects of the bucket can be under retention or legal hold."""
    found = settings.found.get(LOCK, {}).get("ObjectLockConfiguration", {})
    return bool(found.get("ObjectLockEnabled") == "Enabled")


def _can_have_acls(settings: BucketSettings) -> bool:
    """False if the bucket's owner owns all objects, so that none has an access control list."""
    rules = settings.found.get(OWNERSHIP, {}).get("OwnershipControls", {}).get("Rules") or [{}]
    return bool(rules[0].get("ObjectOwnership") != "BucketOwnerEnforced")


def _note_unread(plan: PlanFile, settings: BucketSettings, *names: str) -> bool:
    """Report which of these settings could not be read. True if there are any."""
    unread = [name for name in names if name in settings.denied or name in settings.failed]
    if unread:
        why = "; ".join(settings.failed.get(name) or f"{settings.denied[name]} is not allowed" for name in unread)
        message = f"could not be asked for {' and '.join(unread)}: {why.rstrip('.')}"
        move = 'Grant it ("migrator policy" prints all that is needed) and plan again.'
        plan.add_finding(Finding.of("unchecked-bucket", f"s3://{settings.bucket}/", message, move))
    return bool(unread)


# -- archives ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Archived:
    table: str
    id: int
    bucket: str
    key: str
    version_id: str | None
    storage_class: str

    @property
    def place(self) -> str:
        """The object as a URI, with its version id."""
        return place_of(self.bucket, self.key, self.version_id or None)


def _find_archived(plan: PlanFile, store: Store, layout: Layout, needs: Needs) -> None:
    """Restored objects are copied, in the default class: an archived copy could not be read. The others block."""
    looks = {bucket: Look(store, bucket) for bucket in layout.moved_buckets}
    total = _count(plan)
    restored: list[_Archived] = []
    blocked = 0
    for outcome in run_in_threads(
        lambda one: looks[one.bucket].head(one.key, one.version_id), _archived(plan), workers=WORKERS
    ):
        one = outcome.item
        seen = None if isinstance(outcome, Failed) else outcome.result
        if seen is not None and seen.restored:
            restored.append(one)
            continue
        blocked += 1
        if blocked == EXAMPLES:  # enough requests: the rest is only counted
            _add_archived(plan, layout, one, seen, count=total - len(restored) - EXAMPLES + 1)
            break
        _add_archived(plan, layout, one, seen, count=1)
    for one in restored:
        plan.db.execute(f"UPDATE {one.table} SET storage_class = 'STANDARD' WHERE id = ?", (one.id,))
    if restored:
        needs.left_out += ARCHIVES
        message = "was restored from an archive, and its copy gets the default storage class"
        move = "To archive it again, give the target a lifecycle rule."
        plan.add_finding(Finding.of("restored-object", restored[0].place, message, move, count=len(restored)))


_ARCHIVED_ALL = (
    f"SELECT 'objects', id, bucket, key, NULL, storage_class FROM objects WHERE {_ARCHIVED} AND {TO_WRITE}"
    " UNION ALL SELECT 'versions', id, bucket, key, version_id, storage_class FROM versions"
    f" WHERE {_ARCHIVED} AND {VERSIONS_TO_COPY}"
)


def _archived(plan: PlanFile) -> Iterator[_Archived]:
    for row in plan.db.execute(_ARCHIVED_ALL):
        yield _Archived(*row)


def _count(plan: PlanFile) -> int:
    return int(plan.db.execute(f"SELECT count(*) FROM ({_ARCHIVED_ALL})").fetchone()[0])


def _add_archived(plan: PlanFile, layout: Layout, one: _Archived, seen: HeadResult | None, *, count: int) -> None:
    doing = seen is not None and seen.restoring
    message = f"is in {one.storage_class} and {'is still being restored' if doing else 'was not restored'}"
    first = "Wait for it" if doing else "Restore it (aws s3api restore-object)"
    move = f"{first} and plan again, or leave it where it is: {_leave(layout, one.bucket, one.key)}."
    plan.add_finding(Finding.of("archived-object", one.place, message, move, count=count))


def _leave(layout: Layout, bucket: str, key: str) -> str:
    """The rule that leaves the object's folder where it is."""
    return advice.leave_folder(layout, bucket, key.rpartition("/")[0])


# -- a sample of each bucket -------------------------------------------------------------------------------


class _BucketSample:
    """A sample of the objects of one old bucket."""

    def __init__(
        self, plan: PlanFile, layout: Layout, settings: BucketSettings, look: Look, *, carry: bool, held: bool
    ) -> None:
        """``carry``: locks are copied. ``held``: the target can have locks."""
        self._plan, self._layout, self._settings, self._look = plan, layout, settings, look
        self._bucket = settings.bucket
        self._carry, self._held = carry, held
        self._place = f"s3://{self._bucket}/"

    def find(self, needs: Needs, encryption: TargetEncryption) -> None:
        """Read the sample and add findings. What copying must know is added to ``needs``."""
        keys, count = self._sample()
        if not keys:
            return
        seen = self._heads(keys)
        kinds = {key: one.kinds for key, one in seen.items()}
        needs.samples[self._bucket] = Sample(kinds, len(seen) == count, _asked(len(seen), count))
        self._find_own_keys(seen)
        self._find_encrypted(seen, count, encryption)
        if any(one.not_copied for one in seen.values()):
            needs.asked.append(self._bucket)
        unread = _note_unread(self._plan, self._settings, LOCK, OWNERSHIP)
        if _can_lock(self._settings):
            self._find_locks(seen, count, needs)
        if not unread and _can_have_acls(self._settings):
            self._find_acls([key for key in keys if key in seen and not seen[key].own_key], count)

    def _sample(self) -> tuple[list[str], int]:
        """Some keys, evenly spread over the bucket's listing, and how many keys there are."""
        where = f"bucket = ? AND {TO_WRITE} AND NOT {_ARCHIVED} AND key NOT LIKE '%/'"
        (count,) = self._plan.db.execute(f"SELECT count(*) FROM objects WHERE {where}", (self._bucket,)).fetchone()
        query = f"SELECT key FROM objects WHERE {where} AND id % ? = 0 LIMIT ?"
        step = max(1, count // SAMPLE)
        return [row[0] for row in self._plan.db.execute(query, (self._bucket, step, SAMPLE))], count

    def _heads(self, keys: Sequence[str]) -> dict[str, HeadResult]:
        """The results of HEAD requests for these objects. Objects that may not be read are left out: the preflight
        reports them."""
        seen: dict[str, HeadResult] = {}
        for outcome in run_in_threads(self._look.head, keys, workers=WORKERS):
            if isinstance(outcome, Failed):
                if not isinstance(outcome.error, AccessDenied):
                    raise outcome.error
            elif outcome.result is not None:
                seen[outcome.item] = outcome.result
        return seen

    def _find_own_keys(self, seen: dict[str, HeadResult]) -> None:
        found = [key for key, one in seen.items() if one.own_key]
        rules = {key: _leave(self._layout, self._bucket, key) for key in found}
        first = {rule: key for key, rule in reversed(rules.items())}
        for rule, key in list(first.items())[:EXAMPLES]:
            message = (
                "is encrypted with a key that its owner sends along (SSE-C), so it cannot be copied without that key"
            )
            move = f"Copy it with a tool that has the key, and leave it out of this migration: {rule}."
            count = sum(other == rule for other in rules.values())
            self._plan.add_finding(Finding.of(OWN_KEY, f"{self._place}{key}", message, move, count=count))

    def _find_encrypted(self, seen: dict[str, HeadResult], count: int, target: TargetEncryption) -> None:
        if target.is_weaker_than(default_algorithm(self._settings)):
            return  # said of the whole bucket
        found = [key for key, one in seen.items() if target.is_weaker_than(one.encryption)]
        if found:
            kinds = ", ".join(sorted({seen[key].encryption for key in found}))
            what = f"{len(found)} of {_asked(len(seen), count)} are encrypted ({kinds}), such as {found[0]!r}"
            self._plan.add_finding(target.finding(self._bucket, what, count=len(found)))

    def _find_locks(self, seen: dict[str, HeadResult], count: int, needs: Needs) -> None:
        if self._carry and self._held:
            needs.asked += [self._bucket] if self._bucket not in needs.asked else []
            needs.locks = True
            self._may_read_locks(next(iter(seen), None))
            return
        locked = sum(one.locked for one in seen.values())
        if not locked and len(seen) == count:
            return
        if self._carry:
            why, first = "the target bucket was made without object lock", "Choose a target bucket with object lock"
        else:
            why, first = "without --object-lock they are not copied", "Copy them, too, with --object-lock"
        message = f"retention and legal hold would be lost: {why}; {locked} of {_asked(len(seen), count)} have one"
        move = f'{first}, or copy without them: [plan] accept = ["{LOCKS}"].'
        self._plan.add_finding(Finding.of(LOCKS, self._place, message, move, count=max(1, locked)))

    def _may_read_locks(self, key: str | None) -> None:
        """Adds a finding if these permissions are missing: without them, the server does not show that an object is
        locked."""
        try:
            if key is not None:
                self._look.may_read_locks(key)
        except AccessDenied as error:
            message = f"s3:GetObjectRetention or s3:GetObjectLegalHold is missing: {error.message}"
            move = 'Grant both ("migrator policy" prints all that is needed), or leave out --object-lock.'
            self._plan.add_finding(Finding.of("missing-permission", f"{self._place}{key}", message, move))

    def _find_acls(self, keys: Sequence[str], count: int) -> None:
        granted: dict[str, list[str]] = {}
        for outcome in run_in_threads(self._look.grants, keys, workers=WORKERS):
            if isinstance(outcome, Failed):
                raise outcome.error
            if outcome.result is None:
                return  # a server without lists
            if outcome.result:
                granted[outcome.item] = outcome.result
        move = f'Grant it at the target by a bucket policy, and copy without them: [plan] accept = ["{ACLS}"].'
        asked = _asked(len(keys), count)
        if granted:
            key, names = next(iter(granted.items()))
            message = (
                f"access control lists (ACLs) are not copied; {len(granted)} of {asked} grant access to others "
                f"than the owner, such as {key!r} to {', '.join(names)}"
            )
            self._plan.add_finding(Finding.of(ACLS, self._place, message, move, count=len(granted)))
        elif len(keys) < count:
            message = (
                f"access control lists (ACLs) are not copied, and objects in this bucket can have them; none of "
                f"{asked} has one"
            )
            self._plan.add_finding(Finding.of(ACLS, self._place, message, severity=WARN))


def _asked(some: int, count: int) -> str:
    return f"its {count:,} objects" if some == count else f"a sample of {some:,} of its {count:,} objects"
