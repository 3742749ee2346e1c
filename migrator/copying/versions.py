"""Copies older versions and delete markers: key by key in parallel, the oldest version of each key first.

Before anything is written, the target's versions are listed. Versions that are there already are not copied again. So
each version is at the target once and in the right order, however often the work was interrupted. A request that writes
is never repeated without listing the versions of the key again, because only its answer may have been lost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import (
    PLAN_AGAIN,
    AccessDenied,
    MigrationFailed,
    MigratorError,
    NotFound,
    Occupied,
    SourceChanged,
    StoreError,
)
from migrator.inventory.versions import (
    OF_HINT,
    TargetVersion,
    TargetVersions,
    current_of,
    has_versions,
    match_history,
)
from migrator.planfile.copied import ETAG, Copied
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.planfile.queries import PENDING_PLAIN_COPIES, PENDING_VERSIONS
from migrator.planfile.rows import PlannedObject, PlannedVersion
from migrator.progress import Progress
from migrator.store import Store, StoredObject
from migrator.store.retries import retry

ATTEMPTS = 5
WAIT_SECONDS = 1.0
"""The delay before the second attempt; each further one is longer by this time. It is never shorter: a server may still
be carrying out a copy whose answer was lost, and the next listing must show it, or it would be copied twice."""


@dataclass(frozen=True)
class _Key:
    """One key: the versions to copy, and those that the target had when it was listed; both from the oldest on."""

    history: Sequence[PlannedVersion]
    at_target: Sequence[TargetVersion]


class VersionCopier:
    """Copies the older versions of a plan's objects. ``copied`` and ``copied_bytes`` count them."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        progress: Progress,
        *,
        max_failures: int,
        only: Collection[tuple[str, str]] | None = None,
    ) -> None:
        """``only``: copy the versions of these (bucket, key); None: of all. ``max_failures``: stop after this many."""
        self._plan = plan
        self._store = store
        self._progress = progress
        self._max_failures = max_failures
        self._only = only
        self._bucket = plan.layout.target_bucket
        self._target = TargetVersions(plan, store, self._bucket)
        self.copied = 0
        self.copied_bytes = 0

    def copy(self, journal: Journal, *, hints: bool = False) -> list[MigratorError]:
        """Copy the versions that the target lacks, and return what failed.

        ``hints``: copy those of version hints; otherwise all others. Raises MigrationFailed if the target does not keep
        versions.
        """
        if not has_versions(self._plan):
            return []
        where = f"{PENDING_VERSIONS} AND {'' if hints else 'NOT '}{OF_HINT}"
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM versions WHERE {where}").fetchone()
        if not count and (
            hints or not self._plan.db.execute(f"SELECT 1 FROM objects WHERE {PENDING_PLAIN_COPIES}").fetchone()
        ):
            return []
        self._prepare_target()
        with self._progress.stage("listing the target's versions", unit="versions") as stage:
            keys = (stored.key for stored in self._store.list(self._bucket))
            self._target.list_all(keys, stage)
        if not hints:
            self._journal_copied_objects(journal)
        with self._progress.stage("copying older versions", objects=count, size=int(size), unit="versions") as stage:
            failures = self._copy_keys(self._keys(where), journal, stage)
        journal.commit()
        return failures

    def _copy_keys(self, keys: Iterable[_Key], journal: Journal, stage: Progress) -> list[MigratorError]:
        """Copy the versions of these keys in parallel, until there are too many failures; return what failed."""
        failures: list[MigratorError] = []
        for outcome in run_in_threads(self._copy_key, keys, workers=self._store.concurrency):
            if isinstance(outcome, Failed):
                failures.append(outcome.error)
                stage.failed()
                if len(failures) >= self._max_failures:
                    break
                continue
            history, (etags, copied) = outcome.item.history, outcome.result
            journal.versions_done(etags)
            self.copied += copied
            self.copied_bytes += sum(version.size for version in history[len(history) - copied :])
            stage.advance(len(history), sum(version.size for version in history))
        return failures

    def _prepare_target(self) -> None:
        """Make the target bucket keep versions if the plan found no such bucket; raise MigrationFailed if it had to."""
        if not self._store.bucket_exists(self._bucket):
            self._store.create_bucket(self._bucket)
        if self._store.keeps_versions(self._bucket):
            return
        if not json.loads(self._plan.header()["target_missing"]):
            raise MigrationFailed(
                f"s3://{self._bucket}/ does not keep versions, and older versions are to be copied.",
                next_move="Enable versioning on it and run the same command again.",
            )
        self._store.keep_versions(self._bucket)

    def _keys(self, where: str) -> Iterator[_Key]:
        for history in self._plan.histories(where):
            if self._only is None or (history[0].bucket, history[0].key) in self._only:
                yield _Key(history, self._target.of(history[0].target))

    def _journal_copied_objects(self, journal: Journal) -> None:
        """Journal the current versions that a killed run copied without journalling them. If they were copied again,
        the target would have two versions of each. Plans without older versions do not need this."""
        journal.copied(
            Copied(id_, size, etag, ETAG) for id_, size, etag in self._target.equal_objects(PENDING_PLAIN_COPIES)
        )
        pending = (
            "EXISTS (SELECT 1 FROM objects o WHERE o.bucket = versions.bucket AND o.key = versions.key"
            f" AND {PENDING_PLAIN_COPIES})"  # the columns without a table are those of objects, the innermost table
        )
        for history in self._plan.histories(pending):
            copy = self._copy_after_history(history)
            if copy is not None:
                journal.copied([copy])
        journal.commit()

    def _copy_after_history(self, history: Sequence[PlannedVersion]) -> Copied | None:
        """The copy of the current version, if the target has it right after all older versions."""
        current = current_of(self._plan, history)
        match = match_history(history, current, self._target.of(history[0].target), lambda *_: False)
        copy = match.current if match is not None else None
        if current is None or copy is None or copy.etag != current.etag:
            return None
        (object_id,) = self._plan.db.execute(
            "SELECT id FROM objects WHERE bucket = ? AND key = ?", (history[0].bucket, history[0].key)
        ).fetchone()
        return Copied(object_id, copy.size, copy.etag, ETAG)

    def look_again(self, journal: Journal, objects: Iterable[PlannedObject]) -> list[Copied]:
        """List the target's versions of these objects again. Journal and return the copies that are there."""
        wanted = list(objects)
        self._target.list_again({one.target or "" for one in wanted})
        self._journal_copied_objects(journal)
        done = []
        for one in wanted:
            row = self._plan.lookup("SELECT size, etag FROM done WHERE object_id = ?", (one.id,))
            if row is not None:
                done.append(Copied(one.id, row[0], row[1], ETAG))
        return done

    # -- one key -------------------------------------------------------------------------------------

    def _copy_key(self, key: _Key) -> tuple[dict[int, str], int]:
        """Copy the missing versions of one key. Returns the ETag of each version at the target by its id in the plan,
        and how many versions were copied."""
        listed: Sequence[TargetVersion] | None = key.at_target
        copied = 0

        def attempt() -> list[str]:
            nonlocal listed, copied
            versions = self._list_key(key.history[0].target) if listed is None else listed
            done, etags = self._done(key.history, versions)
            listed = None  # list again before another attempt: the answer to a copy may have been lost
            for version in key.history[done:]:
                etags.append(self._copy_version(version))
                copied += 1
            return etags

        delays = (WAIT_SECONDS * number for number in range(1, ATTEMPTS))
        etags = retry(attempt, delays, _is_retried)
        return {version.id: etag for version, etag in zip(key.history, etags, strict=True)}, copied

    def _list_key(self, target: str) -> list[TargetVersion]:
        """The target's versions of a key, the oldest first."""
        return [
            TargetVersion(version.key, version.version_id, version.size, version.etag, version.marker)
            for version in self._store.versions_of(self._bucket, target)
        ]

    def _done(self, history: Sequence[PlannedVersion], versions: Sequence[TargetVersion]) -> tuple[int, list[str]]:
        """How many versions of a history are at the target, and the ETags of these. Raises Occupied if something else
        is there."""
        match = match_history(history, None, versions, self._same_bytes)
        if match is None:
            raise Occupied(
                f"s3://{self._bucket}/{history[0].target} was written since planning, without its older versions.",
                next_move=PLAN_AGAIN,
            )
        return len(match.versions), [version.etag for version in match.versions]

    def _same_bytes(self, wanted: PlannedVersion, other: TargetVersion) -> bool:
        return self._store.same_content(
            (wanted.bucket, wanted.key, wanted.version_id), (self._bucket, other.key, other.version_id)
        )

    def _copy_version(self, version: PlannedVersion) -> str:
        """Copy one version and return its ETag; "" for a delete marker."""
        if version.marker:
            self._store.delete_marker(self._bucket, version.target)
            return ""
        try:
            return self._copy_pinned(version, version.stored)
        except SourceChanged:
            # SeaweedFS 4.48 lists the version "null" of an object uploaded in parts with a wrong ETag,
            # and MinIO with encryption those of keys that end in a slash.
            if version.version_id != "null" and not version.key.endswith("/"):
                raise
            now = self._store.head(version.bucket, version.key, version.version_id)
            if now.size != version.size or abs(now.modified - version.modified) >= 1000:  # a HEAD has whole seconds
                raise
            return self._copy_pinned(version, now)

    def _copy_pinned(self, version: PlannedVersion, source: StoredObject) -> str:
        """Copy one version if it still has the ETag of ``source``. Raises SourceChanged."""
        return self._store.copy(version.bucket, source, self._bucket, version.target, version_id=version.version_id)


def _is_retried(error: Exception) -> bool:
    """True for an error after which another attempt may succeed."""
    final = (SourceChanged, AccessDenied, NotFound, Occupied)
    return isinstance(error, StoreError) and not isinstance(error, final)
