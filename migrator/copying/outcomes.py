"""An object to copy, and the outcomes other than :class:`migrator.planfile.copied.Copied`."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.errors import MigrationFailed, MigratorError, StoreError, one_line
from migrator.planfile.copied import Copied
from migrator.store import StoredObject


@dataclass(frozen=True, slots=True)
class Item:
    """One object to copy. ``id``: chosen by the caller. ``target``: a key of the target bucket. ``replaces``: the ETag
    of an object at the target that may be overwritten; nothing else is."""

    id: int
    bucket: str
    stored: StoredObject
    target: str
    replaces: str | None = None

    @property
    def place(self) -> str:
        """The URI of the source."""
        return f"s3://{self.bucket}/{self.stored.key}"

    @property
    def is_marker(self) -> bool:
        """True for an empty object that stands for a folder."""
        return self.stored.size == 0 and self.target.endswith("/")

    @property
    def is_folder_with_content(self) -> bool:
        """True for an object with bytes whose key ends in ``/``: not every server keeps its bytes."""
        return self.stored.size > 0 and self.target.endswith("/")


@dataclass(frozen=True, slots=True)
class NotCopied:
    """The object could not be copied; ``error`` says why."""

    id: int
    error: MigratorError


Outcome = Copied | NotCopied


class AnswerLost(StoreError):
    """The answer to a copy request was lost, so it is not known whether there is a copy. It must not be made twice: the
    caller checks the target before it tries again."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"{place}: it is not known whether it was copied, because the answer was lost ({reason}).",
            next_move="Run the same command again: it checks the target before it copies.",
        )


class ContentDropped(MigrationFailed):
    """The copy of an object whose key ends in ``/`` is empty."""

    def __init__(self, item: Item, bucket: str) -> None:
        super().__init__(
            one_line(
                f"{item.place}: its copy s3://{bucket}/{item.target} is empty: the server of the target does not keep "
                "the content of an object whose key ends in /."
            ),
            next_move=f'Rename it in the old bucket, or leave it where it is ("{item.place}" = false in [layout]), and '
            "plan again.",
        )


class Unequal(MigrationFailed):
    """The copy differs from its source although the server reported success. ``etag``: the copy's, if known."""

    def __init__(self, item: Item, bucket: str, what: str, etag: str | None = None) -> None:
        message = f"{item.place}: its copy s3://{bucket}/{item.target} {what}."
        super().__init__(
            one_line(message), next_move="Run the same command again; if the error persists, check the server."
        )
        self.etag = etag
