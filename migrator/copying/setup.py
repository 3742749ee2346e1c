"""What a process needs to know in order to copy. It can be pickled, so that child processes get it, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.copying.copier import Copier
from migrator.copying.options import Options
from migrator.store import Store


@dataclass(frozen=True, slots=True)
class Setup:
    """How a process connects, and how it copies. ``source`` and ``target``: :attr:`migrator.store.Store.connection` of
    both stores; ``target`` is None where both are one."""

    source: dict[str, Any]
    target: dict[str, Any] | None
    bucket: str
    options: Options

    def copier(self) -> Copier:
        """Connect, and make a copier."""
        source = Store(**self.source)
        target = source if self.target is None else Store(**self.target)
        for store in (source, target):
            store.met()  # the process that hands out the work has talked to both
        return Copier(source, target, self.bucket, self.options)
