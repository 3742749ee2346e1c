from __future__ import annotations

from typing import Any

import pytest

from migrator.settings.kinds import Document, Lake
from migrator.settings.translate import translate
from settings.lakes import LAYOUT, MERGED, after, lake, told

QUEUE = "QueueConfigurations"


def queue(prefix: str = "", suffix: str = "", event: str = "s3:ObjectCreated:*", **others: Any) -> dict[str, Any]:
    rules = [{"Name": "Prefix", "Value": prefix}] if prefix else []
    rules += [{"Name": "Suffix", "Value": suffix}] if suffix else []
    limits = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"Id": "q", "QueueArn": "arn:aws:sqs:r:1:q", "Events": [event], **limits, **others}


def having(*queues: Any, **others: Any) -> dict[str, Document]:
    return {"notifications": {QUEUE: list(queues), **others}}


def test_each_gets_the_prefix() -> None:
    done = translate(lake(bronze=having(queue("raw/", ".json")), gold=having(queue())))
    rules = [one["Filter"]["Key"]["FilterRules"] for one in after(done, "notifications")[QUEUE]]
    assert rules == [
        [{"Name": "prefix", "Value": "bronze/raw/"}, {"Name": "suffix", "Value": ".json"}],
        [{"Name": "prefix", "Value": "gold/"}],
    ]
    again = translate(lake({"notifications": after(done, "notifications")}, gold=having(queue())))
    assert done.ok and again.ok and not again.changes


@pytest.mark.parametrize(
    ("theirs", "overlaps"),
    [
        (queue("gold/x/"), True),
        (queue(), True),
        (queue("gold/", event="s3:ObjectCreated:Put"), True),
        (queue("gold/", event="s3:ObjectRemoved:*"), False),
        (queue("bronze/"), False),
        (queue("gold/", ".csv"), True),
    ],
)
def test_what_overlaps_is_refused(theirs: Any, overlaps: bool) -> None:
    done = translate(lake(having({**theirs, "Id": "theirs"}), gold=having(queue())))
    assert done.blocked is overlaps
    assert not overlaps or "it overlaps with 'theirs'" in told(done, "notifications")[0]


def test_different_suffixes_do_not_overlap() -> None:
    done = translate(lake(having(queue(suffix=".csv", **{"Id": "t"})), gold=having(queue(suffix=".json"))))
    assert done.ok and len(after(done, "notifications")[QUEUE]) == 2


def test_what_others_share_or_nobody_knows_is_named() -> None:
    shared = translate(lake(layout=MERGED, bronze=having(queue())))
    assert "also apply to the objects of s3://warehouse/" in told(shared, "notifications", "warn")[0]
    odd = translate(lake(bronze=having(queue(**{"Color": 1}), CloudConfigurations=[1])))
    assert len(told(odd, "notifications", "warn")) == 2 and not odd.changes
    taken = translate(lake(having(queue("x/", **{"Id": "gold-q-gold/"})), gold=having(queue())))
    assert taken.blocked and "another notification of this Id" in told(taken, "notifications")[0]


def test_eventbridge_is_for_all_or_for_nobody() -> None:
    on: dict[str, Document] = {"notifications": {"EventBridgeConfiguration": {}}}
    everywhere = translate(lake(**dict.fromkeys(LAYOUT.moved_buckets, on)))
    assert after(everywhere, "notifications") == {"EventBridgeConfiguration": {}}
    assert "to the objects of the other buckets" in told(translate(lake(gold=on)), "notifications")[0]


def test_queues_may_not_be_reached_from_elsewhere() -> None:
    done = translate(Lake(LAYOUT, {"gold": having(queue())}, {}, elsewhere=True))
    assert done.changes and "can be reached" in told(done, "notifications", "warn")[0]
