"""Keys that some servers refuse or change, because they store objects as files in directories."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.findings import EXAMPLES
from migrator.planfile.file import PlanFile
from migrator.planfile.queries import TO_WRITE

LONGEST = 255
"""The most bytes between two slashes of a key on a server that uses them as file names."""


@dataclass(frozen=True)
class Shape:
    """A kind of key that some servers refuse. ``name``: an example. ``said``: how findings describe it."""

    name: str
    said: str


SLASHES = Shape("a//b", "an empty name between two slashes (//)")
DOT = Shape("a/./b", 'the name "."')
DOTS = Shape("a/b/../c", 'the name ".."')
LONG = Shape(f"{'x' * (LONGEST + 1)}", f"a name of more than {LONGEST} bytes between two slashes")


def shape_of(key: str) -> tuple[Shape, int] | None:
    """Why some servers refuse a key, and the position of that part; None for an ordinary key."""
    at = 0
    names = key.split("/")
    for number, name in enumerate(names):
        last = number == len(names) - 1
        shape = {".": DOT, "..": DOTS}.get(name) or (SLASHES if not name and not (last and number) else None)
        if shape is None and len(name.encode()) > LONGEST:
            shape = LONG
        if shape is not None:
            return shape, at
        at += len(name) + 1
    return None


def odd_keys(plan: PlanFile) -> dict[Shape, dict[tuple[str, str], int]]:
    """The target keys that some servers refuse, as kind → (old folder that holds them, the first of them) → how many.

    At most EXAMPLES folders of each kind are named."""
    query = (
        f"SELECT bucket, key, target FROM objects WHERE {TO_WRITE} AND (target LIKE '%//%' OR target LIKE '/%'"
        " OR '/' || target || '/' LIKE '%/./%' OR '/' || target || '/' LIKE '%/../%'"
        f" OR length(CAST(target AS BLOB)) > {LONGEST}) ORDER BY bucket, key"
    )
    found: dict[Shape, dict[str, tuple[str, int]]] = {}
    for bucket, key, target in plan.db.execute(query):
        odd = shape_of(target)
        if odd is None:
            continue
        shape, at = odd
        kept = max(0, len(key) - (len(target) - at))  # the old key has the same ending as the new one
        folder = f"s3://{bucket}/{key[:kept]}"
        folders = found.setdefault(shape, {})
        if folder in folders or len(folders) < EXAMPLES:
            example, count = folders.get(folder, (f"s3://{bucket}/{key}", 0))
            folders[folder] = example, count + 1
    return {s: {(folder, e): n for folder, (e, n) in folders.items()} for s, folders in found.items()}
