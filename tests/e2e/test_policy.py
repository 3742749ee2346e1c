"""The printed policy is what a migration needs: it allows every request to the server, and each permission is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from e2e.faults import FaultProxy, Request
from e2e.world import World

TARGET = "data-lake"

RARE = {
    "s3:AbortMultipartUpload",  # the preflight and interrupted copies
    "s3:GetObjectAcl",  # where a bucket can have access control lists
    "s3:ListBucketMultipartUploads",  # after an interruption
    "s3:DeleteObjectVersion",  # where the target keeps versions
    "s3:ListMultipartUploadParts",  # where an answer was lost
    "s3:PutObjectTagging",  # an object with tags that goes in parts; the preflight
}
"""Granted for requests that are not sent in every migration."""

_QUERIES = {
    ("GET", "versioning"): "s3:GetBucketVersioning",
    ("PUT", "versioning"): "s3:PutBucketVersioning",
    ("GET", "versions"): "s3:ListBucketVersions",
    ("GET", "uploads"): "s3:ListBucketMultipartUploads",
    ("GET", "object-lock"): "s3:GetBucketObjectLockConfiguration",
    ("GET", "policy"): "s3:GetBucketPolicy",
    ("GET", "publicAccessBlock"): "s3:GetBucketPublicAccessBlock",
    ("GET", "acl"): "s3:GetBucketAcl",
    ("GET", "ownershipControls"): "s3:GetBucketOwnershipControls",
    ("GET", "lifecycle"): "s3:GetLifecycleConfiguration",
    ("GET", "encryption"): "s3:GetEncryptionConfiguration",
    ("GET", "notification"): "s3:GetBucketNotification",
    ("GET", "cors"): "s3:GetBucketCORS",
    ("GET", "replication"): "s3:GetReplicationConfiguration",
    ("GET", "website"): "s3:GetBucketWebsite",
    ("GET", "logging"): "s3:GetBucketLogging",
    ("POST", "uploads"): "s3:PutObject",
    ("POST", "uploadId"): "s3:PutObject",
    ("GET", "uploadId"): "s3:ListMultipartUploadParts",
    ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
}
"""The action that AWS requires for a method and a parameter of the query."""


def needed(request: Request) -> Iterator[tuple[str, str]]:
    """(bucket, action) pairs that a request needs, by the Service Authorization Reference for S3."""
    query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
    bucket, _, key = request.key.partition("/")
    version = "Version" if "versionId" in query else ""
    named = next((a for (method, name), a in _QUERIES.items() if method == request.method and name in query), "")
    if "tagging" in query and not key:
        yield bucket, "s3:GetBucketTagging"
    elif "tagging" in query:
        yield bucket, f"s3:{request.method.capitalize()}Object{version}Tagging"
    elif "acl" in query and key:
        yield bucket, "s3:GetObjectAcl"
    elif named:
        yield bucket, named
    elif not key:
        yield bucket, "s3:CreateBucket" if request.method == "PUT" else "s3:ListBucket"
    else:
        verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}[request.method]
        yield bucket, f"s3:{verb}Object{version}"
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "x-amz-tagging" in headers:
        yield bucket, "s3:PutObjectTagging"
    if request.copies:
        source, _, rest = request.copies.partition("/")
        older = "Version" if "versionId=" in rest or "versionId=" in headers["x-amz-copy-source"] else ""
        yield source, f"s3:GetObject{older}"
        if headers.get("x-amz-tagging-directive") == "COPY":
            yield source, f"s3:GetObject{older}Tagging"
            yield bucket, "s3:PutObjectTagging"


def granted(policy: dict[str, list[dict[str, list[str]]]]) -> set[tuple[str, str]]:
    return {
        (resource.removeprefix("arn:aws:s3:::").removesuffix("/*"), action)
        for statement in policy["Statement"]
        for resource in statement["Resource"]
        for action in statement["Action"]
    }


@pytest.mark.parametrize("options", [[], ["--all-versions"]])
def test_a_migration_needs_what_its_policy_grants(
    own_world: World, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    world, client = own_world, own_world.client
    client.put_object(Bucket="gold", Key="tagged", Body=b"x", Tagging="team=bi")
    if options:
        client.put_bucket_versioning(Bucket="logs", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            client.put_object(Bucket="logs", Key="twice", Body=body)
    with FaultProxy(world.server.endpoint_url) as proxy:
        world.config.write_text(world.config.read_text().replace(world.server.endpoint_url, proxy.url))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        plan = world.plan("plan.db", *options)
        policy = json.loads(world.run("policy", plan).stdout)
        world.run("migrate", plan, "--yes")
        world.run("verify", plan, "--deep")
        again = world.plan("again.db", *options)  # now the target exists
        world.run("migrate", again, "--yes")
        seen = list(proxy.seen)
    # The names of all buckets are asked for, too; a plan does without where that is denied.
    asked = {(bucket, action) for request in seen for bucket, action in needed(request) if bucket}
    allowed = granted(policy)
    assert asked - allowed == set(), "asked for, and not granted"
    if options:  # without older versions, some of it is asked of versioned buckets only
        asked_for = {(bucket == TARGET, action) for bucket, action in asked}
        granted_for = {(bucket == TARGET, action) for bucket, action in allowed if action not in RARE}
        assert granted_for - asked_for == set(), "granted, and never asked for"
