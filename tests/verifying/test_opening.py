"""Opening a table: an answer that is not the metadata file is distinguished from a file that pyiceberg cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.planfile.file import PlanFile
from migrator.store import Store
from migrator.verifying import opening
from migrator.verifying.opening import TableOpener
from migrator.verifying.pyiceberg_reader import check_understood
from migrator.verifying.unreadable import DAMAGED, TRANSIENT, UNSUPPORTED, Reader
from plan.handmade import CURRENT, UUID, put

WHOLE = json.dumps(
    {
        "format-version": 2,
        "table-uuid": UUID,
        "location": "s3a://bronze/t",
        "last-sequence-number": 0,
        "last-updated-ms": 1,
        "last-column-id": 1,
        "current-schema-id": 0,
        "schemas": [
            {
                "type": "struct",
                "schema-id": 0,
                "fields": [{"id": 1, "name": "a", "required": False, "type": "int"}],
            }
        ],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999,
        "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}],
    }
).encode()
"""A metadata file that pyiceberg can read."""
AT_TARGET = "s3://data-lake/bronze/t/metadata/00000-a.metadata.json"
HTML = b"<!doctype html><html>This browser is not supported.</html>"
"""What a portal answers. Its words are no reason to believe that pyiceberg lacks a feature."""

Answers = Callable[..., None]


@pytest.fixture
def opener(lake: Store, plan_path: Path) -> Iterator[TableOpener]:
    with PlanFile.open(plan_path, read_only=True) as plan:
        yield TableOpener(plan, lake)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Sets what pyiceberg gets, answer by answer; the last one stays."""

    def given(*bodies: bytes) -> None:
        left = list(bodies)

        def open_table(uri: str, *_: Any) -> str:
            check_understood(uri, left.pop(0) if len(left) > 1 else left[0])
            return uri

        monkeypatch.setattr(opening, "open_table", open_table)

    return given


@pytest.fixture
def whole(lake: Store, tmp_path: Path) -> None:
    put(lake, AT_TARGET, WHOLE)


@pytest.mark.parametrize("answer", [HTML, b"", WHOLE[: len(WHOLE) // 2], b"{}"])
@pytest.mark.usefixtures("whole")
def test_one_wrong_answer_is_asked_for_again(opener: TableOpener, answers: Answers, answer: bytes) -> None:
    answers(answer, WHOLE)
    read = Reader((0.0,)).read(lambda: opener.open(AT_TARGET))
    assert read.result == AT_TARGET and read.trouble is None


@pytest.mark.parametrize("answer", [HTML, b""])
@pytest.mark.usefixtures("whole")
def test_wrong_answers_that_stay_say_nothing_about_the_table(
    opener: TableOpener, answers: Answers, answer: bytes
) -> None:
    answers(answer)
    for read in (Reader((0.0,)).read(lambda: opener.open(AT_TARGET)), opener.open_old(Reader((0.0,)), AT_TARGET)):
        assert read.trouble is not None and read.trouble.kind == TRANSIENT
        assert f"{AT_TARGET}: the server gave another answer" in read.trouble.message


def test_an_old_file_that_pyiceberg_does_not_understand(opener: TableOpener, answers: Answers) -> None:
    """It has no schema: the planner needs none, pyiceberg does. Whatever came first, the file itself is the reason."""
    for answer in (HTML, b"", b"{}"):
        answers(answer)
        read = opener.open_old(Reader((0.0,)), CURRENT)
        assert read.trouble is not None and read.trouble.kind == UNSUPPORTED
        assert read.trouble.reason.startswith("pyiceberg cannot open its metadata (")
        assert "table-uuid" not in read.trouble.message and "doctype" not in read.trouble.message


def test_an_old_file_that_was_changed_is_not_called_unsupported(
    lake: Store, opener: TableOpener, answers: Answers
) -> None:
    put(lake, CURRENT, b"{}")
    answers(b"{}")
    read = opener.open_old(Reader((0.0,)), CURRENT)
    assert read.trouble is not None and read.trouble.kind == DAMAGED and CURRENT[6:] in read.trouble.message


def test_a_file_at_the_target_that_is_damaged(lake: Store, opener: TableOpener, answers: Answers) -> None:
    put(lake, AT_TARGET, b"{")
    answers(HTML)
    read = Reader((0.0,)).read(lambda: opener.open(AT_TARGET))
    assert read.trouble is not None and read.trouble.kind == DAMAGED
