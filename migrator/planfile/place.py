"""The path of a plan: which paths are allowed, its lock, its permissions, and how a new plan gets its name.

A plan names every object of a lake, and its journal is the only record of the old catalog pointers. So only its owner
can read a plan and its other files (mode 0600), and no existing file is overwritten.
"""

from __future__ import annotations

import fcntl
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from migrator.errors import PlanBusy, PlanDamaged, PlanUnusable

PRIVATE = 0o600
LONGEST_SUFFIX = len(".failed.txt")
"""By how many bytes the longest name of a plan's other files is longer than the name of the plan."""
SAME_PLACE = "Check the permissions of its folder, and the free space there. Then run the same command again."
"""What to do if a plan that exists cannot be written."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path for writing a new plan; the file is renamed to ``path`` when this context ends without an error.

    Raises PlanUnusable if no plan can be written there, PlanDamaged if the path exists, PlanBusy if another process is
    making a plan with that name. After an error no file is left.
    """
    check_place(path)
    made = _make_folders(path)
    partial = path.parent / f".{uuid.uuid4().hex}.partial"
    try:
        with plan_lock(path, "is being made by another process."):
            check_place(path)  # another process may have made it before we had the lock
            try:
                yield partial
                _publish(partial, path)
            finally:
                for left in (partial, *(partial.with_name(partial.name + end) for end in ("-journal", "-wal", "-shm"))):
                    left.unlink(missing_ok=True)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()  # only if it is empty
        raise


def check_place(path: Path) -> None:
    """Raises PlanUnusable or PlanDamaged unless a new plan can have this name. Creates nothing."""
    name = os.fsencode(path.name)
    try:
        name.decode()
    except UnicodeDecodeError:
        _refuse(path, "its name is not valid UTF-8")
    if not name or "\0" in str(path):
        _refuse(path, "it is not the name of a file")
    try:
        there = path.lstat()
    except FileNotFoundError:
        there = None
    except OSError as error:
        _refuse(path, error.strerror)
    if there is not None:
        if stat.S_ISDIR(there.st_mode):
            _refuse(path, "it is a folder")
        raise PlanDamaged(f"{path} exists already.", next_move="Choose another name with -o.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        _refuse(path, f"{folder} is not a folder")
    with suppress(OSError, ValueError):
        if len(name) + LONGEST_SUFFIX > os.pathconf(folder, "PC_NAME_MAX"):
            _refuse(path, "its name is too long, together with the suffixes of its other files")


@contextmanager
def plan_lock(
    path: Path, busy: str, *, next_move: str = "Wait for it, or choose another name with -o."
) -> Iterator[None]:
    """Hold a plan for one process; a kill releases it. Symbolic links to a plan share its lock.

    Raises PlanBusy if another process has it, PlanUnusable if the lock cannot be created.
    """
    file = Path(os.path.realpath(path) + ".lock")
    try:
        lock = _locked(file)
    except BlockingIOError as error:
        raise PlanBusy(f"{path} {busy}", next_move=next_move) from error
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        os.close(lock)


def _locked(file: Path) -> int:
    """Open and lock a file. Releasing a lock removes its file, so the locked file may not exist any more."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), file.stat()):
                    os.fchmod(handle, PRIVATE)
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def create_private(path: Path) -> int:
    """Create a file that only its owner can read, independent of the umask, and open it. Raises FileExistsError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    os.fchmod(handle, PRIVATE)
    return handle


def _make_folders(path: Path) -> list[Path]:
    """Make the folders that are missing, and return them, the innermost first."""
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return missing


def name_finished(partial: Path, path: Path) -> None:
    """Give a finished file its name, which nothing may have. ``partial`` may exist afterwards, too. Raises
    FileExistsError, or another OSError."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(create_private(path))
        partial.replace(path)


def _publish(partial: Path, path: Path) -> None:
    """Give a finished plan its name. Raises PlanDamaged if the name exists now."""
    try:
        name_finished(partial, path)
    except FileExistsError as error:
        raise PlanDamaged(
            f"{path} was made by another process meanwhile.", next_move="Choose another name with -o, and plan again."
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error


def _refuse(path: Path, reason: str | None) -> NoReturn:
    raise PlanUnusable(f"No plan can be written to {str(path)!r}: {reason}.", next_move="Choose another place with -o.")


def unwritable(path: Path, error: Exception) -> PlanUnusable:
    """A plan, a new one or one that exists, cannot be written to ``path``; ``error`` is what the system or SQLite
    says."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    move = SAME_PLACE if os.path.lexists(path) else "Make room there, or choose another place with -o."
    return PlanUnusable(f"{path} cannot be written: {reason}.", next_move=move)
