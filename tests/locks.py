"""A pytest plugin: a catalog of pyiceberg does not keep its SQLite file locked.

pyiceberg 0.12 begins with two queries whose rows it does not read (``SqlCatalog._init_catalog``). SQLite keeps the lock
of such a query until Python collects the cursor, even after the connection was closed. Meanwhile nobody can commit,
also not in the same process: "database is locked". When Python collects it is chance.
"""

from __future__ import annotations

from typing import Any

import pyiceberg.catalog.sql
from sqlalchemy.orm import Session


class ReadToTheEnd(Session):
    """Closes the results of its queries when it is closed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._results: list[Any] = []
        super().__init__(*arguments, **options)

    def execute(self, *arguments: Any, **options: Any) -> Any:
        result = super().execute(*arguments, **options)
        self._results.append(result)
        return result

    def close(self) -> None:
        for result in self._results:
            result.close()
        super().close()


def pytest_configure() -> None:
    """Make pyiceberg use it."""
    pyiceberg.catalog.sql.Session = ReadToTheEnd  # type: ignore[misc]
