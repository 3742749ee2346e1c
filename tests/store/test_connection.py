from __future__ import annotations

import pytest

from migrator.errors import AccessDenied, ConfigError, NotFound, StoreError
from migrator.store import Content, Store


def put(store: Store, bucket: str, key: str, data: bytes = b"x") -> None:
    store.create_bucket(bucket)
    store.put(bucket, key, Content(data, ""))


def test_missing_things_are_named(mock_store: Store) -> None:
    put(mock_store, "there", "key")
    assert mock_store.bucket_exists("there") and not mock_store.bucket_exists("nowhere")
    with pytest.raises(NotFound, match="s3://there/other"):
        mock_store.get("there", "other")
    with pytest.raises(NotFound, match="s3://nowhere/"):
        list(mock_store.list("nowhere"))


def test_unreachable_endpoint_says_so_soon() -> None:
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9 did not answer.*--endpoint-url"):
        Store(endpoint_url="http://127.0.0.1:9").bucket_exists("b")


def test_missing_credentials_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessDenied, match="AWS_PROFILE"):
        Store(endpoint_url="http://127.0.0.1:9").bucket_exists("b")


@pytest.mark.parametrize("bad", [{"profile": "nobody"}, {"endpoint_url": "minio:9000"}])
def test_a_wrong_profile_or_endpoint_is_a_usage_error(bad: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Store(**bad)  # type: ignore[arg-type]
