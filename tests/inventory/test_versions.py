"""How many versions of an object the target has."""

from __future__ import annotations

import pytest

from migrator.inventory.versions import Current, HistoryMatch, TargetVersion, match_history
from migrator.planfile.file import PlannedVersion


def older(text: str) -> list[PlannedVersion]:
    """A history. "-" means a delete marker, and any other letter means a content."""
    return [
        PlannedVersion(n, "b", "k", str(n), n, int(c != "-"), c.strip("-"), 0, "STANDARD", c == "-", "k", "copy")
        for n, c in enumerate(text, 1)
    ]


def at_target(text: str) -> list[TargetVersion]:
    return [TargetVersion("k", str(n), int(c != "-"), c.strip("-"), c == "-") for n, c in enumerate(text)]


@pytest.mark.parametrize(
    ("history", "current", "there", "count"),
    [
        ("ab", "c", "", 0),
        ("ab", "c", "a", 1),
        ("ab", "c", "ab", 2),
        ("ab", "c", "abc", 3),
        ("ab", "c", "abx", 3),  # rewritten, or changed at the target since
        ("ab", "c", "c", None),  # copied without its history before
        ("ab", "c", "cab", 2),
        ("ab", "c", "c-", 0),  # … and deleted again
        ("ab", "c", "c-ab", 2),
        ("a-", None, "a", 1),
        ("a-", None, "a-", 2),
        ("-a", "b", "-", 1),
        ("aa", "a", "a", 1),
        ("aa", "a", "aa", 2),
        ("aa", "a", "aaa", 3),
        ("bc", "d", "abcd", 3),  # the source has forgotten a
        ("bc", "d", "ab", 1),
        ("ab", "c", "x", None),
        ("a", "b", "aa", 1),  # twice, because an answer was lost: the current version must still be copied
    ],
)
def test_how_much_of_a_history_the_target_has(history: str, current: str | None, there: str, count: int | None) -> None:
    now = Current(1, current) if current else None
    match = match_history(older(history), now, at_target(there), lambda *_: False)
    if match is None:
        assert count is None
        return
    assert len(match.versions) + match.followed == count
    assert "".join(v.etag or "-" for v in match.versions) == history[:count]
    assert (match.current is not None) == (there.endswith(f"{history}{current}"))


def test_bytes_decide_where_etags_do_not() -> None:
    asked = []

    def same_bytes(wanted: PlannedVersion, other: TargetVersion) -> bool:
        asked.append((wanted.etag, other.etag))
        return True

    assert match_history(older("ab"), None, at_target("ax"), same_bytes) == HistoryMatch(at_target("ax"))
    assert asked == [("b", "x")]
