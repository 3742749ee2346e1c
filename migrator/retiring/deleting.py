"""Deletes what :mod:`migrator.retiring.old_objects` chose, and removes buckets that are empty then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migrator.errors import AccessDenied, NotFound, RetireRefused, StoreError, Unreachable
from migrator.layout import Layout, source_places
from migrator.planfile.file import PlanFile
from migrator.progress import OBJECTS, Progress
from migrator.progress.counts import RETRIES
from migrator.retiring.old_objects import Choice, OldObjects
from migrator.retiring.proof import planned_by_bucket
from migrator.retiring.results import OldBucket
from migrator.store import MOST_DELETIONS, Store, delete_bucket, delete_objects
from migrator.store.retries import is_temporary, jittered
from migrator.store.rights import refused
from migrator.store.server_errors import status_of

MOST_PASSES = 4
"""How often a bucket is listed at most. Some servers leave keys out of a listing while keys of the bucket are being
deleted."""

ATTEMPTS = 6
"""How often in a row a request that deletes may stay without an answer."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 20.0
"""Seconds: the longest pause after the first of them, and after any other."""

Check = Callable[[], None]
"""Raises an error if nothing may be deleted any more, because the lease of the target was lost."""


def prefixes_of(layout: Layout) -> dict[str, list[str]]:
    """Old bucket → the prefixes from which objects move. Only these are listed."""
    prefixes: dict[str, list[str]] = {}
    for bucket, prefix in source_places(layout):
        prefixes.setdefault(bucket, []).append(prefix)
    return prefixes


def look(plan: PlanFile, store: Store, progress: Progress) -> list[OldBucket]:
    """What would be deleted from each old bucket now, and what would stay."""
    objects = OldObjects(plan, store)
    buckets = []
    for name, prefixes in prefixes_of(plan.layout).items():
        bucket = _opened(store, name)
        with progress.stage(f"looking at {name}", unit=OBJECTS) as stage:
            for choices in [] if bucket.missing else objects.choices(bucket, prefixes, MOST_DELETIONS):
                _count(bucket, choices)
                stage.advance(len(choices), sum(choice.size for choice in choices))
        for place in objects.unseen(name):
            bucket.vanished.add(place)
        buckets.append(bucket)
    return buckets


def delete(plan: PlanFile, store: Store, progress: Progress, check: Check) -> list[OldBucket]:
    """Delete it. What the server refuses to delete is reported in the result. Raises StoreError if it does not answer,
    and what ``check`` raises, which is called before each request."""
    objects, planned = OldObjects(plan, store), planned_by_bucket(plan)
    buckets = []
    for name, prefixes in prefixes_of(plan.layout).items():
        bucket = _opened(store, name)
        count, size = planned.get(name, (0, 0))
        with progress.stage(f"deleting from {name}", objects=count, size=size, unit=OBJECTS) as stage:
            if not bucket.missing:
                _Deleting(plan, store, objects, bucket, check, stage).delete(prefixes)
        for place in objects.unseen(name):
            bucket.vanished.add(place)
        buckets.append(bucket)
    return buckets


class _Deleting:
    """Deletes from one old bucket.

    A request whose answer is lost is never repeated as it is: somebody may write to one of its keys meanwhile, and not
    every server honours an ETag as a condition. Instead the bucket is listed again after a pause, and what is left of
    it is decided anew.
    """

    def __init__(
        self, plan: PlanFile, store: Store, objects: OldObjects, bucket: OldBucket, check: Check, stage: Progress
    ) -> None:
        self._plan, self._store, self._objects, self._bucket = plan, store, objects, bucket
        self._check, self._stage = check, stage

    def delete(self, prefixes: Sequence[str]) -> None:
        """List and delete until nothing is left to delete. Raises StoreError after ATTEMPTS without any progress."""
        passes, failures = 0, 0
        while passes < MOST_PASSES:
            self._bucket.stays, self._bucket.not_deleted = {}, {}
            deleted, lost = self._pass(prefixes)
            failures = 0 if deleted else failures
            if lost is None:
                if not deleted:
                    break
                passes += 1
                continue
            failures += 1
            if failures >= ATTEMPTS:
                self._give_up(lost)
                break
            RETRIES.add()
            time.sleep(jittered(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE))
            deleted = self._note([choice for choice in lost.choices if self._is_gone(choice)])
            failures = 0 if deleted else failures

    def _pass(self, prefixes: Sequence[str]) -> tuple[int, _Lost | None]:
        """List the bucket and delete page by page, up to a request without an answer. Returns how many objects were
        deleted, and that request."""
        deleted = 0
        for choices in self._objects.choices(self._bucket, prefixes, MOST_DELETIONS):
            self._check()
            done = _delete_page(self._plan, self._store, self._bucket, choices)
            if isinstance(done, _Lost):
                return deleted, done
            deleted += self._note(done)
        return deleted, None

    def _note(self, done: Sequence[Choice]) -> int:
        """Count these as deleted; returns how many they are."""
        self._objects.taken(done)
        _count(self._bucket, done)
        self._stage.advance(len(done), sum(choice.size for choice in done))
        return len(done)

    def _is_gone(self, choice: Choice) -> bool:
        """True if exactly this object or version does not exist any more."""
        one = choice.deletion
        try:
            return self._store.head(self._bucket.name, one.key, one.version_id).etag != one.etag
        except NotFound:
            return True
        except StoreError:  # the next listing shows it
            return False

    def _give_up(self, lost: _Lost) -> None:
        """The answer was lost too often. Raises the error, unless the server answers and refuses only these."""
        if isinstance(lost.error, Unreachable):
            raise lost.error
        for choice in lost.choices:
            self._bucket.fail(_reason(lost.error), _place(self._bucket, choice))


@dataclass(frozen=True)
class _Lost:
    """A request whose answer was lost, or an error that may be temporary: some of ``choices`` may be deleted."""

    choices: Sequence[Choice]
    error: StoreError


def _opened(store: Store, name: str) -> OldBucket:
    """The bucket, before anything of it was listed. Raises StoreError if the server does not say whether it has
    versions."""
    bucket = OldBucket(name)
    if not store.bucket_exists(name):
        bucket.missing = True
        return bucket
    try:
        bucket.versioned = store.is_versioned(name)
    except StoreError as error:
        if not refused(error):  # a server without versioning does not know the question
            raise
    return bucket


def _count(bucket: OldBucket, choices: Sequence[Choice]) -> None:
    for choice in choices:
        bucket.counts[choice.kind] += 1
        bucket.bytes += choice.size


def _delete_page(plan: PlanFile, store: Store, bucket: OldBucket, choices: Sequence[Choice]) -> list[Choice] | _Lost:
    """Delete these, in one request; returns those that were deleted, or what is known of a request without an
    answer."""
    if not choices:
        return []
    check_old_bucket(plan, bucket.name)
    try:
        failed = delete_objects(store, bucket.name, [choice.deletion for choice in choices])
    except StoreError as error:  # of the whole request: some of them may be gone, which the next listing shows
        if isinstance(error, Unreachable) or is_temporary(status_of(error)):
            return _Lost(choices, error)
        for choice in choices:
            bucket.fail(_reason(error), _place(bucket, choice))
        return []
    reasons = {(one.deletion.key, one.deletion.version_id): one.reason for one in failed}
    done = []
    for choice in choices:
        reason = reasons.get((choice.deletion.key, choice.deletion.version_id))
        if reason is None:
            done.append(choice)
        else:
            bucket.fail(reason, _place(bucket, choice))
    return done


def _reason(error: StoreError) -> str:
    return error.message.partition(": ")[2] or error.message


def _place(bucket: OldBucket, choice: Choice) -> str:
    version = choice.deletion.version_id
    return f"s3://{bucket.name}/{choice.deletion.key}" + (f" (version {version})" if version else "")


def check_old_bucket(plan: PlanFile, bucket: str) -> None:
    """The last check before a request that deletes: never the target, and never a bucket that the layout does not name.
    Raises RetireRefused."""
    if bucket == plan.layout.target_bucket or bucket not in plan.layout.moved_buckets:
        raise RetireRefused(f"s3://{bucket} is no old bucket of {plan.path}. Nothing of it was deleted.")


# -- buckets -----------------------------------------------------------------------------------------------


def moves_as_a_whole(layout: Layout, bucket: str) -> bool:
    """True if a rule moves the whole bucket, and no rule leaves a part of it where it is."""
    rules = [rule for rule in layout.rules if rule.bucket == bucket]
    return any(not rule.prefix for rule in rules) and all(rule.target is not None for rule in rules)


def remove_empty(plan: PlanFile, store: Store, buckets: Sequence[OldBucket], check: Check) -> None:
    """Remove each bucket that is empty now and that the layout moves as a whole. The others stay, with the reason."""
    for bucket in buckets:
        if bucket.missing:
            continue
        bucket.kept = why_kept(plan.layout, store, bucket.name)
        if bucket.kept:
            continue
        check()
        check_old_bucket(plan, bucket.name)
        try:
            delete_bucket(store, bucket.name)
        except Unreachable:
            raise
        except StoreError as error:
            bucket.kept = error.message
            bucket.fail(error.message, f"s3://{bucket.name}/")
        else:
            bucket.removed = True


def why_kept(layout: Layout, store: Store, bucket: str) -> str:
    """Why this bucket must not be removed now; "" if it may: nothing at all is in it."""
    if not moves_as_a_whole(layout, bucket):
        return "the layout moves only a part of it"
    try:
        for stored in store.list(bucket):
            return f"it is not empty: s3://{bucket}/{stored.key}"
        try:
            for version in store.list_versions(bucket):
                return f"it holds older versions: s3://{bucket}/{version.key} (version {version.version_id})"
        except StoreError as error:
            if not refused(error):
                raise
        for upload, _ in store.uploads.list(bucket):
            return f"it holds an open multipart upload: s3://{bucket}/{upload.key}"
    except NotFound:
        return "it does not exist any more"
    except AccessDenied as error:
        return f"whether it is empty is not known: {error.message}"
    return ""
