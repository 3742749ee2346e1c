from __future__ import annotations

from migrator.store import Content, Store


def test_versions_of_a_key_are_listed_newest_first(mock_store: Store) -> None:
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "k", Content(b"0", ""))
    mock_store.keep_versions("bucket")
    mock_store.put("bucket", "k", Content(b"11", ""))
    mock_store.delete_marker("bucket", "k")
    mock_store.put("bucket", "other", Content(b"x", ""))
    listed = [version for version in mock_store.list_versions("bucket") if version.key == "k"]
    assert [(version.size, version.marker, version.latest) for version in listed] == [
        (0, True, True),
        (2, False, False),
        (1, False, False),
    ]
    assert listed[-1].version_id == "null"
    assert mock_store.versions_of("bucket", "k") == listed[::-1]
    assert mock_store.find("bucket", "k") is None
