"""Secrets in every place where a user may have put one: none of them is in any output, plan or file next to the
plan."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2e.world import World
from migrator.cli import main

MARKER = "M4rkerS3cret"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_secret_gets_anywhere(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given"  # what the user wrote, secrets included: not looked at below
    given.mkdir()
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.chdir(made)
    text = world.config.read_text()
    catalog = f"""
[catalogs.pg]
type = "sql"
uri = "postgresql+psycopg2://joe:{MARKER}1@127.0.0.1:9/lake?sslpassword={MARKER}2&application_name={MARKER}3"
"s3.secret-access-key" = "{MARKER}4"
[catalogs.lite]
type = "sql"
uri = "sqlite:///{tmp_path}/none.db?password={MARKER}5"
warehouse = "s3a://KEY:{MARKER}6@bronze/wh"
[catalogs.fs]
type = "hadoop"
warehouse = "s3n://KEY:{MARKER}7@bronze/wh"
[catalogs.rest]
type = "rest"
uri = "https://joe:{MARKER}8@host/"
token = "{MARKER}9"
[catalogs.my]
type = "sql"
uri = "mysql+pymysql://joe:{MARKER}f@127.0.0.1:9/lake?passwd={MARKER}g&ssl_key={MARKER}h"
[catalogs.my2]
type = "sql"
uri = "mysql://joe:{MARKER}f@127.0.0.1:9/lake?secret={MARKER}g"
[catalogs.glue]
type = "glue"
"glue.region" = "us-east-1"
"glue.endpoint" = "http://joe:{MARKER}i@127.0.0.1:9"
"glue.secret-access-key" = "{MARKER}j"
[catalogs.dynamo]
type = "dynamodb"
"client.region" = "us-east-1"
"client.profile-name" = "none"
"client.access-key-id" = "{MARKER}k"
"client.secret-access-key" = "{MARKER}l"
"client.session-token" = "{MARKER}m"
"""
    said = []

    def run(*arguments: str | Path) -> None:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code != 0 or "Traceback" not in result.output
        said.append(result.output + result.stderr + repr(result.exception))

    for name, part in enumerate(catalog.split("\n[catalogs.")[1:]):
        config = given / f"{name}.toml"
        config.write_text(f"{text}\n[catalogs.{part}\n")
        run("plan", "--config", config, "-o", made / f"{name}.db")
        run("tables", "--config", config)
    for name, endpoint in enumerate((f"http://joe:{MARKER}a@127.0.0.1:9", f"http://127.0.0.1:9/?t={MARKER}b")):
        config = given / f"endpoint-{name}.toml"
        config.write_text(f'[source]\nendpoint_url = "{endpoint}"\n[layout]\n"s3://bronze/" = "b/"\n')
        run("plan", "--config", config)
        run("plan", "--endpoint-url", endpoint)
        run("plan", "--config", world.config, "--target-endpoint-url", endpoint)
        run("relocate", "s3://b/t/metadata/v1.metadata.json", "--to", "s3://c/t", "--endpoint-url", endpoint)
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            with monkeypatch.context() as patch:
                patch.delenv("AWS_ENDPOINT_URL_S3")
                patch.setenv(variable, endpoint)
                run("plan", "-o", made / "env.db")
    aws = given / "config"
    aws.write_text(f"[profile odd]\nendpoint_url = http://joe:{MARKER}c@127.0.0.1:9\n")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(aws))
        patch.setenv("AWS_PROFILE", "odd")
        patch.delenv("AWS_ENDPOINT_URL_S3")
        run("plan", "-o", made / "profile.db")
    with monkeypatch.context() as patch:  # a proxy that is not there
        patch.setenv("HTTP_PROXY", f"http://joe:{MARKER}d@127.0.0.1:9")
        patch.setenv("NO_PROXY", "")
        run("plan", "--endpoint-url", "http://127.0.0.2:9", "-o", made / "proxy.db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{MARKER}e")
    run("plan", "--config", world.config, "-o", made / "denied.db")

    leaks = [text for text in said if MARKER in text]
    assert not leaks, leaks[0]
    assert not [name for name, data in files(made).items() if MARKER.encode() in data]
    assert len(said) > 20


def test_what_a_migration_writes_holds_no_secret(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid credentials, a warehouse URI that contains some, and a catalog with properties that contain a secret."""
    folder = tmp_path / "made"
    folder.mkdir()
    text = world.config.read_text()
    assert "[catalogs.iceberg]\n" in text
    more = f'warehouse = "s3a://KEY:{MARKER}@bronze/iceberg-warehouse"\n"s3.secret-access-key" = "{MARKER}"\n'
    before, section, after = text.partition("[catalogs.iceberg]\n")
    after = re.sub(r'^"warehouse" = .*\n', "", after, count=1, flags=re.M)
    world.config.write_text(before + section + more + after)
    plan = folder / "p.db"
    said = [world.run("plan", "--config", world.config, "-o", plan, "--json").stdout]
    assert "s3a://bronze/iceberg-warehouse" in said[0]  # the plan names its new value
    said += [world.run("migrate", plan, "--yes").output, world.run("verify", plan).output]
    said += [world.run("show", plan).output, world.run("status", plan, "--json").output]
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    for text in (*said, *(data.decode("latin-1") for data in files(folder).values())):
        assert MARKER not in text and secret not in text
    with sqlite3.connect(plan) as db:
        assert MARKER not in "\n".join(db.iterdump())
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"p.db": 0o600}
