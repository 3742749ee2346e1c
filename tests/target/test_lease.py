"""The lease on a mocked S3: lost answers, and which versions remain in a bucket that keeps versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import MigrationFailed, Unreachable
from migrator.store import LEASE_KEY, Store
from migrator.target import lease as lock


@pytest.fixture
def store(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 3600)  # the tests renew it themselves
    mock_store.create_bucket("lake")
    return mock_store


def status(store: Store, versioning: str | None) -> None:
    if versioning is not None:
        store.keep_versions("lake")
        store.client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": versioning})


def left(store: Store) -> list[Any]:
    listed = store.client.list_object_versions(Bucket="lake")
    return listed.get("Versions", []) + listed.get("DeleteMarkers", [])


@pytest.mark.parametrize("versioning", [None, "Enabled", "Suspended"])
def test_no_version_piles_up_and_nothing_stays(store: Store, tmp_path: Path, versioning: str | None) -> None:
    status(store, versioning)
    with lock.lease(store, "lake", tmp_path / "p.db") as held:
        for _ in range(4):
            held._renew()
            held.check()
            assert len(left(store)) == 1
    assert left(store) == []


def test_versioning_that_begins_amid_a_run(store: Store, tmp_path: Path) -> None:
    """As `--all-versions` enables it on a new target."""
    with lock.lease(store, "lake", tmp_path / "p.db") as held:
        store.keep_versions("lake")
        held._renew()
        held._renew()
    assert left(store) == []


def lose_answer(put_if: Callable[..., Any]) -> Callable[..., Any]:
    def lost(*arguments: Any, **named: Any) -> None:
        put_if(*arguments, **named)
        raise Unreachable("the answer was lost")

    return lost


@pytest.mark.parametrize("versioning", [None, "Enabled"])
def test_a_renewal_whose_answer_was_lost_is_ours(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versioning: str | None
) -> None:
    status(store, versioning)
    with lock.lease(store, "lake", tmp_path / "p.db") as held:
        for _ in range(2):
            with monkeypatch.context() as patched, pytest.raises(Unreachable):
                patched.setattr(store, "put_if", lose_answer(store.put_if))
                held._renew()
            held._renew()
            held.check()
    assert left(store) == []


def test_a_lease_that_could_not_be_renewed_for_long_is_renewed_when_the_server_is_back(
    store: Store, tmp_path: Path
) -> None:
    with lock.lease(store, "lake", tmp_path / "p.db") as held:
        held._renewed -= 2 * lock.EXPIRE_SECONDS
        held.check()
        store.delete("lake", LEASE_KEY)
        held._renewed -= 2 * lock.EXPIRE_SECONDS
        with pytest.raises(MigrationFailed, match="was lost"):
            held.check()


def test_what_another_run_wrote_is_not_removed(store: Store, tmp_path: Path) -> None:
    with lock.lease(store, "lake", tmp_path / "p.db"):
        store.client.put_object(Bucket="lake", Key=LEASE_KEY, Body=b'{"run": "another"}')
    assert store.get("lake", LEASE_KEY).data == b'{"run": "another"}'
