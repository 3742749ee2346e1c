"""Settings of a whole bucket: all old buckets have the same one, or a person must decide."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.layout import Layout
from migrator.settings.kinds import Document, Lake
from migrator.settings.translate import translate
from migrator.settings.whole_bucket import encryption
from settings.lakes import LAYOUT, after, decided, lake, told

SSE_S3, KMS, OTHER = encryption("AES256"), encryption("aws:kms", "k1"), encryption("aws:kms", "k2", True)
TWO = Layout.from_mapping("data-lake", {"s3://one/": "one/", "s3://two/": "two/"})


def crypt(document: Document | None) -> dict[str, Document]:
    return {"encryption": document} if document else {}


@pytest.mark.parametrize(
    ("one", "two", "target", "wanted"),
    [
        (SSE_S3, SSE_S3, None, SSE_S3),
        (SSE_S3, None, None, SSE_S3),
        (KMS, KMS, SSE_S3, KMS),
        (SSE_S3, None, KMS, None),
        (OTHER, OTHER, None, OTHER),
        (SSE_S3, None, SSE_S3, None),
        (KMS, OTHER, None, "block"),
        (SSE_S3, KMS, None, "block"),
        (KMS, KMS, OTHER, "block"),
        ({"x": 1}, None, None, "block"),
        (SSE_S3, None, {"x": 1}, "block"),
    ],
)
def test_encryption(one: Any, two: Any, target: Any, wanted: Any) -> None:
    lakes = lake(crypt(target), TWO, one=crypt(one), two=crypt(two))
    done = translate(lakes)
    assert (after(done, "encryption") if not done.blocked else "block") == wanted
    for decision, document in (("sse-s3", SSE_S3), ("sse-kms:k9", encryption("aws:kms", "k9"))):
        chosen = translate(decided(lakes, encryption=decision))
        assert not chosen.blocked and after(chosen, "encryption") in (document, None)


def test_readers_of_what_had_no_key_need_the_key() -> None:
    assert "readers of two will need" in told(translate(lake({}, TWO, one=crypt(KMS))), "encryption")[0]


@pytest.mark.parametrize(
    ("one", "two", "target", "wanted"),
    [
        ("Enabled", "Enabled", "", "Enabled"),
        ("Enabled", "", "", "block"),
        ("Enabled", "Suspended", "", "block"),
        ("Enabled", "", "Enabled", None),
        ("", "", "Enabled", None),
        ("Suspended", "Suspended", "", None),
        ("Enabled", "Enabled", "Suspended", "Enabled"),
    ],
)
def test_versioning(one: str, two: str, target: str, wanted: Any) -> None:
    def state(status: str) -> dict[str, Document]:
        return {"versioning": {"Status": status}} if status else {}

    lakes = lake(state(target), TWO, one=state(one), two=state(two))
    done = translate(lakes)
    assert ("block" if done.blocked else (after(done, "versioning") or {}).get("Status")) == wanted
    if done.blocked:
        assert after(translate(decided(lakes, versioning="enabled")), "versioning") == {"Status": "Enabled"}
        assert translate(decided(lakes, versioning="keep")).changes == []


def tags(**values: str) -> dict[str, Document]:
    return {"tags": {"TagSet": [{"Key": key, "Value": value} for key, value in values.items()]}}


def test_tags_are_joined_and_conflicts_named() -> None:
    done = translate(lake(tags(own="x", both="t"), TWO, one=tags(a="1", c="1", both="o"), two=tags(b="2", c="2")))
    assert after(done, "tags") == tags(own="x", both="t", a="1", b="2")["tags"]
    assert told(done, "tags") == [
        "warn one both: the target has another value for this key",
        "warn one c: one, two have different values for this key",
    ]
    many = translate(lake({}, TWO, one=tags(**{f"k{n}": "v" for n in range(51)})))
    assert many.blocked and "may have 50" in told(many, "tags")[0]
    aws = {"tags": {"TagSet": [{"Key": "aws:x", "Value": "y"}]}}
    assert not translate(lake({}, TWO, one=aws)).changes


def test_cors_rules_are_joined() -> None:
    get, put = ({"AllowedMethods": [method], "AllowedOrigins": ["*"]} for method in ("GET", "PUT"))
    one, two = {"CORS": {"CORSRules": [get, put]}}, {"CORS": {"CORSRules": [{**get, "ID": "g"}]}}
    done = translate(lake({"CORS": {"CORSRules": [get]}}, TWO, one=one, two=two))
    assert after(done, "CORS") == {"CORSRules": [get, put]}
    minio = translate(Lake(TWO, {"one": one}, {}, minio=True))
    assert not minio.changes and "MINIO_API_CORS_ALLOW_ORIGIN" in told(minio, "CORS", "warn")[0]
    clash = {"CORS": {"CORSRules": [{**put, "ID": "g"}]}}
    assert "another rule of this ID" in told(translate(lake({}, TWO, one=clash, two=two)), "CORS", "warn")[0]


def lock(days: int = 0) -> dict[str, Document]:
    rule = {"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}} if days else {}
    return {"object lock": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}}


def test_object_lock_is_only_to_be_had_with_a_new_bucket() -> None:
    refused = translate(lake({}, TWO, one=lock()))
    moves = [one.next_move for one in refused.not_carried if one.setting == "object lock"]
    assert refused.blocked and "--without object-lock" in moves[0]
    assert not translate(decided(lake({}, TWO, one=lock()), without=frozenset({"object-lock"}))).blocked
    assert translate(lake(lock(), TWO, one=lock(), two=lock())).ok
    wanted = after(translate(lake(lock(), TWO, one=lock(3), two=lock(3))), "object lock")
    assert wanted == lock(3)["object lock"]
    mixed = translate(lake(lock(), TWO, one=lock(3), two=lock(4)))
    assert not mixed.changes and len(told(mixed, "object lock", "warn")) == 2


def test_the_rest_is_named_with_its_reason() -> None:
    public = {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "IgnorePublicAcls": False}}
    acl = {"Owner": {"ID": "me"}, "Grants": [{"Grantee": {"ID": "me"}, "Permission": "FULL_CONTROL"}]}
    everyone = {"Grantee": {"Type": "Group", "URI": "http://acs/groups/global/AllUsers"}, "Permission": "READ"}
    old: dict[str, Any] = {
        "one": {"public access block": public, "ACL": acl, "website": {"IndexDocument": {"Suffix": "i"}}},
        "two": {"ACL": {**acl, "Grants": [*acl["Grants"], everyone]}, "replication": {"Role": "r"}},
    }
    done = translate(lake({}, TWO, **old))
    assert [(one.setting, one.place, one.severity) for one in done.not_carried] == [
        ("public access block", "s3://one/", "warn"),
        ("ACL", "s3://two/", "warn"),
        ("replication", "s3://two/", "warn"),
        ("website", "s3://one/", "warn"),
        ("quota", "s3://data-lake/", "info"),
    ]
    assert translate(lake({}, LAYOUT)).ok and not translate(lake({}, LAYOUT)).changes


def test_what_looks_like_a_password_is_not_put_into_the_journal() -> None:
    done = translate(lake({}, TWO, one=tags(link="http://user:secret@host/")))
    assert done.blocked and "looks like a password" in told(done, "tags")[0] and not done.changes


def test_a_target_that_is_to_be_made_with_object_lock() -> None:
    old = {"one": lock(3), "two": lock(3)}
    refused = translate(Lake(TWO, old, {}, missing=True))
    assert refused.blocked and "Plan with --object-lock" in str([one.next_move for one in refused.not_carried])
    assert after(translate(Lake(TWO, old, {}, missing=True, locks=True)), "object lock") == lock(3)["object lock"]


def test_a_key_of_another_server_is_a_decision() -> None:
    elsewhere = Lake(TWO, {"one": crypt(KMS), "two": crypt(KMS)}, {}, elsewhere=True)
    assert "is one of the old buckets" in told(translate(elsewhere), "encryption", "block")[0]
    assert not translate(Lake(TWO, {"one": crypt(SSE_S3)}, {}, elsewhere=True)).blocked


def test_buckets_that_are_gone_do_not_count() -> None:
    kept = {"one": {"versioning": {"Status": "Enabled"}}}
    assert translate(Lake(TWO, kept, {})).blocked
    assert after(translate(Lake(TWO, kept, {}, gone=frozenset({"two"}))), "versioning") == {"Status": "Enabled"}
