"""Rules for every lake: nobody may do more than before, nothing expires that did not, no setting of the target is lost,
translating twice gives the same as translating once, and no document causes an error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.layout import Layout
from migrator.settings.kinds import TRANSLATED, Decisions, Document, Lake
from migrator.settings.translate import Translation, translate
from settings.evaluate import ALLOW, DENY, effects, expires
from settings.lakes import after, policy

BUCKETS = ("a-0", "ab-0", "warehouse")
SEGMENTS = ("x", "xy", "t", "p", "a-0")
keys = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("/".join)
prefixes = st.one_of(st.just(""), keys.map(lambda key: f"{key}/"))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Layouts in which places may be nested and shared."""
    sources = st.tuples(st.sampled_from(BUCKETS), prefixes).map(lambda at: f"s3://{at[0]}/{at[1]}")
    targets = st.one_of(prefixes, st.just(False))
    return Layout.from_mapping("data-lake", draw(st.dictionaries(sources, targets, min_size=1, max_size=4)))


patterns = st.one_of(
    keys,
    keys.map(lambda key: f"{key}/*"),
    keys.map(lambda key: f"{key}*"),
    st.just("*"),
    st.just("*x"),
    keys.map(lambda key: f"{key}/?*"),
)
conditions = st.one_of(
    st.none(),
    st.builds(
        lambda operator, values: {operator: {"s3:prefix": values}},
        st.sampled_from(["StringEquals", "StringLike", "StringNotLike"]),
        st.lists(st.one_of(st.just(""), keys, keys.map(lambda key: f"{key}/*")), min_size=1, max_size=2),
    ),
    st.just({"Bool": {"aws:SecureTransport": "true"}}),
)


@st.composite
def policies(draw: st.DrawFn, bucket: str) -> Document:
    resources = st.one_of(
        st.just(f"arn:aws:s3:::{bucket}"),
        patterns.map(lambda pattern: f"arn:aws:s3:::{bucket}/{pattern}"),
        st.sampled_from(["*", "arn:aws:s3:::*", f"arn:aws:s3:::{bucket}*"]),
    )
    actions = ["s3:GetObject", "s3:getobject", "s3:Get*", "s3:*", "*", "s3:ListBucket", "s3:List*", "s3:PutObject"]
    made = []
    for _ in range(draw(st.integers(1, 3))):
        condition = draw(conditions)
        made.append(
            {
                "Effect": draw(st.sampled_from([ALLOW, ALLOW, DENY])),
                "Principal": "*" if draw(st.booleans()) else {"AWS": "1"},
                "Action": draw(st.lists(st.sampled_from(actions), min_size=1, max_size=2)),
                "Resource": draw(st.lists(resources, min_size=1, max_size=2)),
                **({"Condition": condition} if condition else {}),
            }
        )
    return policy(*made)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    prefix = draw(st.one_of(st.just(""), keys, keys.map(lambda key: f"{key}/"), st.just("x")))
    tag = {"Key": "k", "Value": "v"}
    given = draw(
        st.sampled_from(
            [
                {"Filter": {"Prefix": prefix}},
                {"Prefix": prefix},
                {"Filter": {"And": {"Prefix": prefix, "Tags": [tag]}}},
                {"Filter": {"And": {"Prefix": prefix, "ObjectSizeGreaterThan": 10}}},
                {"Filter": {"Tag": tag}},
                {"Filter": {}},
            ]
        )
    )
    status = draw(st.sampled_from(["Enabled", "Enabled", "Disabled"]))
    return {
        "ID": draw(st.sampled_from("ab")),
        "Status": status,
        "Expiration": {"Days": draw(st.integers(1, 3))},
        **given,
    }


def sources(layout: Layout, everything: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Key at the target → the old objects that go there."""
    found: dict[str, list[tuple[str, str]]] = {}
    for bucket, key in everything:
        if new := layout.map_key(bucket, key):  # "" is no key
            found.setdefault(new, []).append((bucket, key))
    return found


objects = st.lists(st.tuples(st.sampled_from(BUCKETS), keys), min_size=1, max_size=12, unique=True)
secure = {"aws:SecureTransport": "true"}


@settings(max_examples=80)
@given(st.data(), layouts(), objects)
def test_nobody_may_do_more_than_before(data: st.DataObject, layout: Layout, everything: list[tuple[str, str]]) -> None:
    old = {bucket: {"policy": data.draw(policies(bucket))} for bucket in layout.moved_buckets}
    done = translate(Lake(layout, old, {}))
    new = (after(done, "policy") or {}).get("Policy")
    lost_denials = {one.place for one in done.not_carried if one.setting == "policy" and one.severity == "block"}
    for key, places in sources(layout, everything).items():
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            now = effects(new, action, f"arn:aws:s3:::data-lake/{key}", secure)
            for bucket, old_key in places if len(places) == 1 else ():
                text = _without_not_like(old[bucket]["policy"]["Policy"])
                before = effects(text, action, f"arn:aws:s3:::{bucket}/{old_key}", secure)
                assert ALLOW not in now or ALLOW in before, (key, action, bucket, old_key)
                if f"s3://{bucket}/" not in lost_denials and new is not None:
                    assert DENY not in before or DENY in now, (key, action, bucket, old_key)


@settings(max_examples=80)
@given(st.data(), layouts(), objects)
def test_nobody_may_list_more_than_before(
    data: st.DataObject, layout: Layout, everything: list[tuple[str, str]]
) -> None:
    old = {bucket: {"policy": data.draw(policies(bucket))} for bucket in layout.moved_buckets}
    new = (after(translate(Lake(layout, old, {})), "policy") or {}).get("Policy")
    moved = sources(layout, everything)
    asked = {key[:end] for key in moved for end in range(len(key) + 1)} | {""}
    for prefix in asked:
        if ALLOW not in effects(new, "s3:ListBucket", "arn:aws:s3:::data-lake", {"s3:prefix": prefix, **secure}):
            continue
        for key, places in moved.items():
            for bucket, old_key in places if key.startswith(prefix) and len(places) == 1 else ():
                text, arn = _without_not_like(old[bucket]["policy"]["Policy"]), f"arn:aws:s3:::{bucket}"
                some = (effects(text, "s3:ListBucket", arn, {"s3:prefix": old_key[:end], **secure}) for end in
                        range(len(old_key) + 1))  # fmt: skip
                assert any(ALLOW in one for one in some), (prefix, bucket, old_key)


def _without_not_like(text: str) -> str:
    """The evaluator has no StringNotLike: such a statement has no effect here."""
    document = json.loads(text)
    kept = [one for one in document["Statement"] if "StringNotLike" not in one.get("Condition", {})]
    return json.dumps({**document, "Statement": kept})


@settings(max_examples=80)
@given(st.data(), layouts(), objects, st.booleans())
def test_nothing_expires_that_did_not(
    data: st.DataObject, layout: Layout, everything: list[tuple[str, str]], allowed: bool
) -> None:
    old = {
        bucket: {"lifecycle": {"Rules": data.draw(st.lists(rules(), min_size=1, max_size=3))}}
        for bucket in layout.moved_buckets
    }
    tables = ("t/x/",)
    done = translate(Lake(layout, old, {}, tables=tables, decisions=Decisions(expire_tables=allowed)))
    new = after(done, "lifecycle")
    for key, places in sources(layout, everything).items():
        for tags in ({}, {"k": "v"}):
            for size in (1, 100):
                now = expires(new, key, tags, size)
                assert allowed or not now or not key.startswith(tables)
                for bucket, old_key in places if len(places) == 1 else ():
                    assert now <= expires(old[bucket]["lifecycle"], old_key, tags, size), (key, bucket, old_key)


def merged(before: Document | None, new: Document) -> bool:
    """True if all settings of the target are unchanged."""
    if before is None:
        return True
    if "Policy" in before:
        old, now = json.loads(before["Policy"])["Statement"], json.loads(new["Policy"])["Statement"]
        return all(one in now for one in old)
    (name,) = (name for name in ("Rules", "TagSet", "CORSRules", "QueueConfigurations") if name in before)
    return all(one in new[name] for one in before[name])


queues = st.builds(
    lambda name, prefix, suffix, event: {
        "Id": name, "QueueArn": "arn:aws:sqs:::q", "Events": [f"s3:ObjectCreated:{event}"],
        "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": prefix}, {"Name": "Suffix", "Value": suffix}]}},
    },
    st.sampled_from("ab"), prefixes, st.sampled_from(["", "y"]), st.sampled_from(["*", "Put", "Copy"]),
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn, bucket: str) -> dict[str, Document]:
    tag = st.builds(lambda key, value: {"Key": key, "Value": value}, st.sampled_from("kl"), st.sampled_from("vw"))
    found: dict[str, Document] = {
        "policy": draw(policies(bucket)),
        "lifecycle": {"Rules": draw(st.lists(rules(), min_size=1, max_size=2, unique_by=lambda rule: rule["ID"]))},
        "tags": {"TagSet": draw(st.lists(tag, min_size=1, max_size=2, unique_by=lambda one: one["Key"]))},
        "CORS": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": [draw(st.sampled_from("*o"))]}]},
        "notifications": {"QueueConfigurations": draw(st.lists(queues, min_size=1, max_size=2))},
        "versioning": {"Status": draw(st.sampled_from(["Enabled", "Suspended"]))},
    }
    chosen = draw(st.sets(st.sampled_from(sorted(found))))
    return {name: document for name, document in found.items() if name in chosen}


@settings(max_examples=80)
@given(st.data(), layouts())
def test_what_the_target_has_stays_and_twice_is_once(data: st.DataObject, layout: Layout) -> None:
    old = {bucket: data.draw(documents(bucket)) for bucket in layout.moved_buckets}
    present = data.draw(documents("data-lake"))
    done = translate(Lake(layout, old, present))
    for change in done.changes:
        assert change.after is not None
        if change.setting in present and change.setting != "versioning":
            assert merged(present[change.setting], change.after), change
    applied = {**present, **{change.setting: change.after for change in done.changes if change.after is not None}}
    again = translate(Lake(layout, old, applied))
    assert [change for change in again.changes if change.setting not in _blocked(done)] == []


def _blocked(done: Translation) -> set[str]:
    return {one.setting for one in done.not_carried if one.severity == "block"}


NAMES = (
    "Rules Policy TagSet CORSRules QueueConfigurations ServerSideEncryptionConfiguration Filter And Status Statement "
    "ObjectLockConfiguration Resource Action Effect Principal Condition Key Value Prefix Expiration Days ID Events "
    "QueueArn Grants Grantee"
)
names = st.sampled_from(NAMES.split(" "))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["Allow", "*"]))
junk = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
settings_names = (*TRANSLATED, "ACL", "public access block", "object ownership", "replication", "website")


@settings(max_examples=80)
@given(
    layouts(),
    st.dictionaries(st.sampled_from(settings_names), st.dictionaries(names, junk, min_size=1, max_size=4)),
    st.dictionaries(st.sampled_from(settings_names), st.dictionaries(names, junk, min_size=1, max_size=4)),
    junk,
)
def test_no_document_makes_it_fail(
    layout: Layout, one: dict[str, Document], target: dict[str, Document], body: Any
) -> None:
    old = {bucket: {**one, "policy": {"Policy": json.dumps(body)}} for bucket in layout.moved_buckets}
    done = translate(Lake(layout, old, target))
    json.dumps([change.after for change in done.changes])
