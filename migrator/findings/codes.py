"""Findings of the planner and the verifier, and the table of all their codes. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

Found = TypeVar("Found")


class FindingDescription(TypedDict):
    """One finding as a dictionary; ``count`` is the number of places that it stands for."""

    severity: str
    code: str
    place: str
    message: str
    next_move: str
    count: int


BLOCK, WARN, INFO = "block", "warn", "info"

CODES: dict[str, tuple[str, str]] = {
    # code: (severity, what it means)
    "archived-object": (
        BLOCK,
        "an object lies in an archive class and must be restored before it can be copied",
    ),
    "customer-key": (
        BLOCK,
        "an object is encrypted with a customer-provided key (SSE-C), so it cannot be copied",
    ),
    "catalog-cannot-repoint": (BLOCK, "a catalog's server has no known way to change the pointers of its tables"),
    "catalog-read-only": (BLOCK, "a catalog cannot be written to, so its pointers could not be changed"),
    "checkpoint-incomplete": (BLOCK, "a streaming checkpoint lacks files, so its stream could not go on as it should"),
    "delta-log": (BLOCK, "a Delta table's log holds absolute paths, which are not rewritten yet"),
    "entry-at-target": (BLOCK, "the target catalog has another entry of a table's name, which is not overwritten"),
    "encrypted-table": (BLOCK, "an Iceberg table is encrypted; its key metadata cannot be rewritten yet"),
    "file-and-directory": (BLOCK, "after the merge one key would be both an object and a directory"),
    "file-source-log": (
        BLOCK,
        "the log of a streaming file source holds absolute paths; the finding says whether they are rewritten",
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
    "key-refused": (BLOCK, "the target's server does not accept keys like this one (//, ., .., names over 255 bytes)"),
    "key-too-long": (BLOCK, "the target key would be longer than the 1,024 bytes that S3 allows"),
    "local-folder": (BLOCK, "a local folder that is to be uploaded is missing or empty, or cannot be read"),
    "location-too-long": (BLOCK, "a metadata location is longer than the catalog's column"),
    "mixed-schemes": (BLOCK, "a table names one data file both as s3:// and as s3a://, so its deletes may not apply"),
    "missing-permission": (BLOCK, "a permission that the migration needs is missing; the finding names the S3 action"),
    "missing-object": (BLOCK, "a table refers to an object that does not exist"),
    "object-acls": (BLOCK, "objects have access control lists (ACLs), which are not copied"),
    "object-lock": (BLOCK, "objects may be under retention or legal hold, which would not be copied"),
    "paimon-schema": (
        BLOCK,
        "the options of a Paimon table name places of data files outside of it, which are not rewritten",
    ),
    "sink-log": (
        BLOCK,
        "a streaming file sink's _spark_metadata holds absolute paths; the finding says whether they are rewritten",
    ),
    "size-differs": (BLOCK, "an object's size is not the one that the table's metadata records"),
    "spanning-table": (
        BLOCK,
        "a table moves, but a layout rule leaves some of its data files, or another plan moves them; if accepted, it "
        "reads these where they are",
    ),
    "storage-class-refused": (
        BLOCK,
        "the target does not support the storage class of an object; if accepted, such objects get the default class",
    ),
    "symlink-manifest": (
        BLOCK,
        "a manifest for other engines lists files by absolute paths; the finding says whether they are rewritten",
    ),
    "tags-unreadable": (
        BLOCK,
        "the tags of the old objects cannot be read; if accepted, all objects are copied without tags",
    ),
    "tables-overlap": (
        BLOCK,
        "two tables would get the same folder at the target, or one inside the other",
    ),
    "target-ahead": (BLOCK, "the table was written to at the target, but its catalog points to an old bucket"),
    "old-entry-changed": (
        BLOCK,
        "a table is in the target catalog already, and was written to through the old catalog since",
    ),
    "target-behind": (BLOCK, "the table was migrated before, and the old one was written to afterwards"),
    "target-differs": (BLOCK, "the target holds another, newer object at this key"),
    "target-not-versioned": (
        BLOCK,
        "older versions are to be copied, but versioning is not enabled on the target bucket",
    ),
    "target-not-empty": (BLOCK, "the target already holds newer metadata of a table at this place"),
    "unmapped-path": (BLOCK, "a table refers to a path that no layout rule covers"),
    "unreadable": (BLOCK, "a file of a table cannot be read"),
    "attributes-dropped": (
        WARN,
        "the target's server does not keep an attribute of objects, such as a website redirect; their copies lack it",
    ),
    "collapsed-path": (WARN, "a path contains //; only readers that treat // as / find its object"),
    "dangling-deletes": (
        WARN,
        "position deletes name data files that no layout rule covers; they delete no rows",
    ),
    "empty-catalog": (WARN, "a given catalog has no tables; engines may use another name for it"),
    "missing-history": (
        WARN,
        "a file of the table's history (old metadata, statistics) is missing or unreadable",
    ),
    "odd-hint": (WARN, "a Hadoop table's version hint names no existing metadata file; the highest version is used"),
    "outside-table": (WARN, "a catalog has a table that is in none of the old buckets; it is not changed"),
    "stray-metadata": (WARN, "a metadata file that no catalog names cannot be read; it is copied as it is"),
    "shared-files": (WARN, "a table of this wave names files that a table outside of it names, too"),
    "left-table": (WARN, "a table is left where it is because [tables] leave or --leave names it"),
    "target-unreadable": (WARN, "the target already has metadata where a table goes, and it cannot be read"),
    "other-catalog": (WARN, "another catalog in the same database has tables in the old buckets, but was not given"),
    "other-tables": (WARN, "a catalog has tables in the old buckets that are no Iceberg tables, or belong to others"),
    "merged-folders": (
        WARN,
        "two old folders become one folder at the target; its readers then read the files of both",
    ),
    "bucket-beside": (INFO, "no rule names this bucket; it is not part of the migration"),
    "open-uploads": (WARN, "multipart uploads are open: a writer is active, or stopped before it finished"),
    "path-in-text": (
        WARN,
        "a property, a summary or the SQL of a view mentions an old path; it stays as it is",
    ),
    "uncatalogued-broken": (
        WARN,
        "a table that no catalog names was already broken; what can be moved is moved",
    ),
    "uncatalogued-table": (
        WARN,
        "a table in an old bucket is in no given catalog; it is rewritten too",
    ),
    "extra-at-target": (
        WARN,
        "the target has objects that no old bucket has: copied earlier, or written there by others",
    ),
    "left-behind": (
        WARN,
        "old files of a migrated table that the target does not have: removed there, or written too late",
    ),
    "preflight-incomplete": (WARN, "something that the migration needs could not be tested while planning"),
    "settings-unread": (
        INFO,
        "settings of a bucket could not be read; a warning if settings of the target could endanger copies",
    ),
    "target-expires": (WARN, "a lifecycle rule of the target deletes or archives what is copied there"),
    "target-not-encrypted": (WARN, "objects or an old bucket are encrypted; the target is not by default, or less"),
    "unchecked-bucket": (
        WARN,
        "it is unknown whether a bucket has versions, open uploads, locks or access control lists",
    ),
    "unfinished-work": (WARN, "leftovers of unfinished writes (_temporary/, __magic, .pending)"),
    "s3-inventory": (
        INFO,
        "a bucket was not listed: an S3 Inventory report was read; a warning if the report is old, or dated in the "
        "future",
    ),
    "versioned-bucket": (
        WARN,
        "the bucket keeps older versions of its objects; without --all-versions only the current ones are copied",
    ),
    "versions-too-late": (
        WARN,
        "the target already has an object without its older versions, which cannot be added before it",
    ),
    "versions-unlisted": (
        WARN,
        "the server's listing of versions lacks existing objects; it may lack deleted ones, too",
    ),
    "checksum-files": (INFO, "Hadoop's .crc files of rewritten metadata are not copied: they would be wrong"),
    "bucket-settings": (
        INFO,
        "an old bucket has settings (policy, lifecycle, …), which are not copied",
    ),
    "later-namespace": (INFO, "a namespace keeps its old location, because not all of its tables have moved"),
    "later-wave": (INFO, "what [tables] only or plan --rule does not choose stays for a later wave"),
    "left-out": (INFO, "a layout rule leaves these objects where they are"),
    "local-files": (INFO, "local files are uploaded to the target; they stay where they are"),
    "migrated-stream": (
        INFO,
        "a stream goes on at the target: nothing of its checkpoint or log is copied again",
    ),
    "migrated-table": (INFO, "the table already lives at the target"),
    "restored-object": (INFO, "an archived object was restored; its copy gets the default storage class"),
    "server-tier": (INFO, "a storage class is a tier of the old server; copies get the default class"),
    "scripts-rewritten": (INFO, "scripts in the lake name old paths; at the target they have the new ones"),
    "scripts-unchanged": (INFO, "scripts are copied as they are; change the paths in them yourself"),
    "skipped-markers": (INFO, "empty directory markers of Hadoop's old S3 clients are not copied"),
    "target-bucket-missing": (INFO, "the target bucket does not exist; migrate will create it"),
}
"""Every code that a plan can hold. ``docs/findings.md`` prints this table; a test compares them."""

ACCEPTABLE = (
    "checkpoint-incomplete",
    "delta-log",
    "file-source-log",
    "flink-checkpoint",
    "hudi-log",
    "mixed-schemes",
    "object-acls",
    "object-lock",
    "paimon-schema",
    "sink-log",
    "size-differs",
    "spanning-table",
    "storage-class-refused",
    "symlink-manifest",
    "tags-unreadable",
)
"""Blocking codes that ``[plan] accept`` may turn into warnings. The objects are then copied without change, or as the
text of the code says."""

UNREADABLE_BEFORE = "unreadable-before"
AT_MIGRATION = {
    UNREADABLE_BEFORE: "a file of a table in the old place is missing or malformed; found when its rows were counted",
}
"""Codes of findings that ``migrate`` may report before the cutover; ``migrate --accept`` takes them."""

NOT_COMPARED, CHANGED_AT_TARGET, UNREGISTERED = "not-compared", "changed-at-target", "uncatalogued-table"
AT_RETIRE = {
    NOT_COMPARED: "something could not be compared or read; whether it needs the old buckets is not known",
    CHANGED_AT_TARGET: "copies were changed or removed at the target since the cutover; their originals stay",
}
"""Codes of findings that only ``retire`` reports."""
CARRIERS = (
    "delta-log",
    "file-source-log",
    "flink-checkpoint",
    "hudi-log",
    "paimon-schema",
    "sink-log",
    "symlink-manifest",
)
"""Codes of files beside Iceberg tables that hold absolute paths."""
ACCEPTABLE_AT_RETIRE = (*AT_RETIRE, *CARRIERS, "path-in-text", "scripts-unchanged", UNREGISTERED)
"""Codes that ``retire --accept`` takes."""

AT_CHECK: dict[str, tuple[str, str]] = {
    "stray-folder": (WARN, "a folder in the target bucket is no part of the lake's structure"),
    "stray-object": (WARN, "an object lies at the root of the target bucket, in no folder"),
    "misplaced-table": (WARN, "the location of a table is neither in a warehouse nor in the folder of its layer"),
    "not-migrated": (
        WARN,
        "a folder of the structure is empty, and the objects that belong there are in an old bucket",
    ),
    "old-pointer": (WARN, "an entry of a catalog points to an old bucket"),
    "old-namespace": (WARN, "a property of a namespace names an old bucket"),
    "old-warehouse": (WARN, "the warehouse of a catalog, as pyiceberg is configured, is in an old bucket"),
    "old-path": (WARN, "a file of a table in the target names a path in an old bucket"),
    "old-path-in-log": (WARN, "a log, checkpoint or manifest holds absolute paths to an old bucket"),
    "old-path-in-script": (WARN, "a script in the lake names an old bucket, or a local folder of checkpoints"),
    "not-checked": (WARN, "something could not be read, so what it names is not known"),
    "doubtful-script": (INFO, "a script may build the name of an old bucket from parts"),
    "folder-missing": (INFO, "a folder of the structure is empty; it appears as data is written"),
    "loose-object": (
        INFO,
        "an object lies directly in a folder that should contain only one folder for each namespace, stream or program",
    ),
    "no-checkpoint": (INFO, "a folder among the checkpoints holds no checkpoint of Spark or Flink"),
    "old-bucket": (INFO, "an old bucket still exists"),
    "new-layer": (INFO, "where a new layer goes, and what lake.toml needs for it"),
}
"""Codes of findings that only ``check`` reports: (severity, what it means). It also reports :data:`CHECK_TOO`."""
CHECK_TOO = ("checkpoint-incomplete", "path-in-text", "target-bucket-missing")
"""Codes of a plan that ``check`` reports, too."""
ACCEPTABLE_AT_CHECK = (
    *(code for code, (severity, _) in AT_CHECK.items() if severity == WARN),
    "checkpoint-incomplete",
    "path-in-text",
)
"""Codes that ``check --accept`` takes."""


def meaning_of(code: str) -> tuple[str, str]:
    """The severity that findings with this code have, unless they say otherwise, and what they mean. Raises KeyError
    for an unknown code."""
    if code in AT_CHECK:
        return AT_CHECK[code]
    return CODES[code] if code in CODES else (BLOCK, {**AT_MIGRATION, **AT_RETIRE}[code])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the user should know. ``count`` is the number of places that it stands for."""

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
        """A finding with the severity of its code, unless another is given. Raises KeyError for an unknown code."""
        return cls(severity or meaning_of(code)[0], code, place, message, next_move, count)

    def to_json(self) -> FindingDescription:
        """The finding as an element of ``findings`` in JSON output."""
        return {
            "severity": self.severity,
            "code": self.code,
            "place": self.place,
            "message": self.message,
            "next_move": self.next_move,
            "count": self.count,
        }


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 table``, ``2 tables``, ``2 properties``."""
    if count == 1:
        return f"{count:,} {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("ty") else f"{count:,} {noun}s"


EXAMPLES = 20
"""How many places of one kind a plan names one by one; the rest are counted."""


def first_of(found: Sequence[Found], most: int) -> Iterator[tuple[Found, int]]:
    """The first ``most`` items, each with the number of items it stands for: the last one stands for the rest, too."""
    for number, one in enumerate(found[:most], 1):
        yield one, len(found) - most + 1 if number == most else 1
