from __future__ import annotations

from migrator.store import Store


def test_a_bucket_is_created_once(mock_store: Store) -> None:
    for _ in range(2):
        mock_store.create_bucket("bucket")
    mock_store.create_bucket("abc")
    assert mock_store.bucket_names() == ["abc", "bucket"]
    assert mock_store.bucket_exists("abc") and not mock_store.bucket_exists("other")


def test_versioning_is_enabled_suspended_or_neither(mock_store: Store) -> None:
    mock_store.create_bucket("bucket")
    assert (mock_store.is_versioned("bucket"), mock_store.keeps_versions("bucket")) == (False, False)
    mock_store.keep_versions("bucket")
    assert (mock_store.is_versioned("bucket"), mock_store.keeps_versions("bucket")) == (True, True)
    mock_store.client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Suspended"})
    assert (mock_store.is_versioned("bucket"), mock_store.keeps_versions("bucket")) == (True, False)
