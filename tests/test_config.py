from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from migrator import reference
from migrator.config import Prices, Settings, load
from migrator.errors import ConfigError
from migrator.store import Store


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
        [tables]
        leave = ["db.t", "iceberg.db.u"]
        only = ["gold.*"]
        [rewrite-config]
        endpoints = ["http://s3.lake:9000"]
        aliases = ["myminio"]
        checkpoints = "/data/checkpoints/"
        [check]
        layers = ["platinum/", "archive", "platinum"]
        accept = ["stray-object"]
        """,
    )
    settings = load(path)
    assert (settings.endpoint_url, settings.region, settings.profile) == ("http://minio:9000", "eu-1", "lake")
    assert settings.target_bucket == "one"
    assert settings.connection["target"] == {"endpoint_url": "http://minio:9000/", "region": "eu-1", "profile": "lake"}
    assert settings.layout == {
        "s3://bronze/iceberg-warehouse/": "warehouse/",
        "s3://bronze/": "bronze/",
        "s3://bronze/tmp/": False,
    }
    assert settings.catalogs == {"iceberg": {"type": "sql", "uri": "sqlite:///x.db", "pool.size": "3"}}
    assert settings.accept == ("delta-log",)
    assert (settings.check_layers, settings.check_accept) == (("platinum", "archive"), ("stray-object",))
    assert settings.all_versions
    assert settings.leave == ("db.t", "iceberg.db.u")
    assert settings.only == ("gold.*",)
    assert settings.script_endpoints == ("http://s3.lake:9000",) and settings.script_aliases == ("myminio",)
    assert settings.script_checkpoints == "/data/checkpoints/"


SOURCE = {"endpoint_url": "http://old", "region": "eu-1", "profile": "lake"}


@pytest.mark.parametrize(
    ("target", "connection"),
    [
        ("", SOURCE),
        ('endpoint_url = "http://new"', {**SOURCE, "endpoint_url": "http://new"}),
        ('region = "eu-2"', {**SOURCE, "region": "eu-2"}),
        ('profile = "p"', {**SOURCE, "profile": "p", "region": None}),  # the profile says its own
        ('profile = "p"\nregion = "eu-2"', {**SOURCE, "profile": "p", "region": "eu-2"}),
    ],
)
def test_what_is_not_said_of_the_target_is_as_at_the_source(
    tmp_path: Path, target: str, connection: dict[str, str | None]
) -> None:
    source = "".join(f'{key} = "{value}"\n' for key, value in SOURCE.items())
    settings = load(write(tmp_path, f"[source]\n{source}[target]\n{target}\n"))
    assert settings.connection == {**SOURCE, "target": connection, "target_bucket": "data-lake"}


def test_options_come_on_top(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[catalogs.a]\nuri = "sqlite:///x"\n'))
    merged = settings.override(endpoint_url="http://e", target="t", target_endpoint_url="http://n", catalogs=("b", "a"))
    assert (merged.endpoint_url, merged.target_bucket, merged.target_endpoint_url) == ("http://e", "t", "http://n")
    assert merged.catalogs == {"a": {"uri": "sqlite:///x"}, "b": {}}
    more = settings.override(leave=("db.t", "db.t"), accept=("delta-log",)).override(leave=("db.u",))
    assert (more.leave, more.accept) == (("db.t", "db.u"), ("delta-log",))
    with pytest.raises(ConfigError, match="--accept cannot include 'x'"):
        settings.override(accept=("x",))
    assert not merged.all_versions and merged.override(all_versions=True).override().all_versions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[sourc]\nx = "y"', "unknown key \\[sourc\\]. Did you mean 'source'"),
        ('[source]\nendpoint = "y"', "unknown key \\[source\\] endpoint. Did you mean 'endpoint_url'"),
        ('[source]\naccess_key = "AKIA"', "credentials do not belong in lake.toml"),
        ('[source]\nregion = ""', "must be a non-empty string"),
        ("[target]\nbucket = 3", "must be a non-empty string"),
        ("[target]\nprofile = 3", "\\[target\\] profile must be a non-empty string"),
        ('[target]\nprofil = "x"', "unknown key \\[target\\] profil. Did you mean 'profile'"),
        ('[target]\nsecret_key = "x"', "credentials do not belong in lake.toml"),
        ('[layout]\n"bronze" = "x"', "is not a place in S3"),
        ("[layout]\n", "\\[layout\\] has no rule, so nothing would move. Write at least one, such as"),
        ("layout = 3", "\\[layout\\] must be a table"),
        ('[catalogs.a.s3]\nendpoint = "x"', "must be a plain value"),
        ('[plan]\naccept = "x"', "must be a list"),
        ('[plan]\naccept = ["size-difers"]', "include 'size-difers', which is not the code of .* mean 'size-differs'"),
        ('[plan]\naccept = ["unreadable"]', "include 'unreadable', which is a finding that cannot be accepted"),
        ('[plan]\nall_versions = "yes"', "must be true or false"),
        ('[tables]\nleave = "db.t"', "\\[tables\\] leave must be a list"),
        ("[tables]\nleaves = []", "unknown key \\[tables\\] leaves. Did you mean 'leave'"),
        ('[tables]\nonly = "db.t"', "\\[tables\\] only must be a list"),
        ("[source", "not valid TOML"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[target]\nbucket" + ".a" * 5000 + " = 1", "nested too deeply"),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    assert load(write(tmp_path, '\ufeff[target]\nbucket = "one"')).target_bucket == "one"


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, '[source]\nsecret_access_key = "hunter2"'))
    assert "hunter2" not in str(caught.value)


SECRET = "Marker4Secret"


@pytest.mark.parametrize(
    "url",
    [
        f"http://joe:{SECRET}@minio:9000",
        f"https://{SECRET}@minio",
        f"http://joe:{SECRET}/x@minio:9000",
        f"http://joe:{SECRET}?@minio",
        f"http://minio:9000/?token={SECRET}",
        f"http://minio:9000/#{SECRET}",
        f"joe:{SECRET}@minio:9000",
    ],
)
@pytest.mark.parametrize("where", ["source", "target", "--endpoint-url", "--target-endpoint-url", "relocate", "env"])
def test_an_endpoint_with_a_secret_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, where: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    with pytest.raises(ConfigError) as caught:
        if where in ("source", "target"):
            load(write(tmp_path, f'[{where}]\nendpoint_url = "{url}"\n'))
        elif where == "relocate":
            Store(endpoint_url=url)
        elif where == "env":
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            Store()
        else:
            Settings().override(**{where.removeprefix("--").replace("-", "_"): url})
    assert SECRET not in str(caught.value) and SECRET not in repr(caught.value.__cause__)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("url", ["minio:9000", "http://", "s3://bucket", "http://a b"])
def test_an_endpoint_that_cannot_be_one_is_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="--endpoint-url is no endpoint URL: "):
        Settings().override(endpoint_url=url)


@pytest.mark.parametrize(
    "url", ["http://minio:9000", "https://s3.eu-1.amazonaws.com/", "http://[::1]:9000", "http://h/s3"]
)
def test_an_endpoint_that_can_be_one_is_taken(url: str) -> None:
    assert Settings().override(endpoint_url=url).endpoint_url == url


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_the_catalog_to_which_tables_move(tmp_path: Path) -> None:
    path = tmp_path / "lake.toml"
    path.write_text(
        '[catalogs.lake]\ntype = "sql"\nuri = "sqlite:///a.db"\n[catalogs.lake.target]\ntype = "glue"\nname = "new"\n'
    )
    settings = load(path)
    assert settings.catalogs == {"lake": {"type": "sql", "uri": "sqlite:///a.db"}}
    assert settings.catalog_targets == {"lake": {"type": "glue", "name": "new"}}
    path.write_text('[catalogs.lake]\ntype = "sql"\n[catalogs.lake.target.target]\ntype = "glue"\n')
    with pytest.raises(ConfigError, match=r"\[catalogs.lake.target\] target must be a plain value"):
        load(path)


def test_prices(tmp_path: Path) -> None:
    path = tmp_path / "lake.toml"
    path.write_text('[prices]\ncurrency = "EUR"\nper_1000_writes = 1\nper_gib_month_stored = 0.02\n')
    assert load(path).prices == Prices("EUR", per_1000_writes=1.0, per_gib_month_stored=0.02)
    path.write_text("[target]\n")
    assert load(path).prices is None
    path.write_text(reference.text(reference.PRICES_EXAMPLE))
    assert load(path).prices == Prices("USD", 0.005, 0.0004, 0.09, 0.023)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("per_1000_write = 1", r"unknown key \[prices\] per_1000_write"),
        ('per_1000_writes = "1"', "must be a number from 0 to 1,000,000, not '1'"),
        ("per_1000_writes = -1", "not -1"),
        ("per_1000_writes = inf", "not inf"),
        ("per_gib_between_servers = 1e308", "not 1e"),
        ("per_1000_writes = true", "not True"),
        ("currency = 3", "currency must be a non-empty string"),
    ],
)
def test_prices_that_are_none(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "lake.toml"
    path.write_text(f"[prices]\n{line}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load(path)
    if "unknown" in message:
        assert caught.value.next_move == "Did you mean 'per_1000_writes'?"


def test_inventories(tmp_path: Path) -> None:
    uri = "s3://reports/bronze/daily/2026-11-25T01-00Z/manifest.json"
    config = tmp_path / "lake.toml"
    config.write_text(f'[source]\ninventories = ["{uri}", "{uri}"]\n')
    settings = load(config)
    assert settings.inventories == (uri,) and settings.override().inventories == (uri,)
    assert settings.override(inventories=("s3://reports/newer.json",)).inventories == ("s3://reports/newer.json",)
    for wrong in ("https://reports/manifest.json", "s3://reports", "s3://reports/folder/"):
        with pytest.raises(ConfigError, match=r"--inventory: .* is no manifest of an S3 Inventory report"):
            Settings().override(inventories=(wrong,))
    config.write_text(f'[source]\ninventories = "{uri}"\n')
    with pytest.raises(ConfigError, match=r"\[source\] inventories"):
        load(config)


@pytest.mark.parametrize("name", ["lake.toml", "my lake's.toml"])
def test_the_command_about_scripts_has_the_settings_that_it_needs(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("[source]\nendpoint_url = 'http://minio:9000'\n[layout]\n's3://raw/' = 'raw/'\n")
    words = ["migrator", "rewrite-config", "--config", str(path), "s3://raw/my scripts/"]
    assert shlex.split(load(path).rewrite_config("s3://raw/my scripts/")) == words
    assert Settings().rewrite_config("s3://scripts/") == "migrator rewrite-config s3://scripts/"
    given = Settings(endpoint_url="http://minio:9000", target_bucket="lake")
    words = ["AWS_ENDPOINT_URL_S3=http://minio:9000", "migrator", "rewrite-config", "--target", "lake", "s3://scripts/"]
    assert shlex.split(given.rewrite_config("s3://scripts/")) == words
