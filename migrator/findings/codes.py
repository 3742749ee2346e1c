"""What the planner and the verifier have to say: findings, and the table of all their codes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")

BLOCK, WARN, INFO = "block", "warn", "info"

CODES: dict[str, tuple[str, str]] = {
    # code: (severity, what it means)
    "archived-object": (
        BLOCK,
        "an object lies in an archive class and must be restored before it can be copied",
    ),
    "customer-key": (
        BLOCK,
        "an object is encrypted with a key that its owner sends along (SSE-C); it cannot be copied",
    ),
    "catalog-read-only": (BLOCK, "a SQL catalog cannot be written to, so that no pointer could be changed"),
    "delta-log": (BLOCK, "a Delta table's log holds absolute paths, which are not rewritten yet"),
    "encrypted-table": (BLOCK, "an Iceberg table is encrypted; its key metadata cannot be carried over yet"),
    "file-and-directory": (BLOCK, "after the merge one key would be both an object and a directory"),
    "file-source-log": (
        BLOCK,
        "a streaming checkpoint of a file source holds absolute paths, not rewritten yet",
    ),
    "flink-checkpoint": (
        BLOCK,
        "a checkpoint or savepoint of Flink holds absolute paths, which are not rewritten",
    ),
    "half-moved": (BLOCK, "a table lies partly in the target and partly in an old bucket"),
    "hudi-log": (
        BLOCK,
        "a Hudi table's properties or bootstrap index hold absolute paths, which are not rewritten",
    ),
    "key-collision": (BLOCK, "two source keys map to one target key"),
    "key-refused": (BLOCK, "the target's server does not take keys like this one (//, ., .., names over 255 bytes)"),
    "key-too-long": (BLOCK, "the target key would be longer than the 1,024 bytes that S3 allows"),
    "location-too-long": (BLOCK, "a metadata location is longer than the catalog's column"),
    "mixed-schemes": (BLOCK, "a table names one data file as s3:// and as s3a://, so that deletes may not apply"),
    "missing-permission": (BLOCK, "a permission that migrating needs is missing; it is named as an S3 action"),
    "missing-object": (BLOCK, "a table refers to an object that does not exist"),
    "object-acls": (BLOCK, "objects have access control lists (ACLs), which are not copied"),
    "object-lock": (BLOCK, "objects may be under retention or legal hold, which would not be copied"),
    "sink-log": (BLOCK, "a streaming file sink's _spark_metadata holds absolute paths, not rewritten yet"),
    "size-differs": (BLOCK, "an object's size is not the one that the table's metadata records"),
    "storage-class-refused": (
        BLOCK,
        "the target does not take the storage class of an object; accepted, such objects get the default class",
    ),
    "symlink-manifest": (
        BLOCK,
        "a manifest for other engines lists data files by absolute paths, which are not rewritten",
    ),
    "tags-unreadable": (
        BLOCK,
        "the tags of the old objects may not be read; accepted, all objects are copied without tags",
    ),
    "tables-overlap": (
        BLOCK,
        "two tables that lie apart would become one place at the target, or nested",
    ),
    "target-ahead": (BLOCK, "the table was written to at the target, which its pointer in an old bucket does not know"),
    "target-behind": (BLOCK, "the table was migrated before, and the old one was written to afterwards"),
    "target-differs": (BLOCK, "the target holds another, newer object at this key"),
    "target-not-versioned": (BLOCK, "older versions are to be copied, and the target bucket does not keep any"),
    "target-not-empty": (BLOCK, "the target already holds newer metadata of a table at this place"),
    "unmapped-path": (BLOCK, "a table refers to a path that no layout rule covers"),
    "unreadable": (BLOCK, "a file of a table cannot be read"),
    "collapsed-path": (WARN, "a path with // leads to an object only for readers that take it for one /"),
    "dangling-deletes": (
        WARN,
        "position deletes name data files that no layout rule covers; they apply to nothing",
    ),
    "empty-catalog": (WARN, "a given catalog names no table: is its name the one that the engines use?"),
    "missing-history": (
        WARN,
        "a file of the table's history (old metadata, statistics) is missing or unreadable",
    ),
    "odd-hint": (WARN, "a Hadoop table's version hint leads to no metadata file; its highest version is taken"),
    "outside-table": (WARN, "a catalog has a table that lies in none of the old buckets; it stays as it is"),
    "stray-metadata": (WARN, "a metadata file that no catalog names cannot be read; it is copied as it is"),
    "left-table": (WARN, "a table is left where it is because [tables] leave or --leave names it"),
    "target-unreadable": (WARN, "metadata at the target, where a table goes, cannot be read"),
    "other-catalog": (WARN, "another catalog in the same database has tables in the old buckets, and is not given"),
    "merged-folders": (WARN, "folders of two old places become one folder, whose readers then read both"),
    "bucket-beside": (INFO, "a bucket that no rule names: it is not part of the migration"),
    "open-uploads": (WARN, "multipart uploads are open: something is writing, or left a mess"),
    "path-in-text": (
        WARN,
        "a property, a summary or the SQL of a view mentions an old path; it stays as it is",
    ),
    "uncatalogued-broken": (
        WARN,
        "a table that no catalog names was already broken; it is moved as far as it goes",
    ),
    "uncatalogued-table": (
        WARN,
        "a table was found in a bucket that no given catalog names; it is rewritten too",
    ),
    "extra-at-target": (WARN, "the target holds objects that no old bucket has: left by an earlier copy, or its own"),
    "left-behind": (
        WARN,
        "files of a migrated table that the target does not have: dropped there, or written too late",
    ),
    "preflight-incomplete": (WARN, "something that migrating needs could not be tried while planning"),
    "settings-unread": (
        INFO,
        "settings of a bucket could not be read; a warning where the target's might endanger copies",
    ),
    "target-expires": (WARN, "a lifecycle rule of the target deletes or archives what is copied there"),
    "target-not-encrypted": (WARN, "an old bucket encrypts its objects by default, and the target less or not at all"),
    "unchecked-bucket": (WARN, "a bucket could not be asked for versions, open uploads, locks or access control lists"),
    "unfinished-work": (WARN, "left-overs of unfinished writes (_temporary/, __magic, .pending)"),
    "versioned-bucket": (
        WARN,
        "the bucket keeps older versions of its objects; without --all-versions only the current ones are copied",
    ),
    "versions-too-late": (
        WARN,
        "the target has an object already, without its older versions, which cannot be put before it",
    ),
    "versions-unlisted": (
        WARN,
        "the server's listing of versions lacks objects that are there; it may lack deleted ones, too",
    ),
    "checksum-files": (INFO, "Hadoop's .crc files of rewritten metadata are not copied: they would be wrong"),
    "bucket-settings": (
        INFO,
        "an old bucket has settings of its own (policy, lifecycle, …), which are not carried over",
    ),
    "left-out": (INFO, "objects that a layout rule leaves where they are"),
    "migrated-table": (INFO, "the table already lives at the target"),
    "restored-object": (INFO, "an archived object was restored; its copy gets the default storage class"),
    "server-tier": (INFO, "a storage class is a tier of the old server's own; copies get the default class"),
    "scripts-unchanged": (INFO, "scripts are copied as they are; paths in them are yours to change"),
    "skipped-markers": (INFO, "empty directory markers of Hadoop's old S3 clients are not copied"),
    "target-bucket-missing": (INFO, "the target bucket does not exist; migrate will create it"),
}
"""Every code that a plan can hold. ``docs/findings.md`` prints this table; a test compares them."""

ACCEPTABLE = (
    "delta-log",
    "file-source-log",
    "flink-checkpoint",
    "hudi-log",
    "mixed-schemes",
    "object-acls",
    "object-lock",
    "sink-log",
    "size-differs",
    "storage-class-refused",
    "symlink-manifest",
    "tags-unreadable",
)
"""Blocking codes that ``[plan] accept`` may turn into warnings: the objects are copied as they are, or as the code
says."""

UNREADABLE_BEFORE = "unreadable-before"
AT_MIGRATION = {
    UNREADABLE_BEFORE: "a file of a table is missing or malformed in the old place, found when its rows were counted",
}
"""What ``migrate`` may find before the cutover; ``migrate --accept`` takes these codes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know. ``count`` says how many places it stands for."""

    severity: str
    code: str
    place: str
    message: str
    next_move: str = ""
    count: int = 1

    @classmethod
    def of(
        cls, code: str, place: str, message: str, next_move: str = "", *, count: int = 1, severity: str = ""
    ) -> Finding:
        """A finding with its code's own severity, unless another is given. KeyError for an unknown code."""
        return cls(severity or CODES[code][0], code, place, message, next_move, count)

    def to_json(self) -> dict[str, str | int]:
        return {
            "severity": self.severity,
            "code": self.code,
            "place": self.place,
            "message": self.message,
            "next_move": self.next_move,
            "count": self.count,
        }


def counted(count: int, noun: str) -> str:
    """``1 table``, ``2 tables``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


EXAMPLES = 20
"""How many places of one kind a plan names one by one; the rest are counted."""


def first_of(found: Sequence[Found], most: int) -> Iterator[tuple[Found, int]]:
    """The first ``most`` of what was found, and how many each stands for: the last one for all that are not named."""
    for number, one in enumerate(found[:most], 1):
        yield one, len(found) - most + 1 if number == most else 1
