"""Finds what the user may have forgotten: buckets that no rule names, other catalogs in the same database, and folders
of two sources that become one folder at the target."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from migrator.catalogs import Catalog
from migrator.errors import StoreError
from migrator.findings import EXAMPLES, Finding, first_of
from migrator.layout import Layout, Location, Rule
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import MOVES, keys_under
from migrator.store import Store

MAX_STEPS = 1000
"""How many subfolders of a folder are skipped to find an object that lies directly in it."""

_PARTITION = re.compile("[^=]+=[^=]")


def find_buckets(plan: PlanFile, store: Store, layout: Layout) -> None:
    """Report the buckets that no rule names. Reports nothing if the server refuses to list its buckets."""
    try:
        names = store.bucket_names()
    except StoreError:
        return
    beside = [name for name in names if name not in layout.buckets and name != layout.target_bucket]
    for name, count in first_of(beside, EXAMPLES):
        message = "is named by no rule: none of its objects is listed or moved"
        move = f'If it is part of the lake, add a rule for it to [layout], such as "s3://{name}/" = "{name}/".'
        plan.add_finding(Finding.of("bucket-beside", f"s3://{name}/", message, move, count=count))


def find_neighbours(plan: PlanFile, layout: Layout, catalogs: Mapping[str, Catalog]) -> None:
    """Report tables in the old buckets that are not re-pointed: those of other catalogs in the same databases, and
    those of the given catalogs that are no Iceberg tables or belong to others."""
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
        message += ", and is not given: its pointers stay, and name missing files when the old buckets are deleted"
        move = f"Give it, too: --catalog {shlex.quote(name)}, or [catalogs.{name}] in lake.toml."
        plan.add_finding(Finding.of("other-catalog", place, message, move, count=count))


def _other_tables(place: str, count: int, examples: str, reason: str) -> Finding:
    message = f"names {count} places in the old buckets that are not changed, such as that of {examples} ({reason}): "
    message += "they name missing files when the old buckets are deleted"
    move = "Change the locations of these tables and of their partitions yourself, or let their owner do it."
    return Finding.of("other-tables", place, message, move, count=count)


def find_merged_folders(plan: PlanFile, layout: Layout) -> None:
    """Report the folders at the target that get objects of two rules: readers of one folder then read both.

    If two rules share a prefix at the target, each folder of the rule with fewer objects is looked up in the other
    rule's source. The shared prefix itself does not count: the rules share it on purpose.

    Partitions such as ``day=1/`` count as the folder that they are in. A folder merges if one rule has objects in it
    and the other one has some anywhere below. Inside of an Iceberg table, only objects in the very same folder count.
    """
    tables = _table_folders(plan, layout)
    pairs = [_Pair(plan, layout, *pair, tables) for pair in _sharing(plan, layout)]
    found = [merged for pair in pairs for merged in pair.merged()]
    for (folder, one, other), count in first_of(found, EXAMPLES):
        message = f"gets the objects of {one} and of {other}: readers of the folder read both"
        move = "Give one of them another target with a rule in [layout], if they do not belong together."
        place = f"s3://{layout.target_bucket}/{folder}/"
        plan.add_finding(Finding.of("merged-folders", place, message, move, count=count))


def _table_folders(plan: PlanFile, layout: Layout) -> frozenset[str]:
    """The folders at the target that are the location of a table."""
    places = (
        Location.parse(uri) for (uri,) in plan.db.execute("SELECT new_location FROM tables WHERE new_location > ''")
    )
    return frozenset(at.key.strip("/") for at in places if at is not None and at.bucket == layout.target_bucket)


def _sharing(plan: PlanFile, layout: Layout) -> Iterator[tuple[Rule, Rule, str]]:
    """Every two rules whose targets are equal or lie inside each other, and the inner target, which they share. The
    rule with fewer objects there comes first. Rules without objects there are left out."""
    rules = [rule for rule in layout.rules if rule.target is not None]
    for number, one in enumerate(rules):
        for other in rules[number + 1 :]:
            outer, inner = sorted((one.target or "", other.target or ""), key=len)
            if outer == inner or not outer or inner.startswith(f"{outer}/"):
                counts = [_count(plan, rule, inner) for rule in (one, other)]
                if min(counts):
                    yield *((one, other) if counts[0] <= counts[1] else (other, one)), inner


def _source(rule: Rule, target: str) -> str:
    """The source key that the rule maps to this target key. The key must lie below the rule's target."""
    rest = target[len(rule.target or "") :].lstrip("/")
    return f"{rule.prefix}/{rest}".strip("/")


def _count(plan: PlanFile, rule: Rule, shared: str) -> int:
    values = (rule.bucket, *keys_under(_source(rule, shared)))
    query = "SELECT count(*) FROM objects WHERE bucket = ? AND key >= ? AND key < ?"
    return int(plan.db.execute(query, values).fetchone()[0])


def _joined(folder: str, rest: str) -> str:
    return f"{folder}/{rest}" if folder else rest


def _is_partition(name: str) -> bool:
    """True for the name of a folder such as ``day=1``."""
    return _PARTITION.match(name) is not None


def _parents(folder: str) -> Iterator[str]:
    """The folders that contain this one, the innermost first."""
    while folder := folder.rpartition("/")[0]:
        yield folder


def _unpartitioned(folder: str) -> str:
    """The folder that a reader names to read this one: the part before its first partition. The first name always
    stays: the prefix before it is the one that the rules share on purpose."""
    parts = folder.split("/")
    ends = (number for number, part in enumerate(parts) if number and _is_partition(part))
    return "/".join(parts[: next(ends, len(parts))])


class _Look(IntEnum):
    """Which objects of the other rule merge with a folder. A folder that is found twice takes the higher one."""

    DIRECT = 0
    """Those directly in it, or in its partitions: the folder has objects only further below."""
    BELOW = 1
    """Those anywhere below: the folder has objects directly or in its partitions."""
    SAME = 2
    """Those directly in it: the folder lies in a table, whose readers list no folders."""


@dataclass(frozen=True)
class _Pair:
    """Two rules that share a prefix at the target. Folders without a bucket are relative to this prefix."""

    plan: PlanFile
    layout: Layout
    few: Rule
    many: Rule
    shared: str
    tables: frozenset[str]

    def merged(self) -> Iterator[tuple[str, str, str]]:
        """(target folder, source folder, other source folder) of the folders that merge below the shared prefix."""
        here, there = (_source(rule, self.shared) for rule in (self.few, self.many))
        self._note_folders(here)
        for folder, look in self.plan.db.execute("SELECT folder, look FROM looks ORDER BY folder"):
            if self._holds_objects(there, folder, _Look(look)):
                one, other = (_joined(source, folder) for source in (here, there))
                yield (
                    _joined(self.shared, folder),
                    f"s3://{self.few.bucket}/{one}/",
                    f"s3://{self.many.bucket}/{other}/",
                )

    def _note_folders(self, here: str) -> None:
        """Write the folders that may merge to the temporary table ``looks``, each once."""
        db, last = self.plan.db, ""
        db.execute("CREATE TEMP TABLE IF NOT EXISTS looks (folder TEXT PRIMARY KEY, look INTEGER) WITHOUT ROWID")
        db.execute("DELETE FROM looks")
        note = "INSERT INTO looks VALUES (?, ?) ON CONFLICT DO UPDATE SET look = max(look, excluded.look)"
        for folder in self._folders(here):
            if self._table_of(folder):
                db.execute(note, (folder, _Look.SAME))
                continue
            whole = _unpartitioned(folder)
            if whole == last:
                continue
            db.execute(note, (whole, _Look.BELOW))
            for parent in _parents(whole):
                if f"{last}/".startswith(f"{parent}/"):
                    break  # noted with the last folder, like all folders above it
                db.execute(note, (parent, _Look.DIRECT))
            last = whole

    def _folders(self, here: str) -> Iterator[str]:
        """The folders in which an object of the rule with fewer objects lies, in order, each once."""
        db, start = self.plan.db, len(here) + 1 if here else 0
        db.execute("CREATE TEMP TABLE IF NOT EXISTS folders (folder TEXT PRIMARY KEY) WITHOUT ROWID")
        db.execute("DELETE FROM folders")
        # Cutting off all characters but slashes from the end of a key leaves its folder.
        db.execute(
            "INSERT OR IGNORE INTO folders SELECT rtrim(key, replace(key, '/', '')) FROM objects"
            f" WHERE bucket = ? AND key >= ? AND key < ? AND target IS NOT NULL AND {MOVES} AND size > 0",
            (self.few.bucket, *keys_under(here)),
        )
        for (folder,) in db.execute("SELECT folder FROM folders ORDER BY folder"):
            if folder[start:-1] and self.layout.rule_for(self.few.bucket, f"{folder}x") == self.few:
                yield folder[start:-1]

    def _table_of(self, folder: str) -> str:
        """The table's folder at the target that this folder is or lies in; "" if it is in none."""
        if not self.tables:
            return ""
        at = _joined(self.shared, folder)
        return next((place for place in (at, *_parents(at)) if place in self.tables), "")

    def _holds_objects(self, there: str, folder: str, look: _Look) -> bool:
        """True if an object that the rule with more objects moves lies in this folder, at the depth that ``look`` says.
        Keys that cannot match are skipped."""
        base = _joined(there, folder)
        low, high = keys_under(base)
        query = f"SELECT key FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND {MOVES} AND size > 0"
        for _ in range(MAX_STEPS):
            row = self.plan.db.execute(f"{query} ORDER BY key LIMIT 1", (self.many.bucket, low, high)).fetchone()
            if row is None:
                return False
            key = str(row[0])
            child, slash, _ = key[len(base) + 1 :].partition("/")
            skipped = self._of_others(there, key, look)
            if not skipped:
                direct = bool(child and not slash) or (look == _Look.DIRECT and _is_partition(child))
                if direct or look == _Look.BELOW:
                    return True
                skipped = f"{base}/{child}" if slash else ""
            low = f"{skipped}0" if skipped and key.startswith(f"{skipped}/") else f"{key}\0"  # "0" follows "/"
        return False

    def _of_others(self, there: str, key: str, look: _Look) -> str:
        """The source folder of another rule or of a table in which this object lies; "" if it lies in none."""
        rule = self.layout.rule_for(self.many.bucket, key)
        if rule is not None and rule != self.many:
            return rule.prefix
        if look == _Look.SAME:
            return ""
        start = len(there) + 1 if there else 0
        table = self._table_of(key[start:].rpartition("/")[0])
        return _source(self.many, table) if table else ""
