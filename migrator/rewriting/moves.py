"""Maps the paths of a table that is relocated. Pure, and imported by child processes, so it imports no store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.layout import Location
from migrator.layout.recorded import S3_SCHEMES, Recorded, spelled

ASIDE = "relocated"
"""If a table is relocated to the place where its files already are, the rewritten files go to this folder."""


@dataclass(frozen=True)
class Moves:
    """Old prefix → new prefix in S3; a path in S3 keeps its scheme, another one gets that of its new prefix.

    The longest old prefix wins, on a ``/`` boundary. A path under no old prefix that lies under a new one stays. Paths
    in ``aside`` go to the folder :data:`ASIDE` below the new prefix.
    """

    rules: tuple[Recorded, ...]
    """With targets ``bucket/key``."""
    aside: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Location]]) -> Moves:
        """The moves of these (old prefix, new place) pairs."""
        named = {prefix_of(old): (place_of(new), new.scheme) for old, new in pairs}
        rules = (Recorded(old, new, scheme) for old, (new, scheme) in named.items())
        return cls(tuple(sorted(rules, key=lambda rule: -len(rule.prefix))))

    def __call__(self, path: str) -> str | None:
        # Called for every path of every manifest, and most of them begin with s3://.
        scheme, separator, _ = path.partition("://")
        if not separator or scheme not in S3_SCHEMES:
            scheme = ""
        whole = path if scheme == "s3" else spelled(path)
        for rule in self.rules:
            if rule.covers(whole):
                inside = Recorded(rule.prefix, f"{rule.target}/{ASIDE}") if path in self.aside else rule
                return f"{scheme or rule.scheme}://{inside.move(whole)}"
        if not scheme:
            return None
        place = whole.partition("://")[2]
        return path if any(f"{place}/".startswith(f"{rule.target}/") for rule in self.rules) else None


def prefix_of(path: str) -> str:
    """A prefix in the spelling that rules use, without a slash at its end."""
    return spelled(path).rstrip("/")


def place_of(at: Location) -> str:
    """``bucket/key``, or ``bucket`` alone for all of it; without a slash at its end."""
    return f"{at.bucket}/{at.key}".rstrip("/")
