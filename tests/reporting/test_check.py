"""The report of a check: the tree, and the findings by section."""

from __future__ import annotations

from migrator.checking.results import LakeCheck
from migrator.checking.structure import Structure
from migrator.findings import Finding
from migrator.layout import MEDALLION, Layout
from migrator.reporting.check import SHOWN, check_json, check_report
from migrator.reporting.rendering import render
from reporting.described import EVIL

LAYOUT = Layout.medallion("data-lake", MEDALLION)
STREAM = ("metadata", "offsets/0", "commits/0")


def checked(*keys: str, findings: tuple[Finding, ...] = ()) -> LakeCheck:
    structure = Structure(LAYOUT)
    for key in sorted(keys):
        structure.add(key, 1024)
    structure.finish()
    return LakeCheck("data-lake", True, structure.folders, list(structure.others), {}, [], findings=list(findings))


def rows(check: LakeCheck) -> list[str]:
    return [" ".join(line.split()) for line in render(check_report(check)).split("\n")]


def test_what_each_folder_is() -> None:
    keys = ["warehouse/bronze.db/a", "warehouse/ops/a", "logs/spark/a", "tmp/a", "checkpoints/x/a"]
    keys += [f"checkpoints/{folder}/{name}" for folder in ("one", "two/a", "two/b") for name in STREAM]
    keys += ["checkpoints/broken/offsets/0", "checkpoints/flink/chk-1/_metadata"]
    shown = rows(checked(*keys))
    for row in (
        "warehouse/ present 2 2.0 KiB",
        "bronze.db/ namespace 1 1.0 KiB",
        "ops/ folder 1 1.0 KiB",
        "spark/ application 1 1.0 KiB",
        "one/ stream, 1 batch 3 3.0 KiB",
        "two/ 2 streams 6 6.0 KiB",
        "a/ stream, 1 batch",
        "broken/ stream, incomplete 1 1.0 KiB",
        "flink/ stream of Flink 1 1.0 KiB",
        "x/ no checkpoint 1 1.0 KiB",
        "tmp/ not part of the structure 1 1.0 KiB",
        "gold/ missing 0 0 B",
    ):
        assert row in shown, (row, shown)


def test_many_folders_are_cut_in_the_report_and_not_in_json() -> None:
    check = checked(*(f"gold/{number:03}/a" for number in range(SHOWN + 7)))
    assert "… and 7 more" in rows(check)
    (gold,) = [folder for folder in check_json(check)["folders"] if folder["folder"] == "gold/"]
    assert len(gold["parts"]) == gold["parts_in_all"] == SHOWN + 7


def test_the_result() -> None:
    assert rows(checked("bronze/a"))[-1] == "The structure is as expected, and nothing names an old bucket."
    info = Finding.of("old-bucket", "s3://gold/", "still exists")
    assert checked(findings=(info,)).ok
    one = Finding.of("old-pointer", "c.db.t", f"points to {EVIL}")
    text = render(check_report(checked(findings=(one, info))))
    assert text.endswith("1 place is not as expected.") and "\x1b" not in text
    assert "What still names an old bucket\n  ▲ old-pointer: c.db.t" in text
    assert "The structure\n  · old-bucket: s3://gold/ still exists" in text
