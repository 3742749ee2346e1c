"""What the target's server does not keep is said while planning, if it is another server than the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.plan import attributes
from migrator.store import Content, Dropped, Store
from plan.handmade import blocks, planned

REDIRECT = "x-amz-website-redirect-location"


@pytest.fixture
def lake(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    monkeypatch.setattr("migrator.plan.build.streamed", lambda _: True)
    return mock_store


def drops(monkeypatch: pytest.MonkeyPatch, dropped: Dropped) -> None:
    monkeypatch.setattr("migrator.plan.dropped.probe_dropped", lambda *_: dropped)


@pytest.mark.parametrize(("count", "severities"), [(3, ["warn"]), (5, ["info"])])
def test_objects_that_lose_an_attribute_are_counted(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, severities: list[str]
) -> None:
    """And if only a sample was read, in which there is none, the plan says what would be lost."""
    monkeypatch.setattr(attributes, "SAMPLE", 3)
    drops(monkeypatch, Dropped(frozenset({REDIRECT, "x-amz-meta-*"})))
    for number in range(count):
        given = {"Metadata": {"a": "b"}} if count == 3 and number == 1 else {}
        lake.put("bronze", f"{number}", Content(b"x", "", given))
    described = planned(lake, tmp_path)
    found = [finding for finding in described["findings"] if finding["code"] == "attributes-dropped"]
    assert [finding["severity"] for finding in found] == severities and not described["blocked"]
    if count == 3:
        assert "1 of its 3 objects" in found[0]["message"] and "(x-amz-meta-*), such as '1'" in found[0]["message"]
    else:
        assert REDIRECT in found[0]["message"] and "only a sample" in found[0]["message"]


def test_a_key_that_ends_in_a_slash_with_content_that_would_be_dropped(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the server drops it; empty markers are not concerned."""
    lake.put("bronze", "full/", Content(b"x", ""))
    lake.put("bronze", "empty/", Content(b"", ""))
    drops(monkeypatch, Dropped())
    assert not planned(lake, tmp_path)["blocked"]
    drops(monkeypatch, Dropped(content=True))
    (tmp_path / "again").mkdir()
    described = planned(lake, tmp_path / "again")
    assert blocks(described) == ["key-refused"]
    (found,) = [finding for finding in described["findings"] if finding["code"] == "key-refused"]
    assert found["place"] == "s3://bronze/full/" and "does not keep" in found["message"]
    (tmp_path / "left").mkdir()
    rule: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://bronze/full/": False}
    assert not planned(lake, tmp_path / "left", layout=rule)["blocked"]
