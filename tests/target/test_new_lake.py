"""Making the bucket of a new lake. The server is moto."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.errors import ConfigError, PlanBlocked, StoreError
from migrator.settings.new_lake import NewLake
from migrator.store import Store
from migrator.store.setting_documents import read_document, write_document
from migrator.target import new_lake
from migrator.target import settings as stage
from migrator.target.new_lake import MadeLake, look_at_bucket, make_lake


def made(store: Store, file: Path, new: NewLake | None = None) -> MadeLake:
    new = new or NewLake("data-lake")
    return MadeLake(new, look_at_bucket(store, new), file, "# text\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lake.toml"


def test_a_new_bucket(mock_store: Store, file: Path) -> None:
    lake = made(mock_store, file, NewLake("data-lake", ("bronze", "logs"), {"logs": 9}, versioning=True, markers=True))
    assert lake.settings.missing and not mock_store.bucket_exists("data-lake") and not file.exists()
    make_lake(mock_store, lake)
    assert lake.ok and lake.applied is not None
    assert lake.applied.states == {"encryption": "set", "lifecycle": "set", "versioning": "set"}
    assert mock_store.keeps_versions("data-lake") and file.read_text() == "# text\n"
    assert [found.key for found in mock_store.list("data-lake")] == ["bronze/", "logs/"]
    rules = (read_document(mock_store, "data-lake", "lifecycle") or {})["Rules"]
    assert [rule["ID"] for rule in rules] == ["abort-open-uploads", "expire-logs"]


def test_making_it_twice_changes_nothing_and_the_file_stays(mock_store: Store, file: Path) -> None:
    make_lake(mock_store, made(mock_store, file, NewLake("data-lake", markers=True)))
    with pytest.raises(ConfigError, match="exists, and is not overwritten"):
        make_lake(mock_store, made(mock_store, file))
    other = made(mock_store, file.with_name("other.toml"), NewLake("data-lake", markers=True))
    make_lake(mock_store, other)
    assert other.applied is not None and other.applied.states == {} and other.file.exists()


def test_nothing_is_made_while_something_must_be_decided(mock_store: Store, file: Path) -> None:
    mock_store.create_bucket("data-lake")
    rule = {"ID": "abort-open-uploads", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    write_document(mock_store, "data-lake", "lifecycle", {"Rules": [rule]})
    with pytest.raises(PlanBlocked, match="another rule of this ID"):
        make_lake(mock_store, made(mock_store, file))
    assert read_document(mock_store, "data-lake", "encryption") is None and not file.exists()


@pytest.mark.parametrize("trouble", ["no folder", "full disk", "exists by then", "fault of the server"])
def test_without_its_file_no_lake_is_made_and_after_an_error_there_is_no_file(
    mock_store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """A file that was begun and not ended must not stop the next run, which would say that it exists."""
    real = stage.set_documents

    def late(store: Store, *rest: object) -> object:
        if trouble == "fault of the server":
            raise StoreError("503 Slow Down")
        file.write_text("of somebody else")
        return real(store, *rest)  # type: ignore[arg-type]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    lake = made(mock_store, file.parent / "none" / "lake.toml" if trouble == "no folder" else file)
    with monkeypatch.context() as patch:
        if trouble == "full disk":
            patch.setattr("pathlib.Path.write_text", full)
        elif trouble != "no folder":
            patch.setattr("migrator.target.new_lake.set_documents", late)
        with pytest.raises((ConfigError, StoreError)) as raised:
            make_lake(mock_store, lake)
    at_once = trouble in ("no folder", "full disk")
    assert mock_store.bucket_exists("data-lake") is not at_once
    assert trouble == "fault of the server" or "lake.toml" in str(raised.value)
    if trouble == "exists by then":
        assert file.read_text() == "of somebody else"
        return
    assert not list(file.parent.iterdir())
    make_lake(mock_store, made(mock_store, file))
    assert file.read_text() == "# text\n" and [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize(("asked", "ok"), [(None, True), ("sse-s3", False)])
def test_a_server_without_keys_is_a_failure_only_if_asked(
    mock_store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, ok: bool
) -> None:
    real = stage.write_document

    def keyless(store: Store, bucket: str, setting: str, document: object) -> None:
        if setting == "encryption":
            raise StoreError("KMS is not configured")
        real(store, bucket, setting, document)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "write_document", keyless)
    lake = made(mock_store, file, NewLake("data-lake", encryption=asked))
    make_lake(mock_store, lake)
    assert lake.ok is ok and file.exists()
    assert lake.applied is not None and lake.applied.states == {"encryption": "refused", "lifecycle": "set"}


def test_a_file_that_somebody_writes_meanwhile_stays(
    mock_store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it appears after the last look at the name."""

    def written_after_the_look(path: Path) -> None:
        if any(path.parent.glob(f".{path.name}.*")):
            path.write_text("theirs")

    monkeypatch.setattr(new_lake, "check_free", written_after_the_look)
    with pytest.raises(ConfigError, match="exists"):
        make_lake(mock_store, made(mock_store, file))
    assert file.read_text() == "theirs" and [*file.parent.iterdir()] == [file]
