"""Policies for one layer: what they allow, by an independent evaluator. e2e/test_target_settings.py tests them on a
real server."""

from __future__ import annotations

import json

import pytest

from migrator.errors import ConfigError
from migrator.layout import Layout
from migrator.settings.access import ROLES, access_policy, layers_of, policy_of
from settings.evaluate import may
from settings.lakes import LAYOUT

BUCKET = "arn:aws:s3:::data-lake"
OF_ROLE = {
    "s3:GetObject": 0,
    "s3:PutObject": 1,
    "s3:DeleteObject": 1,
    "s3:GetObjectVersion": 2,
    "s3:PutBucketPolicy": 9,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", OF_ROLE)
def test_what_a_role_may_do(role: str, action: str) -> None:
    text = json.dumps(access_policy(LAYOUT, "bronze", role))
    assert may(text, action, f"{BUCKET}/bronze/a/b") is (ROLES.index(role) >= OF_ROLE[action])
    for other in ("gold/a", "bronze2/a", "bronze", "", "a/bronze/b"):
        assert not may(text, action, f"{BUCKET}/{other}")
    assert not may(text, action, "arn:aws:s3:::other/bronze/a") and not may(text, action, BUCKET)


@pytest.mark.parametrize("role", ROLES)
def test_only_the_layer_may_be_listed(role: str) -> None:
    text = json.dumps(access_policy(LAYOUT, "/bronze/", role))
    for prefix, allowed in {"bronze/": True, "bronze/a": True, "bronze": False, "": False, "bronze2/": False}.items():
        assert may(text, "s3:ListBucket", BUCKET, {"s3:prefix": prefix}) is allowed
    assert not may(text, "s3:ListBucket", BUCKET) and may(text, "s3:GetBucketLocation", BUCKET)


def test_layers_are_those_of_the_layout() -> None:
    assert layers_of(Layout.from_mapping("t-1", {"s3://abc/": "", "s3://def/": "x/y/"})) == ["x/y"]
    with pytest.raises(ConfigError, match=r"'silver' is no layer of the target\. There are: bronze, checkpoints, gold"):
        access_policy(LAYOUT, "silver", "reader")
    with pytest.raises(ConfigError, match="have a meaning"):
        policy_of("t-1", "a*", "reader")
