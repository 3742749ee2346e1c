from __future__ import annotations

import pytest

from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Store:
    """The buckets that the tables made by hand lie in, and the target."""
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    return mock_store
