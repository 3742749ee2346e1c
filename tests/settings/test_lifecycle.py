from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from migrator.layout import Layout
from migrator.settings.kinds import Document, Lake
from migrator.settings.lifecycle import MOST_RULES
from migrator.settings.translate import Translation, translate
from settings.lakes import LAYOUT, MERGED, after, decided, expire, lake, told

ABORT = {"ID": "abort", "Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}

TAG = {"Key": "k", "Value": "v"}


def rules(*given: Any) -> dict[str, Document]:
    return {"lifecycle": {"Rules": list(given)}}


def found(done: Translation) -> list[Any]:
    return list((after(done, "lifecycle") or {"Rules": []})["Rules"])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"Filter": {}}, {"Prefix": "logs/"}),
        ({"Prefix": "app/"}, {"Prefix": "logs/app/"}),
        ({"Filter": {"Prefix": "app"}}, {"Prefix": "logs/app"}),
        ({"Filter": {"Tag": TAG}}, {"And": {"Prefix": "logs/", "Tags": [TAG]}}),
        ({"Filter": {"ObjectSizeLessThan": 5}}, {"And": {"Prefix": "logs/", "ObjectSizeLessThan": 5}}),
        (
            {"Filter": {"And": {"Prefix": "a/", "Tags": [TAG], "ObjectSizeGreaterThan": 1}}},
            {"And": {"Prefix": "logs/a/", "Tags": [TAG], "ObjectSizeGreaterThan": 1}},
        ),
    ],
)  # fmt: skip
def test_each_filter_gets_the_prefix(given: Any, wanted: Any) -> None:
    rule = {key: value for key, value in expire(30, name="r").items() if key != "Filter"}
    done = translate(lake(logs=rules({**rule, **given})))
    assert done.ok
    assert found(done) == [{"ID": "logs-r", "Status": "Enabled", "Expiration": {"Days": 30}, "Filter": wanted}]
    assert "the age of a copy" in told(done, "lifecycle", "info")[0]


@pytest.mark.parametrize("bucket", ["warehouse", "checkpoints"])
def test_nothing_is_deleted_from_tables_and_checkpoints_unless_asked(bucket: str) -> None:
    one = lake(**{bucket: rules(expire(30))})
    done = translate(one)
    assert done.blocked and not done.changes and "deletes objects by age" in told(done, "lifecycle")[0]
    asked = translate(decided(one, expire_tables=True))
    assert asked.ok and found(asked)[0]["Filter"] == {"Prefix": f"{bucket}/"}
    harmless = translate(lake(**{bucket: rules(ABORT, expire(30, Status="Disabled"))}))
    assert not harmless.blocked and len(found(harmless)) == 2


def test_nor_from_a_table_that_lies_elsewhere() -> None:
    one = Lake(LAYOUT, {"bronze": rules(expire(30, "events/"))}, {}, tables=("bronze/events/clicks/",))
    assert "also of bronze/events/clicks/" in told(translate(one), "lifecycle", "block")[0]
    archive = {"ID": "a", "Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    assert translate(Lake(LAYOUT, {"bronze": rules(archive)}, {}, tables=one.tables)).blocked
    cool = {**archive, "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}]}
    assert translate(Lake(LAYOUT, {"bronze": rules(cool)}, {}, tables=one.tables)).ok


def test_a_bucket_with_several_prefixes_has_one_rule_for_each() -> None:
    layout = Layout.from_mapping("data-lake", {"s3://bronze/": "bronze/", "s3://bronze/old/": "archive/"})
    done = translate(lake(layout=layout, bronze=rules(ABORT)))
    assert [(rule["ID"], rule["Filter"]) for rule in found(done)] == [
        ("bronze-abort-bronze/", {"Prefix": "bronze/"}),
        ("bronze-abort-archive/", {"Prefix": "archive/"}),
    ]
    (inside,) = found(translate(lake(layout=layout, bronze=rules(expire(1, "old/x/")))))
    assert inside["Filter"] == {"Prefix": "archive/x/"}
    assert found(translate(lake(layout=LAYOUT, other=rules(ABORT)))) == []


def test_a_rule_does_not_reach_what_others_keep() -> None:
    done = translate(lake(layout=MERGED, bronze=rules(ABORT)))
    assert [rule["Filter"] for rule in found(done)] == [{"Prefix": "bronze/"}]
    assert "also apply to the objects of s3://warehouse/" in told(done, "lifecycle", "warn")[0]


def test_what_has_no_prefix_blocks() -> None:
    layout = Layout.from_mapping("data-lake", {"s3://bronze/": "", "s3://gold/": "gold/"})
    assert (
        "the whole target bucket" in told(translate(lake(layout=layout, bronze=rules(ABORT))), "lifecycle", "block")[0]
    )


def test_ids_are_unique_and_rules_of_others_stay() -> None:
    theirs = {**expire(1, "x/"), "ID": "theirs"}
    done = translate(lake(rules(theirs), logs=rules(expire(3, "a/"), expire(4, "b/")), gold=rules(expire(3, "a/"))))
    assert found(done)[0] == theirs
    assert [rule["ID"] for rule in found(done)] == ["theirs", "gold-old", "logs-old", "logs-old-2"]
    again = {"lifecycle": after(done, "lifecycle")}
    assert translate(lake(again, logs=rules(expire(3, "a/")))).changes == []
    refused = translate(lake(rules({**theirs, "ID": "logs-old"}), logs=rules(expire(3, "a/"))))
    assert refused.blocked and "another rule of this ID" in told(refused, "lifecycle")[0] and not refused.changes


def test_there_may_be_a_thousand_rules() -> None:
    many = rules(*(expire(3, f"{n}/", name=f"r{n}") for n in range(MOST_RULES)))
    assert len(found(translate(lake(logs=many)))) == MOST_RULES
    assert "it would have 1,001 rules" in told(translate(lake(gold=rules(ABORT), logs=many)), "lifecycle", "block")[0]


def test_what_is_not_known_is_not_carried_over() -> None:
    done = translate(lake(logs=rules({**expire(), "Frobnicate": 1}, expire(4, name="b", Filter={"Color": "red"}))))
    assert not done.changes and not done.blocked
    assert told(done, "lifecycle") == [
        "warn logs rule 'old': it has Frobnicate, which migrator does not know",
        "warn logs rule 'b': it has a form that migrator does not know",
    ]
    assert (
        "no action" in told(translate(lake(logs=rules({"ID": "n", "Status": "Enabled", "Filter": {}}))), "lifecycle")[0]
    )


def test_times_become_text() -> None:
    rule = expire(Expiration={"Date": datetime(2030, 1, 1, tzinfo=timezone.utc)})
    assert found(translate(lake(logs=rules(rule))))[0]["Expiration"] == {"Date": "2030-01-01T00:00:00Z"}


def test_minio_removes_open_uploads_itself() -> None:
    both = {**expire(5), **{"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}}
    done = translate(Lake(LAYOUT, {"logs": rules(ABORT, both)}, {}, minio=True))
    assert [rule["ID"] for rule in found(done)] == ["logs-old"] and "AbortIncomplete" not in str(found(done))
    assert "stale_uploads_expiry" in told(done, "lifecycle", "warn")[0]


def test_what_all_who_share_a_place_have_is_carried_over() -> None:
    both = translate(lake(layout=MERGED, bronze=rules(ABORT), warehouse=rules({**ABORT, "ID": "other"})))
    assert [rule["Filter"] for rule in found(both)] == [{"Prefix": "bronze/"}, {"Prefix": "warehouse/"}] and both.ok
    later = {**ABORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 8}}
    differ = translate(lake(layout=MERGED, bronze=rules(ABORT), warehouse=rules(later)))
    assert [rule["Filter"] for rule in found(differ)] == [{"Prefix": "bronze/"}] and not differ.ok
