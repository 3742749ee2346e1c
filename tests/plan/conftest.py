from __future__ import annotations

import pytest

from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Store:
    """The buckets of the tables that are made by hand, and the target."""
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    return mock_store
