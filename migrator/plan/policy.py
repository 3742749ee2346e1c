"""The smallest policy that a migration needs: for AWS IAM, and for MinIO by :func:`mc_commands`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from migrator.store import bucket_settings, setting_documents

BUCKET, OBJECTS = "bucket", "objects"

SETTINGS = tuple(sorted(setting.action for setting in bucket_settings.SETTINGS))
"""For reading the settings of buckets. Optional: without them a plan reports what it could not read."""

NOT_OF_MINIO = frozenset(
    {
        "s3:GetBucketAcl",
        "s3:GetBucketCORS",
        "s3:GetBucketLogging",
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketWebsite",
        "s3:PutBucketCORS",
    }
)
"""MinIO does not know these, and refuses a policy that names an action which it does not know. To read a bucket's ACL,
website or logging there, s3:GetBucketPolicy is enough."""

SET_SETTINGS = tuple(sorted({action for actions in setting_documents.ACTIONS.values() for action in actions}))
"""For the target bucket, in addition, while ``migrator settings --apply`` or its rollback runs."""

ACTIONS: dict[str, str] = {
    **dict.fromkeys((*SETTINGS, *SET_SETTINGS), BUCKET),
    "s3:AbortMultipartUpload": OBJECTS,
    "s3:CreateBucket": BUCKET,
    "s3:DeleteBucket": BUCKET,
    "s3:DeleteObject": OBJECTS,
    "s3:DeleteObjectVersion": OBJECTS,
    "s3:GetBucketVersioning": BUCKET,
    "s3:GetObject": OBJECTS,
    "s3:GetObjectAcl": OBJECTS,
    "s3:GetObjectLegalHold": OBJECTS,
    "s3:GetObjectRetention": OBJECTS,
    "s3:GetObjectTagging": OBJECTS,
    "s3:GetObjectVersion": OBJECTS,
    "s3:GetObjectVersionTagging": OBJECTS,
    "s3:ListBucket": BUCKET,
    "s3:ListBucketMultipartUploads": BUCKET,
    "s3:ListBucketVersions": BUCKET,
    "s3:ListMultipartUploadParts": OBJECTS,
    "s3:PutBucketObjectLockConfiguration": BUCKET,
    "s3:PutBucketVersioning": BUCKET,
    "s3:PutObject": OBJECTS,
    "s3:PutObjectLegalHold": OBJECTS,
    "s3:PutObjectRetention": OBJECTS,
    "s3:PutObjectTagging": OBJECTS,
}
"""Every S3 action that is ever needed, and whether it is granted on a bucket or on the objects in it."""

SOURCE = (
    *SETTINGS,
    "s3:GetBucketVersioning",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectTagging",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
)
"""For an old bucket: list and read it, its older versions, open uploads, settings and access control lists."""

SOURCE_VERSIONS = ("s3:GetObjectVersion", "s3:GetObjectVersionTagging")
"""For an old bucket with --all-versions, in addition."""

TARGET = (
    *SETTINGS,
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetBucketVersioning",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
"""For the target bucket. Migrator deletes only what it wrote for itself: its lock, and the preflight's objects."""

TARGET_VERSIONS = ("s3:GetObjectVersion",)
"""For the target bucket with --all-versions, in addition."""

SOURCE_LOCKS = ("s3:GetObjectLegalHold", "s3:GetObjectRetention")
TARGET_LOCKS = ("s3:PutObjectLegalHold", "s3:PutObjectRetention")
MAKE_LOCKED = ("s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning")
"""With --object-lock, in addition."""

MAKE_TARGET = ("s3:CreateBucket",)
MAKE_VERSIONED = ("s3:PutBucketVersioning",)
"""For creating the target bucket."""

RETIRE = ("s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion")
"""For an old bucket, in addition, while ``migrator retire`` runs. s3:DeleteBucket is only needed for --remove-buckets,
s3:DeleteObjectVersion only for buckets that keep versions."""


def retire_policy(sources: Iterable[str]) -> dict[str, Any]:
    """The policy that ``migrator retire`` needs in addition to the least one. ``sources``: the old buckets."""
    return {"Version": "2012-10-17", "Statement": _statements("RetireOldBuckets", RETIRE, sorted(sources))}


def settings_policy(target: str) -> dict[str, Any]:
    """The policy that ``migrator settings --apply`` needs in addition to the least one."""
    return {"Version": "2012-10-17", "Statement": _statements("SetTarget", SET_SETTINGS, [target])}


def least_policy(
    sources: Iterable[str],
    target: str,
    *,
    all_versions: bool = False,
    object_lock: bool = False,
    make_target: bool = True,
) -> dict[str, Any]:
    """A policy document. ``sources``: the old buckets; empty for an account that only writes. ``target``: the target
    bucket; "" for an account that only reads. ``make_target``: the target bucket is still to be created."""
    read = SOURCE + (SOURCE_VERSIONS if all_versions else ()) + (SOURCE_LOCKS if object_lock else ())
    write = TARGET + (TARGET_VERSIONS if all_versions else ()) + (TARGET_LOCKS if object_lock else ())
    if make_target:
        write += MAKE_TARGET + (MAKE_VERSIONED if all_versions else ()) + (MAKE_LOCKED if object_lock else ())
    statements = _statements("ReadOldBuckets", read, sorted(sources))
    if target:
        statements += _statements("WriteTarget", write, [target])
    return {"Version": "2012-10-17", "Statement": statements}


def _statements(name: str, actions: Iterable[str], buckets: list[str]) -> list[dict[str, Any]]:
    """One statement about buckets and one about the objects in them."""
    granted = sorted(set(actions))
    return [
        {
            "Sid": f"{name}{'' if kind == BUCKET else 'Objects'}",
            "Effect": "Allow",
            "Action": [action for action in granted if ACTIONS[action] == kind],
            "Resource": [f"arn:aws:s3:::{bucket}{'' if kind == BUCKET else '/*'}" for bucket in buckets],
        }
        for kind in (BUCKET, OBJECTS)
        if buckets and any(ACTIONS[action] == kind for action in granted)
    ]


def mc_commands(policy: dict[str, Any], name: str = "migrator") -> str:
    """The commands that give a MinIO user this policy, without the actions that MinIO does not know. The user replaces
    ALIAS and USER."""
    statements = [
        {**statement, "Action": [action for action in statement["Action"] if action not in NOT_OF_MINIO]}
        for statement in policy["Statement"]
    ]
    document = json.dumps({**policy, "Statement": statements}, indent=2)
    return (
        f"mc admin policy create ALIAS {name} /dev/stdin <<'POLICY'\n{document}\nPOLICY\n"
        f"mc admin policy attach ALIAS {name} --user USER\n"
    )
