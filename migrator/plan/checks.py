"""Adds findings about the rows of a plan, and about the state of the buckets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrator.errors import StoreError
from migrator.findings import BLOCK, EXAMPLES, WARN, Finding
from migrator.inventory.listing import TARGET
from migrator.inventory.versions import Histories, has_versions, report_histories
from migrator.layout import Layout
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import HADOOP_MARKER, MOVES, PLACE, PLAIN_COPIES, below, keys_under
from migrator.planfile.rows import CONFLICT, ROLE_CHECKSUM, SKIP
from migrator.store import Store

LONGEST_KEY = 1024
"""The most bytes that S3 accepts as a key."""

_GIVE_RULE = "Give one of them a rule of its own in [layout]."


def find_collisions(plan: PlanFile) -> None:
    """Block the plan if two objects get the same target key, or if a target key is taken, is also a directory, or is
    too long."""
    _find_taken_keys(plan)
    _find_shared_keys(plan)
    _find_shared_histories(plan)
    _find_files_beside_directories(plan)
    _find_long_keys(plan)


def _find_taken_keys(plan: PlanFile) -> None:
    query = f"SELECT {PLACE}, target FROM objects WHERE action = '{CONFLICT}'"
    message = "the target already holds another object at {}, which migrator did not write"
    _report_each(plan, "target-differs", query, message, "Move one of the two away, or map it elsewhere.")


def _find_shared_keys(plan: PlanFile) -> None:
    shared = f"SELECT target FROM objects WHERE {MOVES} GROUP BY target HAVING count(*) > 1"
    query = (
        f"SELECT group_concat({PLACE}, ' and '), target FROM objects"
        f" WHERE {MOVES} AND target IN ({shared}) GROUP BY target"
    )
    _report_each(plan, "key-collision", query, "both map to {}", _GIVE_RULE)
    plan.db.execute(f"UPDATE objects SET action = '{CONFLICT}' WHERE {MOVES} AND target IN ({shared})")


def _find_shared_histories(plan: PlanFile) -> None:
    query = (
        "WITH sources AS (SELECT bucket, key, target FROM versions UNION SELECT bucket, key, target FROM objects"
        f" WHERE action NOT IN ('{SKIP}', '{CONFLICT}') AND target IN (SELECT target FROM versions))"
        f" SELECT group_concat({PLACE}, ' and '), target FROM sources"
        f" WHERE target NOT IN (SELECT target FROM objects WHERE action = '{CONFLICT}' AND target IS NOT NULL)"
        " GROUP BY target HAVING count(*) > 1"
    )
    _report_each(plan, "key-collision", query, "both map to {}, with their older versions", _GIVE_RULE)


def _find_files_beside_directories(plan: PlanFile) -> None:
    query = (
        f"SELECT {PLACE}, target FROM objects o WHERE {MOVES} AND target NOT LIKE '%/'"
        f" AND EXISTS (SELECT 1 FROM objects x WHERE {below('x.target', 'o.target')}"
        f" AND x.bucket <> o.bucket AND x.{MOVES})"
    )
    message = "would be the object {} next to a directory of that name"
    _report_each(plan, "file-and-directory", query, message, "Move it away, or map it elsewhere.")


def _find_long_keys(plan: PlanFile) -> None:
    too_long = f"length(CAST(target AS BLOB)) > {LONGEST_KEY}"
    query = (
        f"SELECT {PLACE}, target FROM objects WHERE {MOVES} AND {too_long}"
        f" UNION SELECT {PLACE}, target FROM versions WHERE {too_long}"
    )
    message = f"would have a key of more than {LONGEST_KEY:,} bytes"
    _report_each(plan, "key-too-long", query, message, "Choose a shorter target prefix.")


# LIKE would ignore case.
_UNFINISHED = (
    "'/' || key GLOB '*/_temporary/*' OR '/' || key GLOB '*/__magic*/*' OR key GLOB '*.pending'"
    " OR key GLOB '*.pendingset'"
)


def find_by_name(plan: PlanFile) -> None:
    """Report unfinished work and what is not copied, by their keys alone. One finding per bucket."""
    message, move = "is left over from an unfinished write", "Wait for the writer, or remove it."
    _report_first(plan, "unfinished-work", f"{PLAIN_COPIES} AND ({_UNFINISHED})", message, move)
    _report_first(plan, "skipped-markers", HADOOP_MARKER, "and others like it are not copied")
    of_rewritten = "and others like it are checksums of files that are rewritten"
    _report_first(plan, "checksum-files", f"role = '{ROLE_CHECKSUM}'", of_rewritten)
    _report_first(plan, "left-out", "target IS NULL", "and others like it stay where they are: a layout rule says so")


def _report_first(plan: PlanFile, code: str, condition: str, message: str, move: str = "") -> None:
    """For each bucket, one finding about the first of the objects that the SQL condition selects."""
    query = f"SELECT 's3://' || bucket || '/' || min(key), count(*) FROM objects WHERE {condition} GROUP BY bucket"
    for place, count in plan.db.execute(query).fetchall():
        plan.add_finding(Finding.of(code, place, message, move, count=count))


def find_extras(plan: PlanFile, layout: Layout) -> None:
    """Report objects at the target that no old bucket has: readers of plain files see them, too.

    They were copied earlier and deleted in the old buckets since, or others wrote them at the target. It is not known
    which, so they are not deleted."""
    for target in layout.target_prefixes:
        count, example = plan.db.execute(
            f"SELECT count(*), min(key) FROM {TARGET} p WHERE key >= ? AND key < ?"
            " AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.target = p.key)",
            keys_under(target),
        ).fetchone()
        if count:
            message = "and others like it are in no old bucket: deleted there since an earlier copy, or written here"
            move = "Before a cutover, remove those that were deleted in the old buckets."
            place = f"s3://{layout.target_bucket}/{example}"
            plan.add_finding(Finding.of("extra-at-target", place, message, move, count=count))


def find_bucket_state(
    plan: PlanFile, store: Store, layout: Layout, histories: Mapping[str, Histories], *, all_versions: bool
) -> None:
    """Report open uploads and older versions in the old buckets."""
    for bucket in layout.moved_buckets:
        try:
            uploads = store.uploads.count_open(bucket)
            if (total := histories.get(bucket)) is not None:
                report_histories(plan, bucket, total, kept=all_versions)
        except StoreError as error:
            message = f"versions and open uploads could not be listed: {error.message}"
            plan.add_finding(Finding.of("unchecked-bucket", f"s3://{bucket}/", message, error.next_move))
            continue
        if uploads:
            message, move = "has open multipart uploads", "Stop the writers, or abort uploads that are left over."
            plan.add_finding(Finding.of("open-uploads", f"s3://{bucket}/", message, move, count=uploads))


def find_missing_target(plan: PlanFile, layout: Layout) -> None:
    """Report that the target bucket does not exist yet."""
    message = "does not exist yet; migrate will create it (whether that is allowed was not tested)"
    if has_versions(plan):
        message += " and enable versioning"
    plan.add_finding(Finding.of("target-bucket-missing", f"s3://{layout.target_bucket}/", message))


def accept_findings(plan: PlanFile, codes: Iterable[str]) -> None:
    """Turn the blocking findings that the user has accepted into warnings."""
    for code in codes:
        plan.db.execute("UPDATE findings SET severity = ? WHERE code = ? AND severity = ?", (WARN, code, BLOCK))


def _report_each(plan: PlanFile, code: str, query: str, message: str, move: str) -> None:
    """A finding for each of the first rows (place, target key) of a query; the last one stands for the others, too.
    ``{}`` in the message is replaced by the target key."""
    rows = plan.db.execute(f"{query} LIMIT {EXAMPLES}").fetchall()
    more = 0
    if len(rows) == EXAMPLES:
        more = plan.db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0] - EXAMPLES
    for number, (place, target) in enumerate(rows, 1):
        count = 1 + (more if number == EXAMPLES else 0)
        plan.add_finding(Finding.of(code, place, message.format(repr(target)), move, count=count))
