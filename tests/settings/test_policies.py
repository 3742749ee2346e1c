from __future__ import annotations

import json
from typing import Any

import pytest

from migrator.cutover.fence import SID
from migrator.settings.kinds import Lake
from migrator.settings.policies import MAX_BYTES
from migrator.settings.translate import translate
from settings.lakes import LAYOUT, MERGED, after, allow, decided, lake, policy, statements, told

READER = allow(["s3:GetObject", "s3:ListBucket"], "bronze", "bronze/*")


def test_objects_get_the_prefix_and_listings_a_condition() -> None:
    done = translate(lake(bronze={"policy": policy(READER)}))
    assert done.ok and statements(done) == [
        {**READER, "Sid": "BronzeRead", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::data-lake/bronze/*"]},
        {
            **READER,
            "Sid": "BronzeReadList",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::data-lake"],
            "Condition": {"StringLike": {"s3:prefix": ["bronze/*"]}},
        },
    ]


@pytest.mark.parametrize(
    ("condition", "prefixes"),
    [
        ({"StringEquals": {"s3:prefix": ["", "raw/"]}}, ["bronze/", "bronze/raw/"]),
        ({"StringLike": {"S3:Prefix": "raw/*"}}, ["bronze/raw/*"]),
        ({"StringLike": {"s3:prefix": ["*", "raw/?/*"]}}, ["bronze/*", "bronze/raw/?/*"]),
        ({"StringLike": {"s3:prefix": "${aws:username}/*"}}, ["bronze/${aws:username}/*"]),
    ],
)
def test_a_condition_on_the_prefix_is_translated(condition: Any, prefixes: list[str]) -> None:
    condition = {**condition, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    (made,) = statements(
        translate(lake(bronze={"policy": policy(allow("s3:ListBucket", "bronze", Condition=condition))}))
    )
    assert made["Condition"] == {"IpAddress": condition["IpAddress"], "StringLike": {"s3:prefix": prefixes}}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (allow("s3:ListBucket", "bronze", Condition={"StringNotLike": {"s3:prefix": "x"}}), "condition on s3:prefix"),
        (allow("s3:GetObject", "bronze/*", NotPrincipal="*"), "it has NotPrincipal"),
        (allow("s3:GetObject", "other/*"), "is not in this bucket"),
        (allow("s3:Frobnicate", "bronze/*"), "s3:Frobnicate is not known"),
        (allow("s3:GetBucketLocation", "bronze"), "cannot be limited to a prefix"),
        (allow("s3:GetObject", "bronze/*", Principal=None), "a form that migrator does not know"),
        (allow("s3:GetObject", "bronze/*", Condition=7), "a form that migrator does not know"),
        (
            allow("s3:PutObject", "bronze/*", Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bronze/*"}}),
            "names the old bucket",
        ),
    ],
)
def test_what_cannot_be_limited_is_not_carried_over(statement: Any, reason: str) -> None:
    done = translate(lake(bronze={"policy": policy(statement)}))
    assert not done.changes and not done.ok and not done.blocked
    assert reason in told(done, "policy")[0]
    denied = translate(lake(bronze={"policy": policy({**statement, "Effect": "Deny"})}))
    assert not denied.changes
    assert denied.blocked or "cannot be limited" in reason, "what is allowed elsewhere would not be denied any more"


def test_a_bucket_action_beside_a_listing_is_named_and_the_rest_is_carried_over() -> None:
    done = translate(lake(bronze={"policy": policy(allow("s3:*", "bronze", "bronze/*"))}))
    assert [(made["Action"], made["Resource"]) for made in statements(done)] == [
        (["s3:*"], ["arn:aws:s3:::data-lake/bronze/*"]),
        (["s3:ListBucket", "s3:ListBucketVersions"], ["arn:aws:s3:::data-lake"]),
    ]
    assert told(done, "policy") == [
        "warn bronze statement 'Read': s3:* on the bucket as a whole cannot be limited to a prefix"
    ]


def test_a_denial_is_carried_over_and_shown_for_review() -> None:
    insecure = allow("s3:*", "bronze", "bronze/*", Condition={"Bool": {"aws:SecureTransport": "false"}}, Effect="Deny")
    done = translate(lake(bronze={"policy": policy(insecure)}))
    assert not done.blocked and not done.ok
    assert [made["Effect"] for made in statements(done)] == ["Deny", "Deny"]
    assert "check whether it denies the same" in told(done, "policy")[0]


def test_a_place_that_others_share_is_only_opened_if_a_person_says_so() -> None:
    one = lake(layout=MERGED, bronze={"policy": policy(READER)})
    done = translate(one)
    assert statements(done)[0]["Resource"] == ["arn:aws:s3:::data-lake/bronze/*"]
    assert "also apply to the objects of s3://warehouse/" in told(done, "policy")[0]
    shared = statements(translate(decided(one, shared=("warehouse/",))))
    assert shared[0]["Resource"] == ["arn:aws:s3:::data-lake/bronze/*", "arn:aws:s3:::data-lake/warehouse/*"]
    unused = Lake(MERGED, one.buckets, {}, unused=frozenset({("warehouse", "")}))
    assert statements(translate(unused))[0]["Resource"] == shared[0]["Resource"]


def test_statements_are_added_once_and_those_of_others_stay() -> None:
    theirs = {**allow("s3:GetObject", "data-lake/x/*"), "Sid": "Theirs"}
    own = policy(theirs, Id="keep-me")
    done = translate(lake({"policy": own}, bronze={"policy": policy(READER)}))
    merged = json.loads(after(done, "policy")["Policy"])
    assert merged["Id"] == "keep-me" and merged["Statement"][0] == theirs and len(merged["Statement"]) == 3
    again = translate(lake({"policy": after(done, "policy")}, bronze={"policy": policy(READER)}))
    assert again.changes == []
    changed = policy(*({**one, "Effect": "Deny"} for one in merged["Statement"]))
    refused = translate(lake({"policy": changed}, bronze={"policy": policy(READER)}))
    assert refused.blocked and "another statement of this Sid" in told(refused, "policy")[0]


def test_a_policy_that_is_too_long_blocks() -> None:
    many = [{**allow("s3:GetObject", f"bronze/{n}/*"), "Sid": f"S{n}"} for n in range(120)]
    done = translate(lake(bronze={"policy": policy(*many)}))
    assert done.blocked and f"S3 accepts {MAX_BYTES:,}" in told(done, "policy")[0] and not done.changes


def test_public_and_private_do_not_mix() -> None:
    public = {**allow("s3:GetObject", "gold/*"), "Principal": "*"}
    scoped = translate(lake(gold={"policy": policy(public)}))
    assert (
        scoped.ok and "everybody may do this below arn:aws:s3:::data-lake/gold/*" in told(scoped, "policy", "info")[0]
    )
    for resource in ("data-lake/*", "data-lake/bro*", "*"):
        opened = {"policy": policy({**allow("s3:GetObject", resource), "Principal": {"AWS": ["*"]}})}
        done = translate(lake(opened, gold={"policy": policy(public)}))
        assert done.blocked and any("bronze" in one and "to everybody" in one for one in told(done, "policy", "block"))
    elsewhere = {"policy": policy({**allow("s3:GetObject", "data-lake/site/*"), "Principal": "*"})}
    assert not translate(lake(elsewhere)).blocked


def test_variables_need_the_version_that_has_them() -> None:
    variable = allow("s3:GetObject", "bronze/${aws:username}/*")
    old = policy(variable, Version="2008-10-17")
    assert "not of version 2012-10-17" in told(translate(lake(bronze={"policy": old})), "policy")[0]
    target = {"policy": policy({**allow("s3:GetObject", "data-lake/x/*"), "Sid": "X"}, Version="2008-10-17")}
    assert translate(lake(target, bronze={"policy": policy(variable)})).blocked
    (made,) = statements(translate(lake(bronze={"policy": policy(variable)})))
    assert made["Resource"] == ["arn:aws:s3:::data-lake/bronze/${aws:username}/*"]


def test_a_policy_that_cannot_be_read_is_not_replaced() -> None:
    done = translate(lake({"policy": {"Policy": "{"}}, bronze={"policy": policy(READER)}))
    assert done.blocked and not done.changes
    unread = Lake(LAYOUT, {"bronze": {"policy": policy(READER)}}, {}, {"data-lake": {"policy": "denied"}})
    assert translate(unread).blocked and not translate(unread).changes


def test_the_fence_of_a_cutover_is_not_the_buckets() -> None:
    fence = {**allow("s3:PutObject", "bronze/*"), "Sid": SID, "Effect": "Deny", "Principal": "*"}
    done = translate(lake(bronze={"policy": policy(READER, fence)}))
    assert done.ok and {made["Effect"] for made in statements(done)} == {"Allow"}


def test_who_is_named_may_not_exist_elsewhere() -> None:
    done = translate(Lake(LAYOUT, {"bronze": {"policy": policy(READER)}}, {}, elsewhere=True))
    assert len(statements(done)) == 2 and "another server or account" in told(done, "policy", "warn")[0]


def test_what_all_who_share_a_place_have_is_carried_over() -> None:
    def insecure(bucket: str) -> dict[str, Any]:
        return {
            **allow("s3:*", bucket, f"{bucket}/*", Condition={"Bool": {"aws:SecureTransport": "false"}}),
            "Sid": "Tls",
            "Effect": "Deny",
            "Principal": "*",
        }

    def readers(bucket: str, who: str) -> dict[str, Any]:
        return allow(["s3:GetObject", "s3:ListBucket"], bucket, f"{bucket}/*", Principal={"AWS": who})

    both = {name: {"policy": policy(insecure(name), readers(name, "1"))} for name in ("bronze", "warehouse")}
    done = translate(lake(layout=MERGED, **both))
    assert not done.blocked
    made = {one["Sid"]: one["Resource"] for one in statements(done)}
    assert made["BronzeTls"][:2] == ["arn:aws:s3:::data-lake/bronze/*", "arn:aws:s3:::data-lake/warehouse/*"]
    assert made["WarehouseRead"] == ["arn:aws:s3:::data-lake/warehouse/*"]
    listed = [one["Condition"]["StringLike"]["s3:prefix"] for one in statements(done) if one["Sid"] == "BronzeReadList"]
    assert listed == [["bronze/*", "warehouse/*"]]
    others = {
        "bronze": both["bronze"],
        "warehouse": {"policy": policy(insecure("warehouse"), readers("warehouse", "2"))},
    }
    mixed = translate(lake(layout=MERGED, **others))
    assert {one["Sid"]: one["Resource"] for one in statements(mixed)}["BronzeRead"] == [
        "arn:aws:s3:::data-lake/bronze/*"
    ]
    assert "WarehouseRead" not in str(statements(mixed)) and not mixed.blocked
