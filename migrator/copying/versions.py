"""Carrying older versions and delete markers over: key by key in parallel, the oldest of each key first.

Before anything is written, the target's versions are listed, and a key goes on after those that it has:
so a version is there once, in its place, however often the work was interrupted. Requests that write are
never repeated by themselves, for an answer may get lost; the key is listed again instead.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from migrator.concurrency.threads import Failed, each
from migrator.copying.copier import ETAG, Copied
from migrator.errors import AccessDenied, MigrationFailed, MigratorError, NotFound, Occupied, SourceChanged, StoreError
from migrator.inventory.versions import (
    OF_HINT,
    TargetVersion,
    TargetVersions,
    current_of,
    has_versions,
    match_history,
)
from migrator.planfile.file import PENDING_COPIES, PlanFile, PlannedObject, PlannedVersion
from migrator.planfile.journal import Journal
from migrator.progress import Progress
from migrator.store import Store, StoredObject

ATTEMPTS = 5
WAIT_SECONDS = 1.0

PENDING = "action = 'copy' AND id NOT IN (SELECT version_id FROM versions_done)"
_CURRENT = f"{PENDING_COPIES} AND role = ''"


@dataclass(frozen=True)
class _Key:
    history: Sequence[PlannedVersion]
    at_target: Sequence[TargetVersion]


class VersionCopier:
    """Copies the older versions of one plan on one store."""

    def __init__(
        self,
        plan: PlanFile,
        store: Store,
        progress: Progress,
        *,
        max_failures: int,
        only: Collection[tuple[str, str]] | None = None,
    ) -> None:
        """``only`` these (bucket, key) if it is given."""
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
        """Bring every key's history to the target, version hints' only if ``hints``; return what failed.

        Raises MigrationFailed if the target does not keep versions.
        """
        if not has_versions(self._plan):
            return []
        where = f"{PENDING} AND {'' if hints else 'NOT '}{OF_HINT}"
        count, size = self._plan.db.execute(f"SELECT count(*), total(size) FROM versions WHERE {where}").fetchone()
        if not count and (hints or not self._plan.db.execute(f"SELECT 1 FROM objects WHERE {_CURRENT}").fetchone()):
            return []
        self._prepare_target()
        with self._progress.stage("listing the target's versions") as stage:
            keys = (found.key for found in self._store.list(self._bucket))
            self._target.list_all(keys, stage)
        if not hints:
            self._recognize_current(journal)
        failures: list[MigratorError] = []
        with self._progress.stage("copying older versions", objects=count, size=int(size)) as stage:
            for outcome in each(self._copy_key, self._keys(where), workers=self._store.concurrency):
                if isinstance(outcome, Failed):
                    failures.append(outcome.error)
                    if len(failures) >= self._max_failures:
                        break
                    continue
                history, (etags, copied) = outcome.item.history, outcome.result
                journal.versions_done(etags)
                self.copied += copied
                self.copied_bytes += sum(version.size for version in history[len(history) - copied :])
                stage.advance(len(history), sum(version.size for version in history))
        journal.commit()
        return failures

    def _prepare_target(self) -> None:
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

    def _recognize_current(self, journal: Journal) -> None:
        """Journal the current versions that a killed run copied without saying so: copied again, they would be
        in the target's history twice. Only plans with older versions promise that much."""
        journal.copied(Copied(id_, size, etag, ETAG) for id_, size, etag in self._target.equal_objects(_CURRENT))
        pending = (
            "EXISTS (SELECT 1 FROM objects o WHERE o.bucket = versions.bucket AND o.key = versions.key"
            " AND o.action IN ('copy', 'overwrite') AND o.role = '' AND o.id NOT IN (SELECT object_id FROM done))"
        )
        for history in self._plan.histories(pending):
            current = current_of(self._plan, history)
            match = match_history(history, current, self._target.of(history[0].target), lambda *_: False)
            copy = match.current if match is not None else None
            if current is not None and copy is not None and copy.etag == current.etag:
                first = history[0]
                row = self._plan.db.execute(
                    "SELECT id FROM objects WHERE bucket = ? AND key = ?", (first.bucket, first.key)
                ).fetchone()
                journal.copied([Copied(row[0], copy.size, copy.etag, ETAG)])
        journal.commit()

    def look_again(self, journal: Journal, objects: Iterable[PlannedObject]) -> list[Copied]:
        """Which of these current versions are at the target by now; they are journalled."""
        wanted = list(objects)
        self._target.list_again({one.target or "" for one in wanted})
        self._recognize_current(journal)
        done = []
        for one in wanted:
            row = self._plan.lookup("SELECT size, etag FROM done WHERE object_id = ?", (one.id,))
            if row is not None:
                done.append(Copied(one.id, row[0], row[1], ETAG))
        return done

    # -- one key -------------------------------------------------------------------------------------

    def _copy_key(self, key: _Key) -> tuple[dict[int, str], int]:
        """ETag of each version at the target by its id in the plan, and how many were copied now."""
        versions: Sequence[TargetVersion] = key.at_target
        copied = 0
        for attempt in range(1, ATTEMPTS + 1):
            done, etags = self._done(key.history, versions)
            try:
                for version in key.history[done:]:
                    etags.append(self._copy_version(version))
                    copied += 1
                return {version.id: etag for version, etag in zip(key.history, etags, strict=True)}, copied
            except (SourceChanged, AccessDenied, NotFound):
                raise
            except StoreError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(WAIT_SECONDS * attempt)
            target = key.history[0].target
            versions = [
                TargetVersion(v.key, v.version_id, v.size, v.etag, v.marker)
                for v in self._store.versions_of(self._bucket, target)
            ]
        raise AssertionError

    def _done(self, history: Sequence[PlannedVersion], versions: Sequence[TargetVersion]) -> tuple[int, list[str]]:
        match = match_history(history, None, versions, self._same_bytes)
        if match is None:
            raise Occupied(
                f"s3://{self._bucket}/{history[0].target} is there since planning, without its older versions.",
                next_move='Run "migrator plan" again.',
            )
        return len(match.versions), [version.etag for version in match.versions]

    def _same_bytes(self, wanted: PlannedVersion, other: TargetVersion) -> bool:
        return self._store.same_content(
            (wanted.bucket, wanted.key, wanted.version_id), (self._bucket, other.key, other.version_id)
        )

    def _copy_version(self, version: PlannedVersion) -> str:
        if version.marker:
            self._store.delete_marker(self._bucket, version.target)
            return ""
        try:
            return self._copy_pinned(version, version.stored)
        except SourceChanged:
            # SeaweedFS 4.48 lists the version "null" of an object uploaded in parts with an ETag that is not its own,
            # and MinIO with encryption those of keys that end in a slash.
            if version.version_id != "null" and not version.key.endswith("/"):
                raise
            now = self._store.head(version.bucket, version.key, version.version_id)
            if now.size != version.size or abs(now.modified - version.modified) >= 1000:  # a HEAD has whole seconds
                raise
            return self._copy_pinned(version, now)

    def _copy_pinned(self, version: PlannedVersion, source: StoredObject) -> str:
        return self._store.copy(version.bucket, source, self._bucket, version.target, version_id=version.version_id)
