"""``migrator settings --apply`` on several real servers: the settings that a server supports are set and honoured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from click.testing import CliRunner

from migrator.cli import main
from migrator.demo.server import Server
from servers.known import KNOWN, Known
from servers.test_servers import REQUIRED

OLD, TARGET = ("bronze", "gold"), "data-lake"
TAKEN = {
    "SeaweedFS": {"CORS", "lifecycle", "policy", "tags"},
    "SeaweedFS behind a proxy that imitates MinIO": {"CORS", "lifecycle", "policy", "tags"},
    "versitygw, on a folder": {"CORS", "policy", "tags"},
    "Adobe s3mock": {"lifecycle"},
}
"""The settings that each server supports, of those that the old buckets should have."""


@pytest.fixture(params=[known for known in KNOWN if known.server], ids=lambda known: known.name.replace(" ", "-"))
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Known, Server]]:
    known: Known = request.param
    why = known.missing()
    if why and os.environ.get(REQUIRED) != "1":
        pytest.skip(f"{known.name}: {why}")
    assert known.server is not None
    with known.server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield known, server


def fill(client: Any) -> set[str]:
    """Set on the old buckets what the server supports. Returns the names."""
    read = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::gold", "arn:aws:s3:::gold/*"]}  # fmt: skip
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "day/"}, "Expiration": {"Days": 30}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [read]})
    cors = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    tried = {
        "policy": lambda: client.put_bucket_policy(Bucket="gold", Policy=policy),
        "lifecycle": lambda: client.put_bucket_lifecycle_configuration(
            Bucket="bronze", LifecycleConfiguration={"Rules": [rule]}
        ),
        "tags": lambda: client.put_bucket_tagging(Bucket="gold", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}),
        "CORS": lambda: client.put_bucket_cors(Bucket="gold", CORSConfiguration=cors),
    }
    taken = set()
    for name, put in tried.items():
        try:
            put()
        except (ClientError, BotoCoreError):
            continue
        taken.add(name)
    return taken


def run(*words: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == exit_code, done.output + repr(done.exception)
    return done.stdout


@pytest.mark.timeout(1200)  # versitygw is built at the first run
def test_what_a_server_takes_is_set_honoured_and_given_back(server: tuple[Known, Server], tmp_path: Path) -> None:
    known, real = server
    client = real.client()
    for bucket in OLD:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="day/a", Body=b"a")
    taken = fill(client)
    rules = "".join(f'"s3://{bucket}/" = "{bucket}/"\n' for bucket in OLD)
    (tmp_path / "lake.toml").write_text(f'[target]\nbucket = "{TARGET}"\n[layout]\n{rules}')
    run("plan", "--config", "lake.toml", "-o", "plan.db")
    done = json.loads(run("settings", "plan.db", "--apply", "--json"))
    states = {change["setting"]: change["state"] for change in done["changes"]}
    assert states == dict.fromkeys(sorted(TAKEN[known.name]), "set") and taken >= TAKEN[known.name]
    assert json.loads(run("settings", "plan.db", "--json"))["changes"] == []
    run("migrate", "plan.db", "--yes")
    if "policy" in states:
        anybody = boto3.client(
            "s3", endpoint_url=real.endpoint_url, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
        )
        assert anybody.get_object(Bucket=TARGET, Key="gold/day/a")["Body"].read() == b"a"
        assert anybody.list_objects_v2(Bucket=TARGET, Prefix="gold/")["KeyCount"] == 1
        with pytest.raises(ClientError, match="AccessDenied"):
            anybody.get_object(Bucket=TARGET, Key="bronze/day/a")
        for prefix in ("", "bronze/", "g"):
            with pytest.raises(ClientError, match="AccessDenied"):
                anybody.list_objects_v2(Bucket=TARGET, Prefix=prefix)
    assert len(json.loads(run("rollback", "plan.db", "--yes", "--json"))["settings"]) == len(states)
    again = json.loads(run("settings", "plan.db", "--json"))["changes"]
    assert {change["setting"] for change in again} == set(states)
