"""Lists of objects in text files: one URI a line. What failed is written so, and such a list is read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from migrator.errors import ConfigError
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.place import create_private
from migrator.planfile.rows import SKIP

EXAMPLES = 10


def failed_list(plan: Path) -> Path:
    """Where a run of a plan lists the objects that it could not copy."""
    return plan.with_name(plan.name + ".failed.txt")


def write_list(path: Path, uris: Iterable[str]) -> None:
    """Write one URI a line; one that a line cannot hold as it is becomes a JSON string. Only its owner can read it."""
    path.unlink(missing_ok=True)
    with os.fdopen(create_private(path), "w", encoding="utf-8") as file:
        for uri in uris:
            plain = uri.isprintable() and uri == uri.strip() and not uri.startswith('"')
            file.write((uri if plain else json.dumps(uri)) + "\n")


def list_failures(path: Path, uris: Iterable[str]) -> str:
    """Write what could not be copied, and say in one line where that is, or why it is not there."""
    try:
        write_list(path, uris)
    except OSError as error:
        return f"They could not be listed in {path}: {error.strerror or error}.\n"
    return f'They are listed in {path}: "migrator migrate PLAN --files-from" takes it.\n'


def read_list(path: Path) -> frozenset[tuple[str, str]]:
    """The (bucket, key) pairs of a list. Raises ConfigError for a file or a line that cannot be read, and for a list
    of nothing."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", next_move="Check --files-from.") from error
    found = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            uri = json.loads(line) if line.startswith('"') else line.removesuffix("\r")
        except json.JSONDecodeError:
            uri = ""
        at = Location.parse(uri)
        if at is None or not at.key:
            raise ConfigError(
                f"{path}, line {number}: {line!r} is no object's URI.", next_move="Write it as s3://bucket/key."
            )
        found.add((at.bucket, at.key))
    if not found:
        raise ConfigError(
            f"{path} lists no object.", next_move="Write one s3:// URI a line, or leave --files-from out."
        )
    return frozenset(found)


def check_listed(plan: PlanFile, listed: Iterable[tuple[str, str]]) -> None:
    """Raises ConfigError that names those of the listed objects that the plan does not copy as they are."""
    unknown, rewritten = [], []
    for bucket, key in sorted(listed):
        if plan.lookup("SELECT 1 FROM versions WHERE bucket = ? AND key = ? LIMIT 1", (bucket, key)):
            continue
        planned = plan.object_at(bucket, key)
        if planned is None or planned.action == SKIP:
            unknown.append(f"s3://{bucket}/{key}")
        elif planned.role:
            rewritten.append(planned.place)
    if unknown:
        raise ConfigError(
            f"{len(unknown)} of the listed objects are not in the plan; nothing was copied:\n{_first(unknown)}",
            next_move="Correct the list. What is new since planning needs a new plan.",
        )
    if rewritten:
        raise ConfigError(
            f"{len(rewritten)} of the listed objects are files of tables, which are not copied one by one; nothing was "
            f"copied:\n{_first(rewritten)}",
            next_move="Take them out of the list. Without --files-from they are moved with their tables.",
        )


def _first(places: list[str]) -> str:
    more = f"  … and {len(places) - EXAMPLES} more\n" if len(places) > EXAMPLES else ""
    return "".join(f"  {place}\n" for place in places[:EXAMPLES]) + more
