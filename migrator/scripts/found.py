"""The places found in a text, and the names that are searched: the lake's buckets, endpoints and aliases. Pure: no
I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from migrator.errors import ConfigError, redacted
from migrator.layout import Layout

CHECKPOINTS = "/tmp/checkpoints/"
"""The local folder of checkpoints whose contents are uploaded to the bucket of checkpoints."""
CHECKPOINT_BUCKET = "checkpoints"

END = r"(?![A-Za-z0-9._-])"
"""What must follow a bucket's name: ``bronze-archive`` and ``bronze.backup`` are other buckets."""
LONGEST_SHOWN = 200

_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Change:
    """A certain path. ``line`` counts from 1."""

    line: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A place that a person must check. ``text`` is only what was found, without passwords, not the whole line."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a text that was judged: ``new`` replaces it, or ``reason`` says why a person must check it; if both are
    None, it certainly stays."""

    start: int
    end: int
    new: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Names:
    """The names under which scripts may know the lake.

    ``endpoints`` are URLs of the S3 server such as ``http://minio:9000``, ``aliases`` those of the program mc,
    ``checkpoints`` is a local folder whose contents now are where the layout puts the bucket ``checkpoints``.
    ``other_server``: the target is on another server than the old buckets, so URLs cannot be mapped.
    """

    layout: Layout
    endpoints: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    checkpoints: str = CHECKPOINTS
    other_server: bool = False

    def __post_init__(self) -> None:
        for alias in self.aliases:
            if not _ALIAS.fullmatch(alias):
                raise ConfigError(f"{alias!r} cannot be an alias of mc.", next_move="Write it as mc does: myminio.")
            if alias in (*self.layout.buckets, self.layout.target_bucket):
                raise ConfigError(
                    f"The alias {alias!r} is also the name of a bucket, so no path would be certain.",
                    next_move="Leave it out, and change those paths yourself.",
                )
        if not self.checkpoints.strip("/") or not self.checkpoints.startswith("/"):
            raise ConfigError(f"The folder of checkpoints must be an absolute path, not {self.checkpoints!r}.")

    @cached_property
    def old_buckets(self) -> tuple[str, ...]:
        """The buckets from which something moves. Only their names are searched."""
        return self.layout.moved_buckets

    @cached_property
    def old_bucket(self) -> str:
        """A regular expression for the name of an old bucket, with its end."""
        return f"(?:{alternatives(self.old_buckets)}){END}"

    @cached_property
    def words(self) -> tuple[str, ...]:
        """A text without any of these words contains no old path. Searching for them is fast."""
        schemes = ("s3://", "s3a://", "s3n://")
        recorded = (rule.prefix.rpartition("/")[2] for rule in self.layout.recorded)
        folder = self.checkpoints.strip("/")
        makes = (" mb ", " rb ")  # mc mb x/$bucket
        return (*self.old_buckets, *schemes, *map(str.upper, schemes), *self.aliases, folder, *recorded, *makes)

    def is_whole(self, bucket: str) -> bool:
        """True if all of this bucket moves: no rule leaves a part of it, and a rule covers its root."""
        rules = [rule for rule in self.layout.rules if rule.bucket == bucket]
        return all(rule.target is not None for rule in rules) and any(not rule.prefix for rule in rules)


def alternatives(words: Iterable[str]) -> str:
    """A regular expression for any of these words, longer ones first; for none of them, one that never matches."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) or r"(?!)"


def shown(text: str) -> str:
    """The text of a doubt for messages: shortened, and without passwords or signatures."""
    text = redacted(" ".join(text.split()))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
