from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.config import load
from migrator.errors import ConfigError
from migrator.layout import MEDALLION, Layout
from migrator.settings.kinds import Document
from migrator.settings.new_lake import NewLake, lake_toml, settings_of
from migrator.settings.translate import Translation
from migrator.settings.whole_bucket import encryption
from settings.evaluate import expires
from settings.lakes import after, expire, told

ABORT = {"ID": "abort-open-uploads", "Status": "Enabled", "Filter": {"Prefix": ""}}


def wanted(new: NewLake, present: dict[str, Document] | None = None, **others: Any) -> Translation:
    new.check()
    return settings_of(new, present or {}, **others)


def test_nothing_expires_unless_asked() -> None:
    done = wanted(NewLake("data-lake"))
    assert {change.setting for change in done.changes} == {"encryption", "lifecycle"} and done.ok
    assert after(done, "encryption") == encryption("AES256")
    (rule,) = after(done, "lifecycle")["Rules"]
    assert rule == {**ABORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    asked = after(wanted(NewLake("data-lake", expire={"logs": 90})), "lifecycle")
    assert expires(asked, "logs/a", {}, 1) == {90} and not expires(asked, "bronze/a", {}, 1)


@pytest.mark.parametrize("layer", ["warehouse", "checkpoints"])
def test_tables_and_checkpoints_expire_only_if_a_person_insists(layer: str) -> None:
    with pytest.raises(ConfigError, match="--expire-tables"):
        NewLake("data-lake", expire={layer: 3}).check()
    NewLake("data-lake", expire={layer: 3}, expire_tables=True).check()


def test_wrong_layers() -> None:
    with pytest.raises(ConfigError, match="there is no such layer"):
        NewLake("data-lake", expire={"platinum": 3}).check()
    for layers in (("data-lake",), ("a b",), ("x",)):
        with pytest.raises(ConfigError):
            NewLake("data-lake", layers).check()


def test_what_is_there_stays() -> None:
    theirs = expire(1, "x/", "theirs")
    present: dict[str, Document] = {"lifecycle": {"Rules": [theirs]}, "encryption": encryption("aws:kms", "k")}
    done = wanted(NewLake("data-lake"), present)
    assert after(done, "encryption") is None and after(done, "lifecycle")["Rules"][0] == theirs
    again = wanted(NewLake("data-lake"), {**present, "lifecycle": after(done, "lifecycle")})
    assert again.changes == []
    other = wanted(NewLake("data-lake"), {"lifecycle": {"Rules": [{**theirs, "ID": "abort-open-uploads"}]}})
    assert other.blocked and "another rule of this ID" in told(other, "lifecycle")[0]
    unread = wanted(NewLake("data-lake"), unread={"lifecycle": "denied"})
    assert unread.blocked and after(unread, "lifecycle") is None
    assert wanted(NewLake("data-lake"), {"lifecycle": {"Rules": 7}}).blocked


def test_what_is_asked_for() -> None:
    done = wanted(NewLake("data-lake", encryption="sse-kms:k", versioning=True, abort_days=2))
    assert after(done, "encryption") == encryption("aws:kms", "k")
    assert after(done, "versioning") == {"Status": "Enabled"}
    assert after(done, "lifecycle")["Rules"][0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    minio = wanted(NewLake("data-lake"), minio=True)
    assert after(minio, "lifecycle") is None and "stale_uploads_expiry" in told(minio, "lifecycle", "info")[0]


def test_the_file_says_what_the_built_in_layout_says(tmp_path: Path) -> None:
    (tmp_path / "lake.toml").write_text(lake_toml(NewLake("data-lake"), "http://minio:9000", None))
    read = load(tmp_path / "lake.toml")
    assert (read.target_bucket, read.endpoint_url, read.region) == ("data-lake", "http://minio:9000", None)
    assert read.layout == Layout.medallion("data-lake", MEDALLION).to_mapping()


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{2,20}", fullmatch=True)


@given(names, st.lists(names, min_size=1, max_size=4, unique=True), st.sampled_from([None, "eu-central-1"]))
def test_the_file_can_be_read_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, bucket: str, layers: list[str], region: str | None
) -> None:
    new = NewLake(bucket, tuple(layer for layer in layers if layer != bucket) or ("logs-0",))
    file = tmp_path_factory.mktemp("new") / "lake.toml"
    file.write_text(lake_toml(new, None, region))
    read = load(file)
    assert (read.target_bucket, read.region, read.layout) == (bucket, region, new.layout().to_mapping())
