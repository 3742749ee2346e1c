"""Lists of objects in text files: one URI a line. What failed is written so, and such a list is read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from migrator.errors import ConfigError
from migrator.layout import Location


def failed_list(plan: Path) -> Path:
    """Where a run of a plan lists the objects that it could not copy."""
    return plan.with_name(plan.name + ".failed.txt")


def write_list(path: Path, uris: Iterable[str]) -> None:
    """Write one URI a line; one that a line cannot hold as it is becomes a JSON string."""
    with path.open("w", encoding="utf-8") as file:
        for uri in uris:
            plain = uri.isprintable() and uri == uri.strip()
            file.write((uri if plain else json.dumps(uri)) + "\n")


def read_list(path: Path) -> frozenset[tuple[str, str]]:
    """The (bucket, key) pairs of a list. Raises ConfigError for a file or a line that cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
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
    return frozenset(found)
