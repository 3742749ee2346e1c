from __future__ import annotations

import pytest

from checking.lake import Checked, tidy
from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Checked:
    """A lake with all of its structure, and without any old bucket."""
    return tidy(mock_store)
