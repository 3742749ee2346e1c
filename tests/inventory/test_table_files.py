"""The walk of a table's files: what it yields, also for missing and damaged files."""

from __future__ import annotations

import io

import pytest

from iceberg.avro_files import avro
from iceberg.tables import entry, list_schema, listed, manifest_schema
from migrator.errors import NotFound, Unreadable
from migrator.inventory.table_files import BrokenFile, ReadList, ReadManifest, SourceFile, read_lists, read_manifests

LIST = avro(list_schema(2), [listed("s3://b/m0.avro", 100), listed("s3://b/m1.avro", 200, 1)])


class Files:
    """Opens files from memory and counts those that are open."""

    def __init__(self, **files: bytes) -> None:
        self._files = files
        self.opened: list[io.BytesIO] = []

    def open(self, path: str) -> SourceFile:
        if path not in self._files:
            raise NotFound(f"{path} is missing.")
        self.opened.append(io.BytesIO(self._files[path]))
        return SourceFile(f"s3://b/{path}", self.opened[-1])

    @property
    def all_closed(self) -> bool:
        return all(file.closed for file in self.opened)


def manifest(*paths: str) -> bytes:
    return avro(manifest_schema(2), [entry(path) for path in paths])


def test_manifest_lists() -> None:
    files = Files(list=LIST)
    (read,) = read_lists(["list"], files.open)
    assert isinstance(read, ReadList) and (read.path, read.place) == ("list", "s3://b/list")
    found = [(one.path, one.length, one.content) for one in read.manifests]
    assert found == [("s3://b/m0.avro", 100, 0), ("s3://b/m1.avro", 200, 1)]
    assert files.all_closed


def test_manifests_and_their_entries() -> None:
    bodies = {"m0": manifest("s3://b/a", "s3://b/b"), "m1": manifest("s3://b/c")}
    files = Files(**bodies)
    found = {}
    for read in read_manifests(bodies, files.open):
        assert isinstance(read, ReadManifest) and read.size == len(bodies[read.path])
        found[read.path] = [one.path for one in read.entries]
    assert found == {"m0": ["s3://b/a", "s3://b/b"], "m1": ["s3://b/c"]}
    assert files.all_closed


@pytest.mark.parametrize("walk", [read_lists, read_manifests])
def test_a_missing_file_is_a_value_and_the_walk_continues(walk: type) -> None:
    files = Files(list=LIST)
    broken, other = sorted(walk(["gone", "list"], files.open), key=lambda read: read.path)
    assert isinstance(broken, BrokenFile) and isinstance(broken.error, NotFound)
    assert broken.path == "gone" and other.path == "list"


def test_a_damaged_list_is_a_value_and_the_walk_continues() -> None:
    files = Files(bad=b"no Avro", list=LIST)
    broken, other = sorted(read_lists(["bad", "list"], files.open), key=lambda read: read.path)
    assert isinstance(broken, BrokenFile) and isinstance(broken.error, Unreadable)
    assert broken.error.place == "s3://b/bad" and isinstance(other, ReadList)


def test_a_damaged_manifest_raises_where_it_is_damaged_and_the_walk_continues() -> None:
    files = Files(bad=manifest("s3://b/a")[:-20], good=manifest("s3://b/b"))
    found, errors = [], []
    for read in read_manifests(["bad", "good"], files.open):
        assert isinstance(read, ReadManifest)
        try:
            found += [one.path for one in read.entries]
        except Unreadable as error:
            errors.append(error.place)
    assert errors == ["s3://b/bad"] and "s3://b/b" in found
    assert files.all_closed


def test_entries_are_read_as_they_are_asked_for() -> None:
    """A manifest of any size takes no more memory than one of its blocks."""
    files = Files(m0=manifest(*(f"s3://b/{number}" for number in range(5000))))
    walk = read_manifests(["m0"], files.open)
    read = next(walk)
    assert isinstance(read, ReadManifest) and files.opened[0].tell() == 0
    assert next(read.entries).path == "s3://b/0"
    assert 0 < files.opened[0].tell() < read.size / 2
    walk.close()
    assert files.all_closed


def test_a_walk_that_is_left_early_opens_no_more() -> None:
    files = Files(**{f"m{number}": manifest("s3://b/a") for number in range(100)})
    walk = read_manifests([f"m{number}" for number in range(100)], files.open, workers=1)
    next(walk)
    walk.close()
    assert len(files.opened) < 10
