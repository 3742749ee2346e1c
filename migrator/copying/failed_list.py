"""Lists of objects in text files, one URI a line: written for objects that could not be copied, read for
``migrate --files-from``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from migrator.errors import ConfigError, first_lines
from migrator.layout import Location
from migrator.planfile.file import PlanFile
from migrator.planfile.objects import object_at
from migrator.planfile.place import create_private
from migrator.planfile.rows import SKIP

EXAMPLES = 10


def failed_list(plan: Path) -> Path:
    """The path of the list of objects that a run of this plan could not copy."""
    return plan.with_name(plan.name + ".failed.txt")


def write_list(path: Path, uris: Iterable[str]) -> None:
    """Write one URI a line, in a file that only its owner can read. A URI that would be read back differently, such as
    one with a line break, is written as a JSON string."""
    path.unlink(missing_ok=True)
    with os.fdopen(create_private(path), "w", encoding="utf-8") as file:
        for uri in uris:
            plain = uri.isprintable() and uri == uri.strip() and not uri.startswith('"')
            file.write((uri if plain else json.dumps(uri)) + "\n")


def list_failures(path: Path, uris: Iterable[str], *, again: bool = True) -> str:
    """Write the list of what could not be copied. Returns a line for the user: where the list is, or why it could not
    be written. ``again``: the same plan can copy these objects later."""
    try:
        write_list(path, uris)
    except OSError as error:
        return f"They could not be listed in {path}: {error.strerror or error}.\n"
    takes = ': use it with "migrator migrate PLAN --files-from"' if again else ""
    return f"They are listed in {path}{takes}.\n"


def read_list(path: Path) -> frozenset[tuple[str, str]]:
    """The (bucket, key) pairs of a list. Raises ConfigError for a file or a line that cannot be read, and for an empty
    list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", next_move="Check --files-from.") from error
    listed = {_parse_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()}
    if not listed:
        raise ConfigError(
            f"{path} lists no object.", next_move="Write one s3:// URI a line, or leave --files-from out."
        )
    return frozenset(listed)


def _parse_line(path: Path, number: int, line: str) -> tuple[str, str]:
    """The bucket and key that a line names. Raises ConfigError."""
    try:
        uri = json.loads(line) if line.startswith('"') else line.removesuffix("\r")
    except json.JSONDecodeError:
        uri = ""
    location = Location.parse(uri)
    if location is None or not location.key:
        raise ConfigError(
            f"{path}, line {number}: {line!r} is no object's URI.", next_move="Write it as s3://bucket/key."
        )
    return location.bucket, location.key


def check_listed(plan: PlanFile, listed: Iterable[tuple[str, str]]) -> None:
    """Raises ConfigError if the plan does not copy some of the listed objects, or rewrites them; it names the first of
    them."""
    unknown, rewritten = [], []
    for bucket, key in sorted(listed):
        if plan.lookup("SELECT 1 FROM versions WHERE bucket = ? AND key = ? LIMIT 1", (bucket, key)):
            continue
        planned = object_at(plan, bucket, key)
        if planned is None or planned.action == SKIP:
            unknown.append(f"s3://{bucket}/{key}")
        elif planned.role:
            rewritten.append(planned.place)
    if unknown:
        raise ConfigError(
            f"{len(unknown)} of the listed objects are not in the plan; nothing was copied:\n"
            f"{first_lines(unknown, EXAMPLES)}\n",
            next_move="Correct the list. Objects that are newer than the plan need a new plan.",
        )
    if rewritten:
        raise ConfigError(
            f"{len(rewritten)} of the listed objects are files of tables, which are not copied one by one; nothing was "
            f"copied:\n{first_lines(rewritten, EXAMPLES)}\n",
            next_move="Remove them from the list. Without --files-from they are moved with their tables.",
        )
