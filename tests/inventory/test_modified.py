"""When the files of streams were modified: each is listed once, one by one or with its folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.inventory import modified
from migrator.inventory.modified import ModifiedTimes, common_folder
from migrator.store import Content, Store, StoredObject


@pytest.fixture
def listed(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prefixes that were listed, of a bucket with some files."""
    mock_store.create_bucket("lake")
    for key in (*(f"in/day={n % 3}/{n}" for n in range(9)), "in/day=0/1x", "other/a", "other/b"):
        mock_store.put("lake", key, Content(b"x", ""))
    seen: list[str] = []
    ask = Store.list

    def noted(store: Store, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        seen.append(prefix)
        return ask(store, bucket, prefix)

    monkeypatch.setattr(Store, "list", noted)
    return seen


def test_few_files_are_listed_one_by_one_and_once(mock_store: Store, listed: list[str]) -> None:
    times = ModifiedTimes(mock_store, "lake")
    found = times.of("c/sources/0/0", {"in/day=0/0", "in/day=1/1", "in/day=0/gone"})
    assert set(found) == {"in/day=0/0", "in/day=1/1"}
    assert found["in/day=0/0"] == next(iter(mock_store.list("lake", "in/day=0/0"))).modified
    listed.clear()
    assert set(times.of("c/sources/0/1", {"in/day=0/0", "in/day=0/gone", "in/day=2/2"})) == {"in/day=0/0", "in/day=2/2"}
    assert listed == ["in/day=2/2"]


def test_the_folder_of_many_files_is_listed_once(
    mock_store: Store, listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modified, "FEW", 3)
    times = ModifiedTimes(mock_store, "lake")
    keys = {f"in/day={n % 3}/{n}" for n in range(9)}
    for number, key in enumerate(sorted(keys)):
        assert set(times.of(f"c/sources/0/{number}", {key, f"{key}-gone"})) == {key}
    assert set(times.of("c/sources/0/9.compact", keys)) == keys
    assert listed.count("in/") == 1 and len(listed) == 6, "two files, the folder of a day, two more files, all days"
    assert set(times.of("c/sources/0/10", {"other/a"})) == {"other/a"}, "what lies elsewhere is still found"


def test_streams_do_not_share_a_folder(mock_store: Store, listed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The common folder of two streams might be the whole bucket."""
    monkeypatch.setattr(modified, "FEW", 1)
    times = ModifiedTimes(mock_store, "lake")
    times.of("c/sources/0/0", {"in/day=0/0", "in/day=1/1"})
    times.of("d/sources/0/0", {"other/a", "other/b"})
    assert listed == ["in/", "other/"]


@given(st.sets(st.text("ab/", min_size=1, max_size=6), min_size=1))
def test_the_common_folder(keys: set[str]) -> None:
    folder = common_folder(keys)
    assert (not folder or folder.endswith("/")) and all(key.startswith(folder) for key in keys)
    longer = [key[: key.find("/", len(folder)) + 1] for key in keys if "/" in key[len(folder) :]]
    assert not any(all(key.startswith(one) for key in keys) for one in longer if len(one) > len(folder))
