"""The lake in the tests of scripts: the mission's seven buckets, its server and its alias of mc."""

from __future__ import annotations

from migrator.layout import MEDALLION, Layout
from migrator.scripts import Names, Rewritten, rewrite_text

LAYOUT = Layout.medallion("data-lake", MEDALLION)
NAMES = Names(LAYOUT, ("http://minio:9000",), ("myminio",))


def names(mapping: dict[str, str | bool], **how: object) -> Names:
    """Names for another layout."""
    return Names(Layout.from_mapping("data-lake", mapping), ("http://minio:9000",), ("myminio",), **how)  # type: ignore[arg-type]


def rewritten(text: str, known: Names = NAMES) -> Rewritten:
    """The result for a text. The result must not change when it is rewritten again."""
    done = rewrite_text(text, known)
    again = rewrite_text(done.text, known)
    assert again.text == done.text and not again.changes, (text, done.text, again.text)
    return done
