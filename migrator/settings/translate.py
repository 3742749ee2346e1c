"""All settings of the target bucket, translated from those of the old buckets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.errors import redacted
from migrator.findings import BLOCK, INFO
from migrator.settings.compare import same
from migrator.settings.kinds import (
    CORS,
    ENCRYPTION,
    LIFECYCLE,
    LOCK,
    MALFORMED,
    NOTIFICATIONS,
    POLICY,
    TAGS,
    TRANSLATED,
    UNKNOWN_FORM,
    VERSIONING,
    Document,
    Lake,
    NotCarried,
    Notes,
    option_of,
    plain,
)
from migrator.settings.lifecycle import translate_lifecycle
from migrator.settings.notifications import translate_notifications
from migrator.settings.policies import translate_policy
from migrator.settings.whole_bucket import (
    left_out,
    translate_cors,
    translate_encryption,
    translate_lock,
    translate_tags,
    translate_versioning,
)

_TRANSLATORS: dict[str, Callable[[Lake, Notes], Document | None]] = {
    POLICY: translate_policy,
    LIFECYCLE: translate_lifecycle,
    ENCRYPTION: translate_encryption,
    VERSIONING: translate_versioning,
    TAGS: translate_tags,
    CORS: translate_cors,
    NOTIFICATIONS: translate_notifications,
    LOCK: translate_lock,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of the target: its present document and its new one; None for no document."""

    setting: str
    before: Document | None
    after: Document | None


@dataclass
class Translation:
    """The changes of the target's settings, and what is not carried over."""

    target: str
    changes: list[Change] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)
    missing: bool = False
    """True if the target does not exist yet."""

    @property
    def blocked(self) -> bool:
        """True if the user must decide something before anything is set."""
        return any(one.severity == BLOCK for one in self.not_carried)

    @property
    def ok(self) -> bool:
        """False if the user must check or decide something."""
        return all(one.severity == INFO for one in self.not_carried)


def translate(lake: Lake) -> Translation:
    """Translate every setting. The target's own rules, statements and tags all stay: others are added to them."""
    result = Translation(lake.layout.target_bucket, missing=lake.missing)
    for setting in TRANSLATED:
        notes = Notes(setting)
        if option_of(setting) in lake.decisions.without:
            if lake.having(setting):
                notes.info(result.target, "it is not changed, as requested")
            result.not_carried += notes.found
            continue
        change = _change(lake, setting, notes)
        if change is not None and not any(one.severity == BLOCK for one in notes.found):
            result.changes.append(change)
        result.not_carried += notes.found
    result.not_carried += left_out(lake)
    return result


def _change(lake: Lake, setting: str, notes: Notes) -> Change | None:
    target = lake.layout.target_bucket
    for bucket, unread in sorted(lake.unread.items()):
        if setting in unread and bucket != target:
            notes.warn(bucket, f"it could not be read: {unread[setting]}")
    present = lake.target.get(setting)
    if setting in lake.unread.get(target, {}):
        if lake.having(setting):
            notes.block(target, f"the target's could not be read: {lake.unread[target][setting]}")
        return None
    try:
        wanted = _TRANSLATORS[setting](lake, notes)
    except MALFORMED:
        notes.block(target, f"a bucket's document cannot be read: {UNKNOWN_FORM}")
        return None
    if wanted is None or same(setting, present, wanted):
        return None
    change = Change(setting, plain(present) if present else None, plain(wanted))
    if any(redacted(str(one)) != str(one) for one in (change.before, change.after)):
        notes.block(target, "it holds what looks like a password or a signature, which migrator does not store")
    return change
