"""Writes the file from which executors import migrator: ``migrator pack``.

botocore reads files of its own (its description of S3, certificates), which it does not find inside a zip file. So the
zip has one more module, which unpacks it into a folder next to it on each executor; see ``_UNPACK``.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from migrator._version import __version__
from migrator.errors import ConfigError
from migrator.workers.requirements import PACKED, python_version

PACKAGES = ("migrator", "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
"""The packages that executors import. All are pure Python."""
SERVICES = {"boto3": ("s3",), "botocore": ("s3", "sts", "sso", "sso-oidc", "signin")}
"""The service descriptions that are included: those of S3 and of services that return credentials. All of them would be
20 MB."""
OLD = (1980, 1, 1, 0, 0, 0)
"""The time of each file in the zip, so that the same packages make the same file."""

_UNPACK = '''"""Makes what is in this zip file importable: unpacks it beside the file, and uses that first."""

import importlib
import os
import shutil
import sys
import tempfile
import zipfile


def _unpacked(archive):
    folder = archive + ".unpacked"
    if os.path.isdir(folder):
        return folder
    try:
        new = tempfile.mkdtemp(dir=os.path.dirname(archive))
    except OSError:
        new, folder = tempfile.mkdtemp(prefix="migrator-"), None
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(new)
    if folder is None:
        return new
    try:
        os.rename(new, folder)
    except OSError:  # another process was faster
        shutil.rmtree(new, ignore_errors=True)
    return folder


_archive = os.path.dirname(os.path.abspath(__file__))
if os.path.isfile(_archive):
    sys.path.insert(0, _unpacked(_archive))
    importlib.invalidate_caches()
'''


@dataclass(frozen=True, slots=True)
class Packed:
    """A file for executors: its path, its size in bytes, and its versions."""

    path: Path
    size: int
    version: str
    python: str


def pack(path: Path) -> Packed:
    """Write the file with migrator and the packages that executors import. Replaces an older one; if ``path`` is a
    link, the file that it leads to.

    Raises ConfigError if something else is at ``path``, it cannot be written, or a package has compiled parts.
    """
    _check_free(path)
    try:
        place = Path(os.path.realpath(path))
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".zip", delete=False) as file:
            partial = Path(file.name)
        try:
            _write(partial)
            partial.chmod(0o644)
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", next_move="Choose another -o.") from error
    return Packed(path, path.stat().st_size, __version__, python_version())


def _check_free(path: Path) -> None:
    """Raises ConfigError unless ``path`` is free, or has an older file of ours."""
    if not path.exists():
        return
    ours = path.is_file() and zipfile.is_zipfile(path)
    if ours:
        with zipfile.ZipFile(path) as opened:
            ours = f"{PACKED}.py" in opened.namelist()
    if not ours:
        raise ConfigError(
            f"{path} exists, and was not written by migrator pack.", next_move="Move it away, or choose another -o."
        )


def _write(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for package in PACKAGES:
            for name, file in sorted(_files(package)):
                packed.writestr(zipfile.ZipInfo(name, OLD), file.read_bytes(), zipfile.ZIP_DEFLATED)
        packed.writestr(zipfile.ZipInfo(f"{PACKED}.py", OLD), _UNPACK, zipfile.ZIP_DEFLATED)


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """(name in the zip, file) of each file of a package that executors need. Raises ConfigError."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f"The package {package} is not installed.", next_move="Install migrator again.")
    if not spec.submodule_search_locations:
        yield Path(spec.origin).name, Path(spec.origin)
        return
    root = Path(spec.origin).parent
    for file in root.rglob("*"):
        inside = file.relative_to(root)
        if not file.is_file() or "__pycache__" in inside.parts or not _is_needed(package, inside):
            continue
        if file.suffix in (".so", ".pyd", ".dylib"):
            raise ConfigError(
                f"{package} has compiled parts here ({file}).", next_move="Install a version that is pure Python."
            )
        yield f"{package}/{inside.as_posix()}", file


def _is_needed(package: str, inside: Path) -> bool:
    if package == "migrator":
        return inside.suffix == ".py"
    services = SERVICES.get(package)
    if services is None or inside.parts[0] != "data" or len(inside.parts) == 2:
        return True
    return inside.parts[1] in services
