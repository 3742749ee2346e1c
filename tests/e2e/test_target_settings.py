"""Settings on a real server: translated, set, read back and restored; and a reader of one layer, who can read no other
layer. SeaweedFS keeps and honours these documents; moto keeps them only."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from buckets import fresh_buckets
from migrator.cli import main
from migrator.demo.server import Server
from migrator.layout import MEDALLION, Layout
from migrator.settings.access import ROLES, access_policy

BUCKETS = ("bronze", "gold", "logs")
TARGET = "data-lake"
LAYOUT = Layout.from_mapping(TARGET, {f"s3://{name}/": f"{name}/" for name in BUCKETS})
SSE = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}


class WithUsers(Server):
    """A server that encrypts, on which there is a user for each role in the layer bronze, with the policy that migrator
    prints."""

    def _secrets(self) -> dict[str, str]:
        return {"WEED_S3_SSE_KEK": secrets.token_hex(32)}

    def _identities(self) -> dict[str, Any]:
        found = super()._identities()
        for role in ROLES:
            user = {"name": role, "credentials": [{"accessKey": role * 3, "secretKey": role * 3}], "actions": []}
            found["identities"].append({**user, "policyNames": [role]})
        text = {role: json.dumps(access_policy(LAYOUT, "bronze", role)) for role in ROLES}
        return {**found, "policies": [{"name": role, "content": text[role]} for role in ROLES]}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with WithUsers() as server:
        yield server


@pytest.fixture
def lake(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the server. The server has old buckets with settings; ``plan.db`` is a plan for them."""
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with fresh_buckets(server, BUCKETS):
        client = server.client()
        for bucket in BUCKETS:
            client.put_object(Bucket=bucket, Key="day/a", Body=b"a")
        fill(client)
        run("plan", "--config", config(tmp_path), "-o", "plan.db")
        yield client


def config(folder: Path) -> str:
    rules = "".join(f'"{source}" = "{target}"\n' for source, target in LAYOUT.to_mapping().items())
    (folder / "lake.toml").write_text(f'[target]\nbucket = "{TARGET}"\n[layout]\n{rules}')
    return str(folder / "lake.toml")


def fill(client: Any) -> None:
    """Set the old buckets' settings."""
    read = {"Sid": "Public", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::gold", "arn:aws:s3:::gold/*"]}  # fmt: skip
    client.put_bucket_policy(Bucket="gold", Policy=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
    rules = [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}},
        {"ID": "tagged", "Status": "Enabled", "Expiration": {"Days": 3},
         "Filter": {"And": {"Prefix": "day/", "Tags": [{"Key": "k", "Value": "v"}]}}},
        {"ID": "open", "Status": "Enabled", "Filter": {"Prefix": ""},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
    ]  # fmt: skip
    client.put_bucket_lifecycle_configuration(Bucket="logs", LifecycleConfiguration={"Rules": rules})
    client.put_bucket_encryption(Bucket="bronze", ServerSideEncryptionConfiguration=SSE)
    client.put_bucket_tagging(Bucket="bronze", Tagging={"TagSet": [{"Key": "team", "Value": "bi"}]})
    cors = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example"]}
    client.put_bucket_cors(Bucket="gold", CORSConfiguration={"CORSRules": [cors]})
    client.put_bucket_versioning(Bucket="gold", VersioningConfiguration={"Status": "Enabled"})


def run(*words: str, exit_code: int = 0) -> Result:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == exit_code, done.output + done.stderr + repr(done.exception)
    return done


def documents(client: Any) -> dict[str, Any]:
    """The settings of the target, read with boto3."""
    asked = {
        "policy": lambda: json.loads(client.get_bucket_policy(Bucket=TARGET)["Policy"])["Statement"],
        "lifecycle": lambda: client.get_bucket_lifecycle_configuration(Bucket=TARGET)["Rules"],
        "encryption": lambda: client.get_bucket_encryption(Bucket=TARGET)["ServerSideEncryptionConfiguration"]["Rules"],
        "tags": lambda: client.get_bucket_tagging(Bucket=TARGET)["TagSet"],
        "CORS": lambda: client.get_bucket_cors(Bucket=TARGET)["CORSRules"],
    }
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except ClientError as error:
            assert "No" in error.response["Error"]["Code"] or "NotFound" in error.response["Error"]["Code"]
    return found


def test_the_settings_are_set_honoured_and_given_back(lake: Any, server: Server) -> None:
    shown = run("settings", "plan.db", exit_code=3)
    assert "--versioning enabled" in shown.stdout and TARGET not in str(lake.list_buckets()["Buckets"])
    done = json.loads(run("settings", "plan.db", "--versioning", "enabled", "--apply", "--json").stdout)
    assert {change["setting"]: change["state"] for change in done["changes"]} == dict.fromkeys(
        ("encryption", "versioning", "policy", "lifecycle", "tags", "CORS"), "set"
    )
    now = documents(lake)
    assert {rule["ID"]: rule["Filter"] for rule in now["lifecycle"]} == {
        "logs-old": {"Prefix": "logs/"},
        "logs-tagged": {"And": {"Prefix": "logs/day/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "logs-open": {"Prefix": "logs/"},
    }
    assert [statement["Sid"] for statement in now["policy"]] == ["GoldPublic", "GoldPublicList"]
    assert now["encryption"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert now["tags"] == [{"Key": "team", "Value": "bi"}] and lake.get_bucket_versioning(Bucket=TARGET)["Status"]

    run("migrate", "plan.db", "--yes")
    assert lake.head_object(Bucket=TARGET, Key="bronze/day/a")["ServerSideEncryption"] == "AES256"
    anybody = boto3.client("s3", endpoint_url=server.endpoint_url, config=unsigned(), region_name="us-east-1")
    assert anybody.get_object(Bucket=TARGET, Key="gold/day/a")["Body"].read() == b"a"
    assert anybody.list_objects_v2(Bucket=TARGET, Prefix="gold/")["KeyCount"] == 1
    for key in ("bronze/day/a", "logs/day/a"):
        assert denied(lambda: anybody.get_object(Bucket=TARGET, Key=key))  # noqa: B023
    for prefix in ("", "bronze/", "g"):
        assert denied(lambda: anybody.list_objects_v2(Bucket=TARGET, Prefix=prefix))  # noqa: B023

    assert json.loads(run("settings", "plan.db", "--json").stdout)["changes"] == []
    back = json.loads(run("rollback", "plan.db", "--yes", "--json").stdout)
    assert len(back["settings"]) == 6 and documents(lake) == {}
    assert json.loads(run("rollback", "plan.db", "--yes", "--json").stdout)["settings"] == []


def unsigned() -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    return Config(signature_version=UNSIGNED)


def denied(request: Any) -> bool:
    with pytest.raises(ClientError) as error:
        request()
    return bool(error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403)


def user(server: Server, role: str) -> Any:
    keys = {"aws_access_key_id": role * 3, "aws_secret_access_key": role * 3, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=server.endpoint_url, **keys)


@pytest.mark.parametrize("role", ROLES)
def test_who_has_one_layer_has_no_other(lake: Any, server: Server, role: str) -> None:
    lake.create_bucket(Bucket=TARGET)
    for key in ("bronze/day/a", "bronze2/a", "gold/day/a"):
        lake.put_object(Bucket=TARGET, Key=key, Body=b"a")
    client = user(server, role)
    assert client.get_object(Bucket=TARGET, Key="bronze/day/a")["Body"].read() == b"a"
    assert client.list_objects_v2(Bucket=TARGET, Prefix="bronze/")["KeyCount"] == 1
    for key in ("bronze2/a", "gold/day/a"):
        assert denied(lambda: client.get_object(Bucket=TARGET, Key=key))  # noqa: B023
        assert denied(lambda: client.put_object(Bucket=TARGET, Key=key, Body=b"b"))  # noqa: B023
        assert denied(lambda: client.delete_object(Bucket=TARGET, Key=key))  # noqa: B023
    for prefix in ("", "gold/", "bronze", "bronze2/"):
        assert denied(lambda: client.list_objects_v2(Bucket=TARGET, Prefix=prefix))  # noqa: B023
    assert denied(lambda: client.get_object(Bucket="bronze", Key="day/a"))
    if role == "reader":
        assert denied(lambda: client.put_object(Bucket=TARGET, Key="bronze/new", Body=b"b"))
        assert denied(lambda: client.delete_object(Bucket=TARGET, Key="bronze/day/a"))
    else:
        client.put_object(Bucket=TARGET, Key="bronze/new", Body=b"b")
        client.delete_object(Bucket=TARGET, Key="bronze/new")


def test_the_commands_set_the_same(lake: Any, tmp_path: Path) -> None:
    """By a program in the place of ``aws`` that does with boto3 what the real one does: one method for each command."""
    script = run("settings", "plan.db", "--versioning", "enabled", "--commands", "aws").stdout
    program = tmp_path / "aws"
    program.write_text(AWS)
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-eu", "-c", script], env=environ, check=True, timeout=120)
    assert json.loads(run("settings", "plan.db", "--json").stdout)["changes"] == []
    assert {*documents(lake)} == {"policy", "lifecycle", "encryption", "tags", "CORS"}


AWS = """#!/usr/bin/env python3
import json, sys, boto3
from botocore import xform_name
service, command, *options = sys.argv[1:]
given = dict(zip(options[::2], options[1::2]))
client = boto3.client("s3")
model = client.meta.service_model
(operation,) = [n for n in model.operation_names if xform_name(n, "-") == command]
members = {f"--{xform_name(name, '-')}": name for name in model.operation_model(operation).input_shape.members}
values = {}
for option, value in given.items():
    if value == "file:///dev/stdin":
        value = sys.stdin.read()
        value = value if option == "--policy" else json.loads(value)
    values[members[option]] = value
getattr(client, xform_name(operation))(**values)
"""


def test_a_new_lake_is_made_with_its_settings(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with fresh_buckets(server, ()):
        client = server.client()
        run("init", "--expire", "logs=90", "--markers", "--yes", "--endpoint-url", server.endpoint_url)
        now = documents(client)
        assert [(rule["ID"], rule["Filter"]) for rule in now["lifecycle"]] == [
            ("abort-open-uploads", {"Prefix": ""}),
            ("expire-logs", {"Prefix": "logs/"}),
        ]
        client.put_object(Bucket=TARGET, Key="bronze/a", Body=b"a")
        assert client.head_object(Bucket=TARGET, Key="bronze/a")["ServerSideEncryption"] == "AES256"
        keys = {found["Key"] for found in client.list_objects_v2(Bucket=TARGET)["Contents"]}
        assert keys == {"bronze/a", *(f"{layer}/" for layer in MEDALLION)}
        (tmp_path / "job.py").write_text("spark.read.load('s3a://bronze/x')\n")
        rewritten = run("rewrite-config", "--config", "lake.toml", "job.py")
        assert f"+spark.read.load('s3a://{TARGET}/bronze/x')" in rewritten.stdout
