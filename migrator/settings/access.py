"""Policies for one layer of the target: for AWS IAM, and for MinIO's ``mc admin policy create``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from migrator.errors import ConfigError
from migrator.layout import Layout
from migrator.settings.places import OF_PATTERNS
from migrator.settings.policies import VERSION

READER, WRITER, ADMIN = "reader", "writer", "admin"
ROLES = (READER, WRITER, ADMIN)

_OBJECTS = {
    READER: ("s3:GetObject", "s3:GetObjectTagging"),
    WRITER: (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ),
    ADMIN: (
        "s3:DeleteObjectTagging",
        "s3:DeleteObjectVersion",
        "s3:GetObjectVersion",
        "s3:GetObjectVersionTagging",
    ),
}
"""What each role may do with the objects of a layer, in addition to the roles before it."""
_LISTS = {READER: ("s3:ListBucket",), WRITER: (), ADMIN: ("s3:ListBucketVersions",)}
_ANYWHERE = {READER: ("s3:GetBucketLocation",), WRITER: (), ADMIN: ("s3:ListBucketMultipartUploads",)}
"""What each role may do with the bucket as a whole. Open uploads cannot be limited to a layer: an admin sees the keys
of all of them."""


def layers_of(layout: Layout) -> list[str]:
    """The layers of the target: the prefixes of the layout, without a slash at the end."""
    return [target for target in layout.target_prefixes if target]


def access_policy(layout: Layout, layer: str, role: str) -> dict[str, Any]:
    """The policy of a reader, writer or admin of a layer. Raises ConfigError for a layer that the layout lacks."""
    wanted, known = layer.strip("/"), layers_of(layout)
    if wanted not in known:
        raise ConfigError(
            f"{layer!r} is no layer of the target.", next_move=f"There are: {', '.join(known) or 'none'}."
        )
    return policy_of(layout.target_bucket, wanted, role)


def policy_of(bucket: str, layer: str, role: str) -> dict[str, Any]:
    """The same for any folder of any bucket. Raises ConfigError for a folder that a policy cannot name."""
    if OF_PATTERNS & {*layer}:
        raise ConfigError(f"A policy cannot name {layer!r}: *, ? and $ have a meaning there.")
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "Version": VERSION,
        "Statement": [
            _allow("ListLayer", _up_to(_LISTS, role), arn)
            | {"Condition": {"StringLike": {"s3:prefix": [f"{layer}/*"]}}},
            _allow("UseLayer", _up_to(_OBJECTS, role), f"{arn}/{layer}/*"),
            _allow("FindBucket", _up_to(_ANYWHERE, role), arn),
        ],
    }


def _up_to(granted: dict[str, tuple[str, ...]], role: str) -> list[str]:
    return sorted(action for one in ROLES[: ROLES.index(role) + 1] for action in granted[one])


def _allow(name: str, actions: Iterable[str], resource: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": [resource]}
