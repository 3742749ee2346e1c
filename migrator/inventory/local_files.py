"""Local folders that are uploaded: ``"file:///tmp/checkpoints/" = "checkpoints/"`` in ``[layout]``.

Such a rule also maps the paths that tables record (:class:`migrator.layout.recorded.Recorded`). Its folder is uploaded
if it exists, and must exist if no other rule brings objects to its target.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from migrator.layout import Layout
from migrator.layout.recorded import Recorded
from migrator.planfile.queries import has_checksum_size
from migrator.store import StoredObject

_SCHEME = "file://"
BLOCK = 1 << 20


@dataclass(frozen=True)
class LocalFolder:
    """A folder that is uploaded below the target of its rule."""

    path: Path
    rule: Recorded

    @property
    def target(self) -> str:
        """The prefix in the target bucket, without a slash at its end."""
        return self.rule.target or ""

    @property
    def place(self) -> str:
        """The folder as a URI with a slash at its end."""
        return f"{_SCHEME}{self.path}/"

    def target_of(self, path: Path) -> str:
        """The target key of a file in the folder."""
        return "/".join(part for part in (self.target, path.relative_to(self.path).as_posix()) if part)


@dataclass
class LocalFiles:
    """The files of a folder. ``problems``: what cannot be uploaded, with the reason; ``left_out``: how many are not
    regular files."""

    files: list[tuple[Path, StoredObject]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: int = 0


def local_folders(layout: Layout) -> list[LocalFolder]:
    """The folders that the layout uploads."""
    folders = []
    for rule in layout.recorded:
        path = rule.prefix.removeprefix(_SCHEME)
        if rule.target is None or not path.startswith("/") or path == rule.prefix:
            continue
        if Path(path).is_dir() or not _has_objects(layout, rule):
            folders.append(LocalFolder(Path(path), rule))
    return folders


def misspelled_rules(layout: Layout) -> list[str]:
    """The rules that look like local folders, but name a host or have another wrong spelling, so that nothing is
    uploaded. Spelled as in ``[layout]``."""
    rules = [rule for rule in layout.recorded if rule.target is not None and not _has_objects(layout, rule)]
    names = [rule.prefix for rule in rules if rule.prefix.lower().startswith("file:")]
    return [name for name in names if not name.startswith(f"{_SCHEME}/") or name == f"{_SCHEME}/"]


def _has_objects(layout: Layout, recorded: Recorded) -> bool:
    """True if a rule moves objects to the target of this rule, or to a folder around it."""
    target = f"{recorded.target}/"
    moved = (rule.target for rule in layout.rules if rule.target is not None)
    return any(not prefix or target.startswith(f"{prefix}/") for prefix in moved)


def read_folder(folder: LocalFolder, layout: Layout) -> LocalFiles:
    """Read all files of the folder to which no longer rule of the layout applies. The key of each file is its path
    without the first slash, its ETag is its MD5.

    Hadoop's checksum files (``.x.crc`` beside ``x``, if the size fits) and temporary files (``.x.tmp``) are left out,
    and so are symbolic links. A file that vanishes meanwhile is ignored: a running stream removes files."""
    found = LocalFiles()
    if not folder.path.is_dir():
        found.problems.append("does not exist on this machine, or is no folder")
        return found
    for path in _walk(folder.path, found):
        if _is_hadoops(path):
            continue
        if layout.recorded_rule(f"{_SCHEME}{path}") != folder.rule:
            continue
        try:
            str(path).encode()
            with path.open("rb") as file:
                md5, size = digest(file, "md5"), file.tell()
                modified = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
        except FileNotFoundError:
            continue
        except (OSError, UnicodeEncodeError) as error:
            shown = str(path).encode("utf-8", "replace").decode()
            found.problems.append(f"has a file that cannot be read: {shown} ({getattr(error, 'strerror', 'its name')})")
            continue
        found.files.append((path, StoredObject(str(path)[1:], size, md5, modified)))
    if not found.files and not found.problems:
        found.problems.append("has no file")
    return found


def _is_hadoops(path: Path) -> bool:
    """True for the checksum file of a file beside it, and for a temporary file."""
    name = path.name
    if not name.startswith("."):
        return False
    if not name.endswith(".crc"):
        return name.endswith(".tmp")
    try:
        return has_checksum_size(path.stat().st_size, path.with_name(name[1:-4]).stat().st_size)
    except (OSError, ValueError):  # ValueError: the name is only ".crc"
        return False


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes; "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            return digest(file, "sha256")
    except OSError:
        return ""


def digest(file: BinaryIO, algorithm: str) -> str:
    """The digest of the rest of a file, in hexadecimal digits."""
    running = hashlib.new(algorithm, usedforsecurity=False)
    while data := file.read(BLOCK):
        running.update(data)
    return running.hexdigest()


def _walk(folder: Path, found: LocalFiles) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        found.problems.append(f"has a folder that cannot be read: {error.filename} ({error.strerror})")

    for at, folders, names in os.walk(folder, onerror=refused):
        folders.sort()
        found.left_out += sum(Path(at, name).is_symlink() for name in folders)
        for name in sorted(names):
            path = Path(at, name)
            try:
                is_file = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            found.left_out += not is_file
            if is_file:
                yield path
