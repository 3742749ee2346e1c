"""Makes the bucket of a new lake, its settings and its lake.toml. Whatever is there already stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import ConfigError, Occupied
from migrator.planfile.place import name_finished
from migrator.settings.kinds import ENCRYPTION
from migrator.settings.new_lake import NewLake, settings_of
from migrator.settings.translate import Translation
from migrator.store import Content, Store
from migrator.store.setting_documents import Documents, read_all, server_name
from migrator.target.settings import REFUSED, AppliedSettings, check_decided, set_documents


@dataclass
class MadeLake:
    """What a new lake gets, or was given. ``applied`` is None if nothing was done yet. ``file``: the path of lake.toml;
    ``text``: its content."""

    new: NewLake
    settings: Translation
    file: Path
    text: str
    applied: AppliedSettings | None = None

    @property
    def ok(self) -> bool:
        """False if a person must decide something, or if the server refused a setting that was asked for."""
        states = {} if self.applied is None else self.applied.states
        refused = {setting for setting, state in states.items() if state == REFUSED}
        return self.settings.ok and not refused - self.by_default

    @property
    def by_default(self) -> set[str]:
        """Default settings, which nobody asked for: it is no failure if the server does not support them."""
        return {ENCRYPTION} if self.new.encryption is None else set()


def look_at_bucket(store: Store, new: NewLake) -> Translation:
    """What the bucket of a new lake would get; changes nothing. Raises ConfigError."""
    new.check()
    missing = not store.bucket_exists(new.bucket)
    there = Documents() if missing else read_all(store, [new.bucket])[new.bucket]
    server = there.server or server_name(store, new.bucket)
    minio = server.lower().startswith("minio")
    return settings_of(new, there.found, unread=there.unread, minio=minio, missing=missing)


def check_free(file: Path) -> None:
    """Raises ConfigError if the file exists, since it is never overwritten, or if its folder does not."""
    if file.exists() or file.is_symlink():
        raise ConfigError(f"{file} exists, and is not overwritten.", next_move="Write to another file: -o FILE.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(
            f"{file} cannot be written: there is no folder {file.absolute().parent}.",
            next_move="Create it, or write to another file: -o FILE.",
        )


def make_lake(store: Store, made: MadeLake) -> None:
    """Make the bucket unless it exists, set what it lacks, and write the lake.toml.

    Raises PlanBlocked while a person must decide something, ConfigError if the file exists or cannot be written, with
    nothing made. The file appears last: after an error there is none, and the same command can be repeated.
    """
    new = made.new
    check_decided(made.settings)
    check_free(made.file)
    with _written_last(made.file, made.text):
        if made.settings.missing:
            store.create_bucket(new.bucket)
            made.settings = look_at_bucket(store, new)
        made.applied = set_documents(store, made.settings)
        for layer in new.layers if new.markers else ():
            with suppress(Occupied):
                store.put(new.bucket, f"{layer}/", Content(b"", ""), replace=False)


@contextmanager
def _written_last(file: Path, text: str) -> Iterator[None]:
    """Write a file of another name beside ``file`` at once, and give it its name at the end, unless an error is raised.
    Raises ConfigError if it cannot be written, or if ``file`` exists by then."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with _told(file):
        beside.touch(exist_ok=False)
    try:
        with _told(file):
            beside.write_text(text, encoding="utf-8")
        yield
        check_free(file)
        with _told(file):
            name_finished(beside, file)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """An OSError inside becomes a ConfigError that names ``file``."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}.", next_move="Write to another file: -o FILE."
        ) from None
