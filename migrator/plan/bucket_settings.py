"""Finds the settings of the old buckets that the target lacks, and the target's settings that would harm the copies."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import Any

from migrator.findings import INFO, WARN, Finding
from migrator.inventory.bucket_settings import encryption_of, endings, strength_of, words_for
from migrator.layout import Layout
from migrator.plan.encryption import TargetEncryption, default_algorithm
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES
from migrator.settings.kinds import CORS, ENCRYPTION, LIFECYCLE, LOCK, OWNERSHIP, PUBLIC, TAGS
from migrator.store import Store
from migrator.store.bucket_settings import BucketSettings, read_settings
from migrator.store.endpoints import is_of_aws

_SAME_EVERYWHERE = (PUBLIC, OWNERSHIP, ENCRYPTION, CORS, TAGS, LOCK)
"""Settings without a path in the bucket: if the target has an equal one, nothing is lost."""

_NEW_ON_AWS: dict[str, dict[str, Any]] = {
    PUBLIC: {
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        }
    },
    ENCRYPTION: {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    },
}
"""The settings that AWS gives a new bucket."""


class AskedSettings:
    """Reads the settings of the old buckets and of the target, if there is one, in a thread, until :meth:`result` is
    called. If planning fails or is interrupted, the thread is not waited for."""

    def __init__(self, store: Store, layout: Layout, *, target_exists: bool) -> None:
        self._store = store
        self._buckets = [*layout.moved_buckets, *([layout.target_bucket] if target_exists else [])]
        self._read: dict[str, BucketSettings] = {}
        self._error: BaseException | None = None
        self._thread = Thread(target=self._ask, name="migrator-settings", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._read = read_settings(self._store, self._buckets)
        except BaseException as error:
            self._error = error

    def result(self) -> dict[str, BucketSettings]:
        """Wait for the settings of all buckets, by name. Raises the error that stopped reading them."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._read


def find_settings(plan: PlanFile, store: Store, layout: Layout, read: Mapping[str, BucketSettings]) -> None:
    """Add a finding for each old bucket whose settings the target lacks, and for settings of the target that would
    change or delete the copies. ``read``: the result of :class:`AskedSettings`."""
    target = settings_of_target(store, layout, read)
    encryption = TargetEncryption(target, exists=layout.target_bucket in read)
    for bucket in layout.moved_buckets:
        _name_settings(plan, read[bucket], target)
        if encryption.is_weaker_than(default_algorithm(read[bucket])):
            kind = words_for(ENCRYPTION, read[bucket].found[ENCRYPTION])
            plan.add_finding(encryption.finding(bucket, f"encrypts its objects by default ({kind})"))
    if LIFECYCLE in target.found:
        _find_endings(plan, layout, target)
    for settings in read.values():
        _name_unread(plan, settings, of_target=settings is target)


def settings_of_target(store: Store, layout: Layout, read: Mapping[str, BucketSettings]) -> BucketSettings:
    """The settings of the target bucket, or those that it will have when it is created. ``read``: the result of
    :class:`AskedSettings`."""
    if layout.target_bucket in read:
        return read[layout.target_bucket]
    on_aws = is_of_aws(store.ends[1].endpoint_url)
    return BucketSettings(layout.target_bucket, found=dict(_NEW_ON_AWS) if on_aws else {})


def _name_settings(plan: PlanFile, settings: BucketSettings, target: BucketSettings) -> None:
    named = []
    for name, document in settings.found.items():
        if name in _SAME_EVERYWHERE and _essence(name, settings) == _essence(name, target):
            continue
        if name == ENCRYPTION and _strength(settings) < _strength(target):
            continue
        if words := words_for(name, document):
            named.append(f"{name}: {words}")
    if named:
        message = f"has settings that are not carried over: {'; '.join(named)}"
        move = (
            '"migrator settings PLAN" translates them for the target, and says what cannot be carried over. '
            "Quotas are not read."
        )
        plan.add_finding(Finding.of("bucket-settings", f"s3://{settings.bucket}/", message, move))


def _essence(name: str, settings: BucketSettings) -> object:
    """The part of a setting that is compared."""
    document = settings.found.get(name)
    return encryption_of(document) if name == ENCRYPTION else document


def _strength(settings: BucketSettings) -> int:
    return strength_of(default_algorithm(settings))


def _find_endings(plan: PlanFile, layout: Layout, target: BucketSettings) -> None:
    for ending in endings(target.found[LIFECYCLE]):
        count, example = plan.db.execute(
            f"SELECT count(*), min(target) FROM objects WHERE {MOVES} AND target >= ? AND target < ?",
            (ending.prefix, f"{ending.prefix}\U0010ffff"),
        ).fetchone()
        if count:
            which = f"{'some of ' if ending.some else ''}{count:,} {'copy' if count == 1 else 'copies'}"
            below = f" below {ending.prefix!r}" if ending.prefix else ""
            message = f"has a lifecycle rule that {ending.what}{below}, which applies to {which}, such as {example!r}"
            move = "Change that rule before anything is copied, so that it leaves out the prefixes of [layout]."
            plan.add_finding(Finding.of("target-expires", f"s3://{target.bucket}/{ending.prefix}", message, move))


def _name_unread(plan: PlanFile, settings: BucketSettings, *, of_target: bool) -> None:
    """Add one finding for all settings of a bucket that could not be read."""
    if not settings.denied and not settings.failed:
        return
    parts = [f"{name} ({action} is not allowed)" for name, action in settings.denied.items()]
    parts += [f"{name} ({why})" for name, why in settings.failed.items()]
    unread = {*settings.denied, *settings.failed}
    matters = of_target and unread & {LIFECYCLE, ENCRYPTION}
    message = f"these settings could not be read: {', '.join(parts)}"
    move = 'Check them yourself, or grant these actions ("migrator policy" prints them) and plan again.'
    severity = WARN if matters else INFO
    plan.add_finding(Finding.of("settings-unread", f"s3://{settings.bucket}/", message, move, severity=severity))
