from __future__ import annotations

from pathlib import Path

import pytest

from migrator.config import load
from migrator.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lake.toml"
    path.write_text(text)
    return path


def test_everything(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [source]
        endpoint_url = "http://minio:9000"
        region = "eu-1"
        profile = "lake"
        [target]
        bucket = "one"
        endpoint_url = "http://minio:9000/"
        [layout]
        "s3://bronze/iceberg-warehouse/" = "warehouse/"
        "s3://bronze/" = "bronze/"
        "s3://bronze/tmp/" = false
        [catalogs.iceberg]
        type = "sql"
        uri = "sqlite:///x.db"
        "pool.size" = 3
        [plan]
        accept = ["delta-log"]
        all_versions = true
        """,
    )
    settings = load(path)
    assert (settings.endpoint_url, settings.region, settings.profile) == ("http://minio:9000", "eu-1", "lake")
    assert settings.target_bucket == "one"
    assert settings.layout == {
        "s3://bronze/iceberg-warehouse/": "warehouse/",
        "s3://bronze/": "bronze/",
        "s3://bronze/tmp/": False,
    }
    assert settings.catalogs == {"iceberg": {"type": "sql", "uri": "sqlite:///x.db", "pool.size": "3"}}
    assert settings.accept == ("delta-log",)
    assert settings.all_versions


def test_options_come_on_top(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[catalogs.a]\nuri = "sqlite:///x"\n'))
    merged = settings.override(endpoint_url="http://e", target="t", catalogs=("b", "a"))
    assert (merged.endpoint_url, merged.target_bucket) == ("http://e", "t")
    assert merged.catalogs == {"a": {"uri": "sqlite:///x"}, "b": {}}
    assert not merged.all_versions and merged.override(all_versions=True).override().all_versions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[sourc]\nx = "y"', "unknown key \\[sourc\\]. Did you mean 'source'"),
        ('[source]\nendpoint = "y"', "unknown key \\[source\\] endpoint. Did you mean 'endpoint_url'"),
        ('[source]\naccess_key = "AKIA"', "credentials do not belong in lake.toml"),
        ('[source]\nregion = ""', "must be a non-empty string"),
        ("[target]\nbucket = 3", "must be a non-empty string"),
        ('[source]\nendpoint_url = "http://a"\n[target]\nendpoint_url = "http://b"', "not supported yet"),
        ('[layout]\n"bronze" = "x"', "is not a place in S3"),
        ("layout = 3", "\\[layout\\] must be a table"),
        ('[catalogs.a.s3]\nendpoint = "x"', "must be a plain value"),
        ('[plan]\naccept = "x"', "must be a list"),
        ('[plan]\nall_versions = "yes"', "must be true or false"),
        ("[source", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, '[source]\nsecret_access_key = "hunter2"'))
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml")
