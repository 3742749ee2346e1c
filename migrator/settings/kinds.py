"""The kinds of settings of a bucket, the settings of a lake, and notes about settings that are not carried over.

Documents are boto3's answers without their metadata. They come from servers, so their form is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from migrator.findings import BLOCK, INFO, WARN
from migrator.layout import Layout, Rule

Document = Mapping[str, Any]

POLICY, PUBLIC, ACL, OWNERSHIP = "policy", "public access block", "ACL", "object ownership"
LIFECYCLE, LOCK, ENCRYPTION = "lifecycle", "object lock", "encryption"
NOTIFICATIONS, CORS, TAGS, REPLICATION = "notifications", "CORS", "tags", "replication"
WEBSITE, LOGGING = "website", "access logging"
VERSIONING, QUOTA = "versioning", "quota"
IAM_POLICY = "IAM policy"
"""A policy of users of AWS IAM or MinIO, which is no setting of a bucket."""

TRANSLATED = (ENCRYPTION, VERSIONING, POLICY, LIFECYCLE, TAGS, CORS, NOTIFICATIONS, LOCK)
"""The settings that are carried over if possible, in the order in which they are set."""

UNKNOWN_FORM = "it has a form that migrator does not know"
MALFORMED = (AttributeError, KeyError, TypeError, ValueError, IndexError, RecursionError)
"""The exceptions for a document in an unexpected form."""

FENCE = "MigratorFence"
"""The Sid of the statement with which a cutover temporarily denies writes to an old bucket. It does not belong to the
bucket's own policy."""

SSE_S3, KEEP, ENABLED = "sse-s3", "keep", "enabled"
SSE_KMS = "sse-kms"


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a person has decided. ``without``: settings of the target that stay as they are. ``encryption``:
    ``sse-s3``, ``sse-kms`` or ``sse-kms:KEY``. ``versioning``: ``enabled`` or ``keep``. ``expire_tables``: rules may
    delete objects of tables and checkpoints. ``shared``: target prefixes whose objects come from several places, and
    get the settings of all of these."""

    without: frozenset[str] = frozenset()
    encryption: str | None = None
    versioning: str | None = None
    expire_tables: bool = False
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lake:
    """The values that are needed to translate settings.

    ``buckets``: old bucket → setting → document; ``target``: setting → document. ``unread``: bucket → setting → why it
    could not be read. ``tables``: folders of tables at the target, each with a slash at its end. ``unused``: the
    (bucket, prefix) of rules that move no object. ``minio``: the target's server is MinIO. ``missing``: the target does
    not exist yet. ``gone``: old buckets that do not exist any more.
    """

    layout: Layout
    buckets: Mapping[str, Mapping[str, Document]]
    target: Mapping[str, Document]
    unread: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Sequence[str] = ()
    unused: frozenset[tuple[str, str]] = frozenset()
    minio: bool = False
    missing: bool = False
    gone: frozenset[str] = frozenset()
    locks: bool = False
    """If the target does not exist yet, it is created with object lock."""
    elsewhere: bool = False
    """The target is on another server, or under another account."""
    decisions: Decisions = Decisions()

    @property
    def old(self) -> list[str]:
        """The old buckets that still exist, in order."""
        return [bucket for bucket in self.layout.moved_buckets if bucket not in self.gone]

    def having(self, setting: str) -> list[tuple[str, Document]]:
        """(bucket, document) of the old buckets that have this setting."""
        return [(bucket, found[setting]) for bucket, found in sorted(self.buckets.items()) if setting in found]


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Something that is not carried over, or that the user should know. ``severity``: "block": the user must decide
    before anything is set; "warn": the user must check it; "info": good to know. ``part``: the rule or statement, ""
    for all of it."""

    severity: str
    setting: str
    place: str
    part: str
    reason: str
    next_move: str = ""


@dataclass
class Notes:
    """Collects notes about parts of one setting that are not carried over."""

    setting: str
    found: list[NotCarried] = field(default_factory=list)

    def block(self, bucket: str, reason: str, part: str = "", move: str = "") -> None:
        """Add a note that blocks: the user must decide before anything is set."""
        self._add(BLOCK, bucket, reason, part, move)

    def warn(self, bucket: str, reason: str, part: str = "", move: str = "") -> None:
        """Add a note about something that the user must check."""
        self._add(WARN, bucket, reason, part, move)

    def info(self, bucket: str, reason: str, part: str = "", move: str = "") -> None:
        """Add a note for information."""
        self._add(INFO, bucket, reason, part, move)

    def _add(self, severity: str, bucket: str, reason: str, part: str, move: str) -> None:
        one = NotCarried(severity, self.setting, f"s3://{bucket}/", part, reason, move)
        if one not in self.found:
            self.found.append(one)


Agreed = dict[str, set[Rule]]
"""A setting for one place of the target → the rules whose old buckets have exactly this setting. For objects of these
rules, setting it at the target changes nothing."""


def option_of(setting: str) -> str:
    """The name of a setting in ``--without``."""
    return setting.lower().replace(" ", "-")


def plain(value: Any) -> Any:
    """A document with only JSON types: times become ISO 8601, which boto3 accepts, too."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def as_list(value: Any) -> list[Any]:
    """A list, also for documents with one value instead of a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def mappings(value: Any) -> list[dict[str, Any]]:
    """A list of dictionaries. Raises TypeError for anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
        raise TypeError("not a list of structures")
    return [dict(one) for one in value]


def new_name(wanted: str, taken: Iterable[str], most: int, before_number: str = "-") -> str:
    """``wanted``, shortened to ``most`` characters, and with a number at its end if it is taken."""
    taken, name, number = set(taken), wanted[:most], 2
    while name in taken:
        end = f"{before_number}{number}"
        name, number = wanted[: most - len(end)] + end, number + 1
    return name
