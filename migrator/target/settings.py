"""The settings of the target bucket: read, translated, set, and given back.

As with the fence, the journal gets each document before it is set, so that after a crash a rollback knows what to give
back. A document that somebody else has changed meanwhile is not overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from migrator.errors import PlanBlocked, PlanStale, StoreError, first_lines
from migrator.findings import BLOCK
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import CUTOVER_DONE, SETTING_SET, SETTING_UNDONE, Journal
from migrator.settings.compare import same
from migrator.settings.kinds import NOTIFICATIONS, VERSIONING, Decisions, Lake
from migrator.settings.translate import Change, Translation, translate
from migrator.store import Store
from migrator.store.setting_documents import Documents, read_all, read_document, server_name, write_document

_HIGHEST = "\U0010ffff"
SET, WAITS, REFUSED, SHOWN = "set", "waits", "refused", "shown"


@dataclass
class AppliedSettings:
    """What became of a translation. ``states``: setting → "set", "waits" or "refused"; ``reasons``: setting → why it
    was refused."""

    translation: Translation
    states: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """False if a person must decide something, or if the server refused a setting."""
        return self.translation.ok and set(self.states.values()) <= {SET}


@dataclass
class UndoneSettings:
    """What became of the settings that this plan had set: a line for each."""

    lines: list[str] = field(default_factory=list)


def translated_settings(plan: PlanFile, store: Store, decisions: Decisions) -> Translation:
    """Read the settings of all buckets of a plan and translate them; changes nothing."""
    layout, target = plan.layout, plan.layout.target_bucket
    missing = not store.bucket_exists(target)
    old = [bucket for bucket in layout.moved_buckets if store.bucket_exists(bucket)]
    read = read_all(store, [*old, *([] if missing else [target])])
    there = read.get(target, Documents())
    lake = Lake(
        layout,
        {bucket: read[bucket].found for bucket in old},
        there.found,
        {bucket: documents.unread for bucket, documents in read.items() if documents.unread},
        tables=_tables(plan),
        unused=_unused(plan),
        minio=(there.server or server_name(store, target)).lower().startswith("minio"),
        missing=missing,
        locks=store.ends[1].locks,
        elsewhere=store.ends[0] is not store.ends[1],
        gone=frozenset(layout.moved_buckets) - {*old},
        decisions=decisions,
    )
    return translate(lake)


def lake_without_settings(plan: PlanFile, decisions: Decisions) -> Lake:
    """The lake as the plan describes it, without a request for a setting."""
    return Lake(plan.layout, {}, {}, tables=_tables(plan), unused=_unused(plan), decisions=decisions)


def _tables(plan: PlanFile) -> list[str]:
    """The folders of the plan's tables at the target."""
    places = [Location.parse(table.new_location or "") for table in plan.tables()]
    found = {at.key.strip("/") + "/" for at in places if at is not None and at.bucket == plan.layout.target_bucket}
    return sorted(found - {"/"})


def _unused(plan: PlanFile) -> frozenset[tuple[str, str]]:
    """(bucket, prefix) of the rules below whose places there is no object."""
    found = set()
    for rule in plan.layout.rules:
        first = f"{rule.prefix}/" if rule.prefix else ""
        query = "SELECT 1 FROM objects WHERE bucket = ? AND key >= ? AND key < ? LIMIT 1"
        if plan.lookup(query, (rule.bucket, first, first + _HIGHEST)) is None:
            found.add((rule.bucket, rule.prefix))
    return frozenset(found)


def set_settings(store: Store, journal: Journal, translation: Translation) -> AppliedSettings:
    """Set the documents of a translation, each only if the present one is as it was when it was read, and read each
    back. Notifications are set after the cutover, so that copies send no events.

    Raises PlanBlocked while something must be decided, PlanStale if a document was changed meanwhile.
    A setting that the server refuses, or does not keep, is as before; the others are set.
    """
    check_decided(translation)
    return set_documents(store, translation, journal.event, wait=not journal.has(CUTOVER_DONE))


def check_decided(translation: Translation) -> None:
    """Raises PlanBlocked while something must be decided."""
    if translation.blocked:
        blocks = [f"{one.setting}: {one.reason}" for one in translation.not_carried if one.severity == BLOCK]
        raise PlanBlocked(
            f"Nothing was set, because this must be decided first:\n{first_lines(blocks)}\n",
            next_move='"migrator settings PLAN" shows the options.',
        )


def set_documents(
    store: Store, translation: Translation, note: Callable[..., None] = lambda *_, **__: None, *, wait: bool = False
) -> AppliedSettings:
    """Set the documents of a translation one by one. ``note``: gets the events of the journal; ``wait``: notifications
    are left for later. Raises PlanStale."""
    result = AppliedSettings(translation)
    for change in translation.changes:
        if change.setting == NOTIFICATIONS and wait:
            result.states[change.setting] = WAITS
            continue
        try:
            _set(store, note, translation.target, change)
        except StoreError as error:
            result.states[change.setting], result.reasons[change.setting] = REFUSED, error.message
        else:
            result.states[change.setting] = SET
    return result


def _set(store: Store, note: Callable[..., None], bucket: str, change: Change) -> None:
    """Set one document. Raises StoreError if the server refuses it, and nothing has changed."""
    setting = change.setting
    if not same(setting, read_document(store, bucket, setting), change.before):
        raise PlanStale(
            f"The {setting} of s3://{bucket}/ was changed since it was shown. It was left as it is.",
            next_move="Run the same command again.",
        )
    note(SETTING_SET, bucket=bucket, setting=setting, before=change.before, after=change.after)
    try:
        write_document(store, bucket, setting, change.after)
    except StoreError:
        now = read_document(store, bucket, setting)
        if same(setting, now, change.after):  # the setting was written, and only the answer was lost
            return
        if same(setting, now, change.before):
            note(SETTING_UNDONE, bucket=bucket, setting=setting, how="refused by the server")
        raise
    if not same(setting, read_document(store, bucket, setting), change.after):
        write_document(store, bucket, setting, change.before)
        note(SETTING_UNDONE, bucket=bucket, setting=setting, how="not kept by the server")
        raise StoreError(f"it does not keep the {setting} that it was given, and has the old one again.")


def settings_to_undo(journal: Journal) -> list[dict[str, Any]]:
    """The settings that this plan has set, or was about to set, and that have not been undone since, the oldest
    first."""
    found: list[dict[str, Any]] = []
    for event in journal.events():
        if event["event"] == SETTING_SET:
            found.append(event)
        elif event["event"] == SETTING_UNDONE:
            last = next(one for one in reversed(found) if one["setting"] == event["setting"])
            found.remove(last)
    return found


def undo_settings(store: Store, journal: Journal) -> UndoneSettings:
    """Give the target its old settings back, the latest first. What somebody else has changed since stays as it is. May
    be called again. Raises StoreError if the server refuses."""
    result, kept = UndoneSettings(), set[str]()
    for event in reversed(settings_to_undo(journal)):
        bucket, setting, before = event["bucket"], event["setting"], event["before"]
        there = setting not in kept and store.bucket_exists(bucket)
        now = read_document(store, bucket, setting) if there else None
        how = "changed by others" if setting in kept else "given back"
        if there and same(setting, now, event["after"]) and not same(setting, now, before):
            write_document(store, bucket, setting, before)
            result.lines.append(_line(bucket, setting, before))
        elif there and not same(setting, now, before):  # else it was not set, or was given back just before a crash
            kept.add(setting)
            how = "changed by others"
            result.lines.append(
                f"The {setting} of s3://{bucket}/ was changed by somebody else, and was left as it is: check it."
            )
        journal.event(SETTING_UNDONE, bucket=bucket, setting=setting, how=how)
    return result


def _line(bucket: str, setting: str, before: Any) -> str:
    if setting == VERSIONING and before is None:
        return f"Versioning of s3://{bucket}/ is suspended: versioning cannot be removed from a bucket."
    return f"s3://{bucket}/ has its old {setting} again."
