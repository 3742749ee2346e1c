"""Each metadata file is read by one request. Files are kept up to a limit."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from migrator.verifying import pyiceberg_io
from migrator.verifying.pyiceberg_io import S3FileIO


class Files:
    """A file system that records every request."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.requests = files, []  # type: ignore[var-annotated]

    def cat_file(self, path: str, max_concurrency: int) -> bytes:
        assert max_concurrency == 1, "s3fs would ask for the size first"
        self.requests.append(path)
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def open(self, path: str, mode: str) -> str:
        return f"opened {path}"


def file_io(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> tuple[S3FileIO, Files]:
    system = Files(files)
    monkeypatch.setattr(S3FileIO, "get_fs", lambda *_: system)
    return S3FileIO({}, lambda path: f"s3://b/from{path}"), system


def read(io: S3FileIO, path: str) -> bytes:
    with io.new_input(path).open() as stream:
        return stream.read()


def test_a_metadata_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    io, system = file_io(monkeypatch, {"s3://b/m.avro": b"manifest", "s3://b/from/t.metadata.json": b"{}"})
    assert [read(io, "s3://b/m.avro") for _ in range(3)] == [b"manifest"] * 3
    assert [read(io, "/t.metadata.json") for _ in range(2)] == [b"{}"] * 2
    assert system.requests == ["s3://b/m.avro", "s3://b/from/t.metadata.json"]


def test_another_file_is_opened_as_pyiceberg_does(monkeypatch: pytest.MonkeyPatch) -> None:
    io, system = file_io(monkeypatch, {})
    opened: Any = io.new_input("s3://b/data.parquet").open()
    assert opened == "opened s3://b/data.parquet" and not system.requests


def test_what_is_missing_is_named_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    io, system = file_io(monkeypatch, {})
    for _ in range(2):
        with pytest.raises(FileNotFoundError) as raised:
            read(io, "s3://b/m.avro")
        assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, "s3://b/m.avro")
    assert len(system.requests) == 2


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyiceberg_io, "KEPT_BYTES", 10)
    io, system = file_io(
        monkeypatch, {f"s3://b/{name}.avro": name.encode() * 5 for name in "abc"} | {"s3://b/l.avro": b"l" * 11}
    )
    for name in ("a", "b", "a", "c", "a", "b", "l", "l", "a"):
        read(io, f"s3://b/{name}.avro")
    asked = [path.removeprefix("s3://b/").removesuffix(".avro") for path in system.requests]
    assert asked == ["a", "b", "c", "b", "l", "l"]
