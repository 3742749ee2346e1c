"""The ledger of the objects that migrator has written: it has all of them, and no others."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.store import OWN_PREFIX, Content, Store
from migrator.target.ledger import WRITTEN, Ledger, own, same

PAIRS = st.sets(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=50)


@pytest.fixture
def bucket(mock_store: Store) -> Store:
    mock_store.create_bucket("data-lake")
    return mock_store


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(written=st.lists(PAIRS, max_size=3), asked=PAIRS)
def test_known_is_what_was_written(
    bucket: Store, written: list[set[tuple[str, str]]], asked: set[tuple[str, str]]
) -> None:
    bucket.erase("data-lake", f"{WRITTEN}1")
    ledger = Ledger(bucket, "data-lake")
    for number in range(3):
        pairs = written[number] if number < len(written) else set()
        ledger.write(str(number), (own(*pair) for pair in pairs))
    everything = set().union(*written)
    known = ledger.known({own(*pair) for pair in asked | everything})
    assert known == {own(*pair) for pair in everything}


def test_fingerprints_differ_by_meaning_and_part() -> None:
    prints = {own("a", "b"), own("ab", ""), own("", "ab"), same("a", "b", "c", "d"), same("a", "b", "cd", "")}
    assert len(prints) == 5 and own("a", "b") == own("a", "b")


@pytest.mark.parametrize("data", [b"", b"x", b"somebody else's file of any length", b"MIGRWR01" + b"\0" * 13])
def test_a_foreign_or_damaged_ledger_knows_nothing(bucket: Store, data: bytes) -> None:
    """What is not known to be migrator's is never overwritten: a damaged ledger only means that a person is asked."""
    bucket.put("data-lake", f"{WRITTEN}odd", Content(data, ""))
    assert Ledger(bucket, "data-lake").known({own("a", "b"), 7}) == set()


def test_no_bucket_knows_nothing(mock_store: Store) -> None:
    assert Ledger(mock_store, "nowhere").known({1}) == set()


def test_it_holds_no_names(bucket: Store) -> None:
    Ledger(bucket, "data-lake").write("p", [own("customers/secret-name", "etag")])
    stored = bucket.get("data-lake", f"{WRITTEN}p").data
    assert len(stored) == 16 and b"secret" not in stored and json.dumps(OWN_PREFIX) == '".migrator/"'
