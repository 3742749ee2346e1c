from __future__ import annotations

import pytest

from checking.lake import TIDY, Checked
from migrator.store import Store


@pytest.fixture
def lake(mock_store: Store) -> Checked:
    """A lake with all of its structure, and without any old bucket."""
    made = Checked(mock_store)
    for key in TIDY:
        made.put(key)
    return made
