"""Measuring a server leaves no object behind, or names what it left. The requests themselves:
tests/e2e/test_estimates.py."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from migrator.errors import AccessDenied, StoreError
from migrator.store import OWN_PREFIX, Store, StoredObject, speed
from migrator.store.speed import Speeds, Wanted, measure
from migrator.store.wire import Answer, Endpoint, Lost

OK = Answer(200, {"etag": '"e"'}, b"")


class Target:
    """A store that lists what was written, and deletes it if it may."""

    def __init__(self, *, may_delete: bool = True) -> None:
        self.keys: dict[str, str | None] = {}
        self.may_delete = may_delete
        self.tagging_directive = "COPY"
        self.ends = (self, self)

    def endpoint(self) -> Endpoint:
        return cast(Endpoint, SimpleNamespace())

    def list(self, bucket: str, prefix: str) -> list[StoredObject]:
        return [StoredObject(key, 0, "e", 0) for key in self.keys if key.startswith(prefix)]

    def list_versions(self, bucket: str, prefix: str) -> list[Any]:
        return []

    def erase(self, bucket: str, key: str) -> None:
        if not self.may_delete:
            raise AccessDenied("denied by the test")
        del self.keys[key]


def answering(target: Target, monkeypatch: pytest.MonkeyPatch, choose: Callable[[str, str], Answer | None]) -> None:
    """Requests get what ``choose`` says, or are carried out."""

    class Wire:
        def __init__(self, endpoint: Endpoint) -> None:
            pass

        async def request(self, method: str, bucket: str, key: str, **_: Any) -> Answer:
            if (chosen := choose(method, key)) is not None:
                return chosen
            if method == "PUT" and key in target.keys:
                return Answer(412, {}, b"")
            if method == "PUT":
                target.keys[key] = None
            if method == "DELETE":
                target.keys.pop(key, None)
            return OK

        def close(self) -> None:
            pass

    monkeypatch.setattr(speed, "Wire", Wire)


def measured(target: Target, **wanted: Any) -> Speeds:
    return measure(cast(Store, target), "data-lake", Wanted(8, write=True, **wanted))


def test_everything_is_measured_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    answering(target, monkeypatch, lambda method, key: None)
    found = measured(target, large=True)
    assert all(value is not None for value in (found.copies, found.reads, found.copied_bytes, found.seconds_per_read))
    assert (found.honours_conditions, found.trouble, found.left) == (True, "", []) and not target.keys


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_failure_is_said_and_what_was_written_is_removed(
    monkeypatch: pytest.MonkeyPatch, method: str, lost: bool
) -> None:
    target = Target()

    def choose(asked: str, key: str) -> Answer | None:
        if asked != method or (key.endswith("/source") and method == "PUT"):
            return None
        if lost:
            target.keys[key + "-lost"] = None  # carried out, and the answer did not come
            raise Lost
        return Answer(503, {}, b"")

    answering(target, monkeypatch, choose)
    found = measured(target)
    assert found.trouble == "the server did not answer in time" if lost else found.trouble.endswith("the status 503")
    assert found.copies is None and found.left == [] and not target.keys


def test_what_cannot_be_removed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(may_delete=False)
    answering(target, monkeypatch, lambda method, key: Answer(403, {}, b"") if method == "DELETE" else None)
    found = measured(target)
    assert found.copies is not None and len(found.left) == 9
    assert all(place.startswith(f"s3://data-lake/{OWN_PREFIX}speed-") for place in found.left)


def test_where_it_is_not_known_what_is_left_the_prefix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    answering(target, monkeypatch, lambda method, key: None)

    def fail(bucket: str, prefix: str) -> list[StoredObject]:
        raise StoreError("away")

    monkeypatch.setattr(target, "list", fail)
    assert [place.partition("speed-")[0] for place in measured(target).left] == [f"s3://data-lake/{OWN_PREFIX}"]


def test_nothing_is_written_that_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    target, methods = Target(), set()

    def note(method: str, key: str) -> None:
        methods.add(method)

    answering(target, monkeypatch, note)
    found = measure(
        cast(Store, target), "data-lake", Wanted(2, write=False, samples=[("bronze", "a"), ("bronze", "b")])
    )
    assert methods == {"HEAD", "GET"} and found.reads is not None and found.copies is None
