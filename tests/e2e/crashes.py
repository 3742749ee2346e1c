"""Ends a command immediately before one of its writes."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.catalogs.sql import SqlCatalog
from migrator.planfile.journal import Journal
from migrator.store import Store

LOG, CATALOG = (Journal, "event"), (SqlCatalog, "repoint")
PUT, UPLOAD, COPY, PUT_IF = ((Store, name) for name in ("put", "upload", "copy", "put_if"))


def die_at(patch: pytest.MonkeyPatch, step: int, *writes: tuple[object, str]) -> list[int]:
    """Raise KeyboardInterrupt right before the ``step``-th call of any of these methods or functions, counted from 1.
    The number of calls so far is the one member of the result."""
    count = [0]

    def dying(call: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == step:
                raise KeyboardInterrupt
            return call(*arguments, **named)

        return wrapped

    for kind, name in writes:
        patch.setattr(kind, name, dying(getattr(kind, name)))
    return count
