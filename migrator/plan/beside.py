"""Finds what the user may have forgotten: buckets that no rule names, other catalogs in the same database, and folders
of two sources that become one folder at the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.catalogs import Catalog
from migrator.errors import StoreError
from migrator.findings import EXAMPLES, Finding, first_of
from migrator.layout import Layout, Rule
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES, keys_under
from migrator.store import Store

MAX_STEPS = 1000
"""How many subfolders of a folder are skipped to find an object that lies directly in it."""


def find_buckets(plan: PlanFile, store: Store, layout: Layout) -> None:
    """Report the buckets that no rule names. Reports nothing if the server refuses to list its buckets."""
    try:
        names = store.bucket_names()
    except StoreError:
        return
    beside = [name for name in names if name not in layout.buckets and name != layout.target_bucket]
    for name, count in first_of(beside, EXAMPLES):
        message = "is named by no rule: nothing of it is listed or moved"
        move = f'If it is part of the lake, add a rule for it to [layout], such as "s3://{name}/" = "{name}/".'
        plan.add_finding(Finding.of("bucket-beside", f"s3://{name}/", message, move, count=count))


def find_neighbours(plan: PlanFile, layout: Layout, catalogs: Mapping[str, Catalog]) -> None:
    """Report what has tables in the old buckets and is not re-pointed: other catalogs in the given ones' databases, and
    tables of the given ones that are no Iceberg tables or belong to others."""
    given = {(catalog.describe(), name) for name, catalog in catalogs.items()}
    found: dict[tuple[str, str, str, str], list[str]] = {}
    counts: dict[tuple[str, str, str, str], int] = {}
    for catalog in catalogs.values():
        seen: dict[tuple[str, str, str, str], int] = {}
        for row in catalog.neighbours():
            where = (catalog.describe(), row.schema, row.catalog, row.reason)
            named = not row.schema and not row.reason and (catalog.describe(), row.catalog) in given
            if named or layout.map_uri(row.metadata_location) in (None, row.metadata_location):
                continue
            seen[where] = seen.get(where, 0) + 1
            name = ".".join(part for part in (row.namespace, row.name) if part)
            if name not in found.setdefault(where, []) and len(found[where]) < 3:
                found[where].append(name)
        counts |= seen  # the same database may be given twice
    for (database, schema, name, reason), count in counts.items():
        place = f"{name} in schema {schema} of {database}" if schema else f"{name} in {database}"
        examples = ", ".join(found[database, schema, name, reason])
        if reason:
            plan.add_finding(_other_tables(place, count, examples, reason))
            continue
        message = f"has {count} tables in the old buckets, such as {examples}"
        message += ", and is not given: its pointers stay, and lead nowhere when the old buckets are dropped"
        move = f"Name it, too: --catalog {name}, or [catalogs.{name}] in lake.toml."
        plan.add_finding(Finding.of("other-catalog", place, message, move, count=count))


def _other_tables(place: str, count: int, examples: str, reason: str) -> Finding:
    message = f"names {count} places in the old buckets that are not changed, such as that of {examples} ({reason}): "
    message += "they lead nowhere when the old buckets are dropped"
    move = "Change the locations of these tables and of their partitions yourself, or let their owner do it."
    return Finding.of("other-tables", place, message, move, count=count)


def find_merged_folders(plan: PlanFile, layout: Layout) -> None:
    """Report the folders at the target that get objects of two rules: readers of one folder then read both.

    If two rules share a prefix at the target, each folder of the rule with fewer objects is looked up in the other
    rule's source. The shared prefix itself does not count: the rules share it on purpose.
    """
    found = [merged for pair in _sharing(layout) for merged in _merged(plan, layout, *pair)]
    for (folder, one, other), count in first_of(found, EXAMPLES):
        message = f"gets the objects of {one} and of {other}: whoever reads the folder reads both"
        move = "Give one of them a rule of its own in [layout], if they do not belong together."
        place = f"s3://{layout.target_bucket}/{folder}/"
        plan.add_finding(Finding.of("merged-folders", place, message, move, count=count))


def _sharing(layout: Layout) -> Iterator[tuple[Rule, Rule, str]]:
    """Every two rules whose targets are equal or lie inside each other, and the inner target, which they share."""
    rules = [rule for rule in layout.rules if rule.target is not None]
    for number, one in enumerate(rules):
        for other in rules[number + 1 :]:
            outer, inner = sorted((one.target or "", other.target or ""), key=len)
            if outer == inner or not outer or inner.startswith(f"{outer}/"):
                yield one, other, inner


def _merged(plan: PlanFile, layout: Layout, one: Rule, other: Rule, shared: str) -> Iterator[tuple[str, str, str]]:
    """(target folder, source folder, other source folder) of what merges below the shared prefix."""
    counts = [_count(plan, rule, shared) for rule in (one, other)]
    few, many = (one, other) if counts[0] <= counts[1] else (other, one)
    if not min(counts):
        return
    for folder in _folders(plan, few, shared):
        here, there = _source(few, folder), _source(many, folder)
        if _governs(layout, few, here) and _governs(layout, many, there) and _holds_objects(plan, many.bucket, there):
            yield folder, f"s3://{few.bucket}/{here}/", f"s3://{many.bucket}/{there}/"


def _source(rule: Rule, target: str) -> str:
    """The source key that the rule maps to this target key. The key must lie below the rule's target."""
    rest = target[len(rule.target or "") :].lstrip("/")
    return f"{rule.prefix}/{rest}".strip("/")


def _count(plan: PlanFile, rule: Rule, shared: str) -> int:
    values = (rule.bucket, *keys_under(_source(rule, shared)))
    query = "SELECT count(*) FROM objects WHERE bucket = ? AND key >= ? AND key < ?"
    return int(plan.db.execute(query, values).fetchone()[0])


def _folders(plan: PlanFile, rule: Rule, shared: str) -> Iterator[str]:
    """The target folders below the shared prefix in which an object of the rule lies, each once."""
    root = f"{shared}/" if shared else ""
    plan.db.execute("CREATE TEMP TABLE IF NOT EXISTS folders (folder TEXT PRIMARY KEY) WITHOUT ROWID")
    plan.db.execute("DELETE FROM folders")
    # Cutting off all characters but slashes from the end of a key leaves its folder.
    plan.db.execute(
        "INSERT OR IGNORE INTO folders SELECT rtrim(target, replace(target, '/', '')) FROM objects"
        f" WHERE bucket = ? AND key >= ? AND key < ? AND target IS NOT NULL AND {MOVES} AND size > 0",
        (rule.bucket, *keys_under(_source(rule, shared))),
    )
    for (folder,) in plan.db.execute("SELECT folder FROM folders"):
        if folder != root and folder.startswith(root):
            yield folder[:-1]


def _governs(layout: Layout, rule: Rule, folder: str) -> bool:
    """True if no other rule takes the objects in this source folder."""
    return layout.rule_for(rule.bucket, f"{folder}/x") == rule


def _holds_objects(plan: PlanFile, bucket: str, folder: str) -> bool:
    """True if an object that moves lies directly in this source folder. Subfolders are skipped."""
    low, high = keys_under(folder)
    query = f"SELECT key FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND {MOVES} ORDER BY key LIMIT 1"
    for _ in range(MAX_STEPS):
        row = plan.db.execute(query, (bucket, low, high)).fetchone()
        if row is None:
            return False
        child, slash, _ = row[0][len(folder) + 1 :].partition("/")
        if child and not slash:
            return True
        low = f"{folder}/{child}0" if slash else f"{row[0]}\0"  # past the subfolder ("0" follows "/"), or its marker
    return False
