"""The commands run in a real shell, with programs that record their arguments."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.settings.commands import AWS, MC, commands
from migrator.settings.kinds import TRANSLATED
from settings.lakes import allow, expire, policy

DOCUMENTS: dict[str, Any] = {
    "encryption": {"ServerSideEncryptionConfiguration": {"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k 1"}}]}},
    "versioning": {"Status": "Enabled"},
    "policy": policy(allow("s3:GetObject", "data-lake/x/*")),
    "lifecycle": {"Rules": [expire(3, "logs/"), {"ID": "t", "Status": "Enabled", "Filter": {"Prefix": "a/"},
                  "Transitions": [{"Days": 1, "StorageClass": "COLD"}]}]},
    "tags": {"TagSet": [{"Key": "team", "Value": "b i"}, {"Key": "x", "Value": "y"}]},
    "CORS": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example/?x&y"]}]},
    "notifications": {"QueueConfigurations": [{"Id": "q", "QueueArn": "arn:minio:sqs::_:webhook",
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "logs/"}]}}}]},
    "object lock": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention":
        {"Mode": "GOVERNANCE", "Days": 3}}}},
}  # fmt: skip
RECORDER = """#!/usr/bin/env python3
import json, sys
words, body = sys.argv[1:], ""
if "import" in words or any(word.endswith("/dev/stdin") for word in words):
    body = sys.stdin.read()
elif words[0] in ("anonymous", "cors"):
    (number,) = [n for n, word in enumerate(words) if word.startswith("/")]
    body, words[number] = open(words[number]).read(), "FILE"
print(json.dumps([sys.argv[0].rsplit("/")[-1], *words, body]))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in (MC, AWS):
        (tmp_path / name).write_text(RECORDER)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def called(script: str, programs: Path) -> list[list[str]]:
    """How the programs are called by a script."""
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-eu", "-c", script], env=environ, cwd=programs, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_there_is_a_document_for_every_setting() -> None:
    assert set(DOCUMENTS) == set(TRANSLATED)


def test_aws(programs: Path) -> None:
    script = commands(AWS, "data-lake", DOCUMENTS.items(), make=True)
    first, *calls = called(script, programs)
    assert first == ["aws", "s3api", "create-bucket", "--bucket", "data-lake", ""]
    assert all(call[1] == "s3api" and call[3:5] == ["--bucket", "data-lake"] for call in calls)
    bodies = {call[2]: json.loads(call[-1]) for call in calls}
    assert bodies["put-bucket-policy"] == json.loads(DOCUMENTS["policy"]["Policy"])
    assert bodies["put-bucket-lifecycle-configuration"] == DOCUMENTS["lifecycle"]
    assert bodies["put-bucket-encryption"] == DOCUMENTS["encryption"]["ServerSideEncryptionConfiguration"]
    assert bodies["put-object-lock-configuration"] == DOCUMENTS["object lock"]["ObjectLockConfiguration"]
    assert bodies["put-bucket-tagging"] == DOCUMENTS["tags"]


def test_mc(programs: Path) -> None:
    calls = called(commands(MC, "data-lake", DOCUMENTS.items(), make=True), programs)
    place = "ALIAS/data-lake"
    body = {call[1]: call[-1] for call in calls}
    assert [call[1:-1] for call in calls] == [
        ["mb", "--ignore-existing", place],
        ["encrypt", "set", "sse-kms", "k 1", place],
        ["version", "enable", place],
        ["anonymous", "set-json", "FILE", place],
        ["ilm", "import", place],
        ["tag", "set", place, "team=b i&x=y"],
        ["cors", "set", place, "FILE"],
        ["event", "add", place, "arn:minio:sqs::_:webhook", "--event", "delete,put", "--prefix", "logs/",
         "--ignore-existing"],
        ["retention", "set", "--default", "governance", "3d", place],
    ]  # fmt: skip
    assert "<AllowedOrigin>https://a.example/?x&amp;y</AllowedOrigin>" in body["cors"]
    assert json.loads(body["ilm"])["Rules"][1]["Transition"] == {"Days": 1, "StorageClass": "COLD"}


def test_what_mc_cannot_do_is_a_comment(programs: Path) -> None:
    two = [{"Days": 1, "StorageClass": "A"}, {"Days": 2, "StorageClass": "B"}]
    odd = {
        "lifecycle": {"Rules": [{"ID": "two\nrm -rf x", "Status": "Enabled", "Filter": {}, "Transitions": two}]},
        "tags": {"TagSet": [{"Key": "a", "Value": "b&c"}]},
        "notifications": {
            "QueueConfigurations": [{"Id": "q\ntouch y", "QueueArn": "a", "Events": ["s3:ObjectRestore:*"]}]
        },
        "object lock": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    }
    script = commands(MC, "data-lake", odd.items(), make=False)
    assert [call[1] for call in called(script, programs)] == ["ilm"] and script.count("# ") == 4


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12)
nasty = st.one_of(
    texts, st.sampled_from(["END", "\nEND\n", "$(touch x)", "`touch x`", "'; touch x; '", "\nEND_\ntouch x"])
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nasty, nasty, st.sampled_from([MC, AWS]))
def test_no_name_becomes_a_command(programs: Path, name: str, other: str, kind: str) -> None:
    documents: dict[str, Any] = {
        "lifecycle": {"Rules": [expire(3, other, name)]},
        "tags": {"TagSet": [{"Key": name, "Value": other}]},
        "policy": policy(allow("s3:GetObject", other, Sid=name)),
        "CORS": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": [name], "ID": other}]},
        "notifications": {"QueueConfigurations": [{"Id": name, "QueueArn": other, "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": name}]}}}]},
    }  # fmt: skip
    calls = called(commands(kind, "data-lake", documents.items(), make=False), programs)
    assert {call[0] for call in calls} == {kind} and len(calls) in (4, 5)
    assert sorted(path.name for path in programs.iterdir()) == sorted((MC, AWS))
