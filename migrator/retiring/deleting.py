"""Deletes what :mod:`migrator.retiring.old_objects` chose, and removes buckets that are empty then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from migrator.errors import AccessDenied, NotFound, RetireRefused, StoreError, Unreachable
from migrator.layout import Layout, source_places
from migrator.planfile.file import PlanFile
from migrator.progress import OBJECTS, Progress
from migrator.retiring.old_objects import Choice, OldObjects
from migrator.retiring.proof import planned_by_bucket
from migrator.retiring.results import OldBucket
from migrator.store import MOST_DELETIONS, Store, delete_bucket, delete_objects
from migrator.store.rights import refused

MOST_PASSES = 4
"""How often a bucket is listed at most. Some servers leave keys out of a listing while keys of the bucket are being
deleted."""

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
            for _ in range(0 if bucket.missing else MOST_PASSES):
                bucket.stays, bucket.not_deleted = {}, {}
                deleted = 0
                for choices in objects.choices(bucket, prefixes, MOST_DELETIONS):
                    check()
                    done = _delete_page(plan, store, bucket, choices)
                    objects.taken(done)
                    _count(bucket, done)
                    deleted += len(done)
                    stage.advance(len(done), sum(choice.size for choice in done))
                if not deleted:
                    break
        for place in objects.unseen(name):
            bucket.vanished.add(place)
        buckets.append(bucket)
    return buckets


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


def _delete_page(plan: PlanFile, store: Store, bucket: OldBucket, choices: Sequence[Choice]) -> list[Choice]:
    """Delete these, in one request; returns those that were deleted."""
    if not choices:
        return []
    check_old_bucket(plan, bucket.name)
    try:
        failed = delete_objects(store, bucket.name, [choice.deletion for choice in choices])
    except Unreachable:
        raise
    except StoreError as error:  # of the whole request: some of them may be gone, which the next listing shows
        for choice in choices:
            bucket.fail(error.message.partition(": ")[2] or error.message, _place(bucket, choice))
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
