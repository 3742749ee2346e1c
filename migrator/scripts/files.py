"""Local files: chooses which ones to read, reads them, and replaces changed ones.

A file is replaced as a whole or not at all, keeps its mode, and is not replaced if somebody changed it meanwhile. A
symbolic link is never replaced by a file, and is not followed out of the given paths.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from migrator.errors import ConfigError

MOST_BYTES = 64 << 20
"""The size up to which files are read."""
IGNORED_FOLDERS = frozenset({".git", ".hg", ".svn", ".jj"})
"""Folders of version control, in which nothing is changed."""
CONFIGURATION = "lake.toml"
"""Its [layout] must keep the old places."""

_BACKUP = re.compile(r".*\.bak(?:\.\d+)?")

_LAYOUT = re.compile(r"^[ \t]*\[[ \t]*layout[ \t]*\]", re.MULTILINE)

IS_BACKUP = "a backup"
IS_CONFIGURATION = "the configuration of migrator, which must name the old places"
IS_VERSION_CONTROL = "a folder of version control"
IS_LINK = "a symbolic link; its target is among the given paths"
LEADS_OUT = "a symbolic link to a place outside of the given paths"
LEADS_NOWHERE = "a broken symbolic link"
NO_FILE = "neither a file nor a folder"
TOO_LARGE = f"larger than {MOST_BYTES >> 20} MiB"
NOT_WRITTEN = "cannot be written"
NOT_TEXT = "not UTF-8 text"
NOT_TEXT_MAYBE_OLD = "not UTF-8 text, but may name an old path"
NOT_TEXT_BUT_OLD = "not UTF-8 text, but names an old path"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that was not rewritten, and why. ``unsure``: it may still name old paths, so a person must check
    it."""

    path: str
    reason: str
    unsure: bool


def walk(paths: Sequence[str | Path], configuration: Path | None = None) -> Iterator[Path | Skipped]:
    """Yield every file at or below these paths, each once, in order; and what is left out.

    ``configuration``: the lake.toml that is in use. Raises ConfigError if a path does not exist."""
    for given in paths:
        if not str(given) or not Path(given).exists():  # "", an unset variable of a shell, is not the current folder
            raise ConfigError(f"{str(given)!r} does not exist.", next_move="Give files and folders.")
    roots = [os.path.realpath(given) for given in paths]
    seen: set[str] = set()
    for given in paths:
        for one in _below(Path(given), roots, configuration, is_given=True):
            place = str(one.path) if isinstance(one, Skipped) else os.path.realpath(one)
            if place not in seen:
                seen.add(place)
                yield one


def _below(
    path: Path, roots: Collection[str], configuration: Path | None, *, is_given: bool
) -> Iterator[Path | Skipped]:
    """A file, or all files of a folder. Only a link that was given is followed."""
    try:
        if path.is_symlink() and not is_given:
            yield _skipped_link(path, roots)
            return
        mode = path.stat().st_mode
        entries = sorted(path.iterdir()) if stat.S_ISDIR(mode) else []
    except OSError as error:
        yield Skipped(str(path), f"cannot be read: {error.strerror}", True)
        return
    if stat.S_ISREG(mode):
        reason = _left_alone(path, configuration, is_given=is_given)
        yield Skipped(str(path), reason, False) if reason else path
    elif not stat.S_ISDIR(mode):
        yield Skipped(str(path), NO_FILE, False)
    for entry in entries:
        if entry.name in IGNORED_FOLDERS and not entry.is_symlink():
            yield Skipped(str(entry), IS_VERSION_CONTROL, False)
        else:
            yield from _below(entry, roots, configuration, is_given=False)


def _left_alone(path: Path, configuration: Path | None, *, is_given: bool) -> str | None:
    """Why a file must not be rewritten, independent of its content; None if it may be."""
    in_use = configuration is not None and configuration.exists() and path.samefile(configuration)
    if in_use or path.name == CONFIGURATION:
        return IS_CONFIGURATION
    return IS_BACKUP if not is_given and _BACKUP.fullmatch(path.name) else None


def _skipped_link(path: Path, roots: Collection[str]) -> Skipped:
    leads_to = os.path.realpath(path)
    if not Path(leads_to).exists():
        return Skipped(str(path), LEADS_NOWHERE, False)
    inside = any(leads_to == root or leads_to.startswith(root.rstrip("/") + "/") for root in roots)
    return Skipped(str(path), IS_LINK if inside else LEADS_OUT, not inside)


def read_file(path: Path) -> bytes | Skipped:
    """The bytes of a file, or why they were not read."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                return Skipped(str(path), TOO_LARGE, True)
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        return Skipped(str(path), f"cannot be read: {error.strerror}", True)


def is_configuration(path: PurePath, text: str) -> bool:
    """True for a configuration of migrator under any name: each wave may have one."""
    return path.suffix == ".toml" and _LAYOUT.search(text) is not None


def decode(data: bytes) -> str | None:
    """The text, with line ends and a byte order mark as they are; None if the bytes are not UTF-8 text."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def replace_file(path: Path, old: bytes, new: bytes, *, backup: bool) -> str | None:
    """Replace ``old`` by ``new`` atomically, with the same mode and owner. Returns the path of the backup.

    Raises OSError, and does not change the file, if its content is no longer ``old``."""
    place = Path(os.path.realpath(path))
    status = place.stat()
    made: list[str] = []
    try:
        kept = _beside(place, old, status, made) if backup else None
        handle, temporary = tempfile.mkstemp(prefix=f".{place.name[:100]}.", suffix=".tmp", dir=place.parent)
        made.append(temporary)
        _fill(handle, new, status)
        if place.read_bytes() != old:
            raise OSError(0, "somebody changed it meanwhile")
        Path(temporary).replace(place)
    except BaseException:
        for leftover in made:
            with suppress(OSError):
                Path(leftover).unlink()
        raise
    return kept


def _beside(place: Path, data: bytes, status: os.stat_result, made: list[str]) -> str:
    """Write the old bytes to the first free backup name in the same folder, which is added to ``made``."""
    number = 0
    while True:
        name = f"{place}.bak" + (f".{number}" if number else "")
        try:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            number += 1
            continue
        made.append(name)
        _fill(handle, data, status)
        return name


def _fill(handle: int, data: bytes, status: os.stat_result) -> None:
    """Write a new file, with the owner, as far as that is allowed, and the mode of the old one."""
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        with suppress(OSError):
            os.fchown(handle, status.st_uid, status.st_gid)
        os.fchmod(handle, stat.S_IMODE(status.st_mode))
        file.flush()
        os.fsync(handle)
