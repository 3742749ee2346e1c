"""What a retirement deletes, what stays, and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.verifying.checks import Verification

EXAMPLES = 5

OBJECTS, OLDER_VERSIONS, DELETE_MARKERS = "objects", "older_versions", "delete_markers"
FOLDER_MARKERS, CHECKSUMS = "folder_markers", "checksum_files"
KINDS = (OBJECTS, OLDER_VERSIONS, DELETE_MARKERS, FOLDER_MARKERS, CHECKSUMS)
"""What is deleted: current objects; older versions and delete markers that the plan copied; empty ``_$folder$`` objects
and ``.crc`` files that the plan left out because nobody needs them."""


@dataclass
class Reason:
    """How many objects or versions share a reason, and the first of their places."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        """Count one, and keep its place if it is among the first."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(place)

    def to_json(self, reason: str) -> dict[str, Any]:
        """The reason as in the JSON of a retirement."""
        return {"reason": reason, "count": self.count, "examples": self.examples}


@dataclass
class OldBucket:
    """One old bucket. ``counts`` and ``bytes`` are of what was deleted, or would be: kind → number."""

    name: str
    versioned: bool = False
    missing: bool = False
    """The bucket does not exist any more."""
    counts: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    gone: int = 0
    """Sources that an earlier run of this command deleted."""
    vanished: Reason = field(default_factory=Reason)
    """Sources that somebody else deleted since planning."""
    stays: dict[str, Reason] = field(default_factory=dict)
    """What is in the bucket and stays: reason → which."""
    not_deleted: dict[str, Reason] = field(default_factory=dict)
    """What was to be deleted and could not be: reason → which."""
    removed: bool = False
    kept: str = ""
    """Why the bucket itself was not removed, if it was to be removed."""

    def stay(self, reason: str, place: str) -> None:
        """Note an object or version that stays for this reason."""
        self.stays.setdefault(reason, Reason()).add(place)

    def fail(self, reason: str, place: str) -> None:
        """Note an object or version that could not be deleted for this reason."""
        self.not_deleted.setdefault(reason, Reason()).add(place)

    @property
    def failed(self) -> int:
        """How many objects and versions could not be deleted."""
        return sum(reason.count for reason in self.not_deleted.values())

    def summary(self) -> dict[str, Any]:
        """The numbers of the bucket, for the log."""
        return {
            **{kind: self.counts[kind] for kind in KINDS},
            "bytes": self.bytes,
            "gone": self.gone,
            "vanished": self.vanished.count,
            "stays": {reason: which.count for reason, which in self.stays.items()},
            "not_deleted": self.failed,
            "removed": self.removed,
        }

    def to_json(self) -> dict[str, Any]:
        """The bucket as in the JSON of a retirement."""
        return {
            "bucket": self.name,
            "missing": self.missing,
            "versioned": self.versioned,
            **self.summary(),
            "vanished": self.vanished.to_json("") | {"reason": None},
            "stays": [which.to_json(reason) for reason, which in self.stays.items()],
            "not_deleted": [which.to_json(reason) for reason, which in self.not_deleted.items()],
            "kept": self.kept or None,
        }


@dataclass
class Retirement:
    """What ``retire`` deleted, or would delete if it is only shown (``carried_out`` False)."""

    plan: str
    target: str
    verification: Verification
    carried_out: bool = False
    remove_buckets: bool = False
    buckets: list[OldBucket] = field(default_factory=list)
    accepted: Mapping[str, list[str]] = field(default_factory=dict)
    """Code → what was found and accepted with ``--accept``."""
    remove_old_entries: bool = False
    """The old entries were to be removed, too."""
    old_entries: list[str] = field(default_factory=list)
    """The entries in old catalogs of tables that moved to another catalog, as they were before
    ``remove_old_entries``."""
    old_namespaces: list[str] = field(default_factory=list)
    """Properties of the namespaces of these entries that name an old place; they stay as they are."""

    @property
    def ok(self) -> bool:
        """False if something that was to be deleted could not be."""
        return not any(bucket.failed for bucket in self.buckets)

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``migrator retire --json``."""
        return {
            "plan": self.plan,
            "target": self.target,
            "ok": self.ok,
            "carried_out": self.carried_out,
            "remove_buckets": self.remove_buckets,
            "verified": self.verification.result,
            "accepted": dict(self.accepted),
            "remove_old_entries": self.remove_old_entries,
            "old_entries": self.old_entries,
            "old_namespaces": self.old_namespaces,
            "buckets": [bucket.to_json() for bucket in self.buckets],
        }
