from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.errors import ConfigError
from migrator.layout import Layout
from migrator.settings.iam import MOST_CHARACTERS, translate_iam_policy
from migrator.settings.kinds import Lake
from settings.evaluate import ALLOW, effects
from settings.lakes import LAYOUT, MERGED, after, told
from settings.test_properties import BUCKETS, layouts, objects, patterns, sources


def statement(action: Any, *resources: str, **others: Any) -> dict[str, Any]:
    return {"Sid": "S", "Effect": "Allow", "Action": action, "Resource": list(resources), **others}


def policy(*statements: Any, **others: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **others})


def test_what_is_allowed_in_old_buckets_is_added_for_their_prefixes() -> None:
    old = statement(
        ["s3:GetObject", "s3:ListBucket"],
        *("arn:aws:s3:::bronze", "arn:aws:s3:::bronze/*", "arn:aws:s3:::gold/a/*", "arn:aws:s3:::elsewhere/*"),
    )
    done = translate_iam_policy(Lake(LAYOUT, {}, {}), policy(old))
    assert done.ok
    first, *added = after(done, "IAM policy")["Statement"]
    assert first == old and all("Principal" not in made for made in added)
    assert [(made["Sid"], made["Action"], made["Resource"], made.get("Condition")) for made in added] == [
        ("BronzeS", ["s3:GetObject"], ["arn:aws:s3:::data-lake/bronze/*"], None),
        ("BronzeSList", ["s3:ListBucket"], ["arn:aws:s3:::data-lake"], {"StringLike": {"s3:prefix": ["bronze/*"]}}),
        ("GoldS", ["s3:GetObject"], ["arn:aws:s3:::data-lake/gold/a/*"], None),
    ]
    again = translate_iam_policy(Lake(LAYOUT, {}, {}), json.dumps(after(done, "IAM policy")))
    assert again.changes == []


def test_wildcards_for_buckets_are_named() -> None:
    everything = statement("s3:*", "*", "arn:aws:s3:::data-*", "arn:aws:s3:::b*/x", "arn:aws:sqs:r:1:q")
    done = translate_iam_policy(Lake(LAYOUT, {}, {}), policy(everything))
    assert not done.changes and [one.split(": ", 1)[1] for one in told(done, "IAM policy", "warn")] == [
        "* means the target, too: all layers",
        "arn:aws:s3:::data-* means the target, too: all layers",
        "the wildcard in arn:aws:s3:::b*/x means old buckets, but not the target",
    ]
    denied = translate_iam_policy(Lake(LAYOUT, {}, {}), policy({**everything, "Effect": "Deny"}))
    assert denied.blocked and len(denied.not_carried) == 1
    assert not translate_iam_policy(Lake(LAYOUT, {}, {}), policy({"Effect": "Deny", "NotResource": "*"})).ok


def test_a_shared_place_and_a_long_policy() -> None:
    shared = translate_iam_policy(Lake(MERGED, {}, {}), policy(statement("s3:GetObject", "arn:aws:s3:::warehouse/*")))
    assert not shared.changes and "also apply to the objects of s3://bronze/" in told(shared, "IAM policy")[0]
    many = [statement("s3:GetObject", f"arn:aws:s3:::gold/{n}/*") for n in range(40)]
    done = translate_iam_policy(Lake(LAYOUT, {}, {}), policy(*many))
    assert f"AWS accepts {MOST_CHARACTERS:,}" in told(done, "IAM policy", "warn")[0]
    assert len({made["Sid"] for made in after(done, "IAM policy")["Statement"][40:]}) == 40


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"Statement": 7}', policy({"Principal": "*"})])
def test_what_is_no_policy_of_users(text: str) -> None:
    with pytest.raises(ConfigError):
        translate_iam_policy(Lake(LAYOUT, {}, {}), text)


@settings(max_examples=80)
@given(st.data(), layouts(), objects)
def test_nobody_may_do_more_than_before(data: st.DataObject, layout: Layout, everything: list[tuple[str, str]]) -> None:
    resources = st.builds(lambda bucket, key: f"arn:aws:s3:::{bucket}/{key}", st.sampled_from(BUCKETS), patterns)
    statements = st.builds(
        lambda effect, action, names: {"Effect": effect, "Action": action, "Resource": names},
        st.sampled_from(["Allow", "Allow", "Deny"]),
        st.sampled_from(["s3:GetObject", "s3:*", ["s3:Get*"]]),
        st.lists(resources, min_size=1, max_size=3),
    )
    text = policy(*data.draw(st.lists(statements, min_size=1, max_size=3)))
    done = translate_iam_policy(Lake(layout, {}, {}), text)
    new = json.dumps(after(done, "IAM policy")) if done.changes else text
    for key, places in sources(layout, everything).items():
        for bucket, old_key in places if len(places) == 1 else ():
            before = effects(text, "s3:GetObject", f"arn:aws:s3:::{bucket}/{old_key}")
            now = effects(new, "s3:GetObject", f"arn:aws:s3:::data-lake/{key}")
            assert ALLOW not in now or ALLOW in before, (key, bucket, old_key)
            assert done.blocked or not done.changes or "Deny" not in before or "Deny" in now


def test_one_statement_about_all_who_share_a_place() -> None:
    both = statement("s3:GetObject", "arn:aws:s3:::warehouse/*", "arn:aws:s3:::bronze/*")
    done = translate_iam_policy(Lake(MERGED, {}, {}), policy(both))
    resources = {name for made in after(done, "IAM policy")["Statement"][1:] for name in made["Resource"]}
    assert done.ok and resources == {"arn:aws:s3:::data-lake/bronze/*", "arn:aws:s3:::data-lake/warehouse/*"}
