"""``migrator rewrite-config``: reads and rewrites every file of the given paths, and replaces it with ``--write``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from migrator.errors import Unreadable
from migrator.scripts.diff import unified_diff
from migrator.scripts.files import (
    CONFIGURATION,
    IS_CONFIGURATION,
    NOT_TEXT,
    NOT_TEXT_BUT_OLD,
    NOT_TEXT_MAYBE_OLD,
    NOT_WRITTEN,
    Skipped,
    decode,
    is_configuration,
    read_file,
    replace_file,
    walk,
)
from migrator.scripts.found import Change, Doubt, Names
from migrator.scripts.packed import names_old_path
from migrator.scripts.rewrite import Rewritten, rewrite_text


def rewrite_bytes(name: str, data: bytes, names: Names) -> Rewritten | None:
    """The rewritten text of a script called ``name``. None for files that are not rewritten: those that are not UTF-8
    text, and configurations of migrator, which must keep the old places."""
    text = decode(data)
    path = PurePosixPath(name)
    if text is None or path.name == CONFIGURATION or is_configuration(path, text):
        return None
    return rewrite_text(text, names)


@dataclass(frozen=True)
class RewrittenFile:
    """A file with paths that change, or with places that a person must check."""

    path: str
    changes: tuple[Change, ...]
    doubts: tuple[Doubt, ...]
    diff: str
    written: bool = False
    backup: str | None = None
    """The path of the backup."""


@dataclass
class RewrittenFiles:
    """The result for all files. ``unchanged`` counts the texts without a finding."""

    written: bool
    files: list[RewrittenFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unchanged: int = 0

    @property
    def changes(self) -> int:
        """How many places are certain."""
        return sum(len(file.changes) for file in self.files)

    @property
    def doubts(self) -> int:
        """How many places a person must check."""
        return sum(len(file.doubts) for file in self.files)

    @property
    def unsure(self) -> list[Skipped]:
        """The files that could not be read or written, and may name old paths."""
        return [one for one in self.skipped if one.unsure]

    @property
    def ok(self) -> bool:
        """True if a person need not check anything."""
        return not self.doubts and not self.unsure


def rewrite_files(
    paths: Sequence[str | Path], names: Names, *, write: bool, backup: bool, configuration: Path | None = None
) -> RewrittenFiles:
    """Rewrite the texts of these files and of those in these folders; change the files only with ``write``.

    Raises ConfigError if one of the paths does not exist."""
    result = RewrittenFiles(write)
    for one in _read(paths, configuration):
        if isinstance(one, Skipped):
            result.skipped.append(one)
            continue
        path, data = one
        replace = partial(replace_file, path, data, backup=backup) if write else None
        look_at(str(path), _name_in_diff(path), data, names, result, replace)
    return result


def look_at(
    path: str,
    name_in_diff: str,
    data: bytes,
    names: Names,
    result: RewrittenFiles,
    replace: Callable[[bytes], str | None] | None = None,
) -> None:
    """Add the findings of a file to the result. ``replace``: writes the new text, and returns the path of the
    backup."""
    done = rewrite_bytes(path, data, names)
    if done is None:
        text = decode(data)
        result.skipped.append(
            Skipped(path, IS_CONFIGURATION, False) if text is not None else _no_text(path, data, names)
        )
        return
    if not done.changes and not done.doubts:
        result.unchanged += 1
        return
    diff = unified_diff(name_in_diff, data.decode(), done.edits)
    written, kept = False, None
    if replace is not None and done.edits:
        try:
            kept = replace(done.text.encode())
            written = True
        except OSError as error:
            result.skipped.append(Skipped(path, f"{NOT_WRITTEN}: {error.strerror}", True))
    doubts = done.doubts_after() if written else done.doubts
    result.files.append(RewrittenFile(path, done.changes, doubts, diff, written, kept))


def _name_in_diff(path: Path) -> str:
    """The path from the current folder, where the diff is applied; from the root for a file outside of it."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole).lstrip("/")


def _read(paths: Sequence[str | Path], configuration: Path | None) -> Iterator[tuple[Path, bytes] | Skipped]:
    for one in walk(paths, configuration):
        data = one if isinstance(one, Skipped) else read_file(one)
        if isinstance(one, Path) and isinstance(data, bytes):
            yield one, data
        elif isinstance(data, Skipped):
            yield data


def _no_text(path: str, data: bytes, names: Names) -> Skipped:
    """Why a file that is not UTF-8 text is skipped."""
    try:
        old = names_old_path(path, data, names)
    except Unreadable as error:
        return Skipped(path, f"{NOT_TEXT}; whether it names an old path is not known: {error.reason}", True)
    return Skipped(path, (NOT_TEXT, NOT_TEXT_MAYBE_OLD, NOT_TEXT_BUT_OLD)[old], bool(old))
