"""The folder structure of the mission, and the findings for buckets with and without it."""

from __future__ import annotations

import pytest

from migrator.checking import structure as module
from migrator.checking.structure import OLD, Structure, expected_folders
from migrator.findings import Finding
from migrator.layout import MEDALLION, Layout

LAYOUT = Layout.medallion("data-lake", MEDALLION)
CHECKPOINT = ("metadata", "offsets/0", "commits/0")
MISSION = (
    "bronze/page_views/a",
    "bronze/purchases/a",
    "bronze/raw_events/a",
    *(f"checkpoints/{stream}/{file}" for stream in ("bronze", "silver_page_views") for file in CHECKPOINT),
    "gold/daily_sales/a",
    "logs/dagster/a",
    "logs/kafka/a",
    "logs/spark/a",
    "scripts/etl/a.py",
    "silver/cleaned_events/a",
    "warehouse/bronze.db/t/metadata/v1.metadata.json",
    "warehouse/gold.db/t/data/a.parquet",
)
"""The bucket as the mission shows it."""


def structure(
    *keys: str, layout: Layout = LAYOUT, layers: tuple[str, ...] = (), wanted: tuple[str, ...] = ()
) -> Structure:
    made = Structure(layout, layers, wanted)
    for key in sorted(keys):
        made.add(key, 10)
    made.finish()
    return made


def codes(made: Structure) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in made.findings():
        found.setdefault(finding.code, []).append(finding.place)
    return found


def only(made: Structure, code: str) -> Finding:
    (finding,) = [finding for finding in made.findings() if finding.code == code]
    return finding


def test_the_folders_of_the_mission_in_its_order() -> None:
    kinds = [(folder.name, folder.kind) for folder in expected_folders(LAYOUT, ())]
    assert kinds == [
        ("warehouse", "warehouse"),
        ("bronze", "layer"),
        ("silver", "layer"),
        ("gold", "layer"),
        ("checkpoints", "checkpoints"),
        ("logs", "logs"),
        ("scripts", "scripts"),
    ]


def test_a_bucket_as_the_mission_draws_it_has_no_finding() -> None:
    made = structure(*MISSION)
    assert codes(made) == {}
    folders = {folder.name: folder for folder in made.folders}
    assert [(part.name, part.objects, part.bytes) for part in folders["warehouse"].parts] == [
        ("bronze.db", 1, 10),
        ("gold.db", 1, 10),
    ]
    assert [part.name for part in folders["bronze"].parts] == ["page_views", "purchases", "raw_events"]
    assert [(stream.folder, stream.trouble) for stream in folders["checkpoints"].streams] == [
        ("bronze", ""),
        ("silver_page_views", ""),
    ]
    assert [part.name for part in folders["logs"].parts] == ["dagster", "kafka", "spark"]
    assert {folder.state for folder in made.folders} == {"present"}


def test_folders_appear_as_data_is_written() -> None:
    made = structure("warehouse/bronze.db/t/metadata/v1.metadata.json")
    assert {finding.severity for finding in made.findings()} == {"info"}
    assert codes(made) == {
        "folder-missing": [f"s3://data-lake/{name}/" for name in MEDALLION if name != "warehouse"],
    }


def test_what_lies_outside() -> None:
    made = structure(*MISSION, "notes.txt", "bronze", "tmp/a", "tmp/b/c", "platinum/x")
    assert codes(made) == {
        "stray-object": ["s3://data-lake/bronze", "s3://data-lake/notes.txt"],
        "stray-folder": ["s3://data-lake/platinum/", "s3://data-lake/tmp/"],
    }
    assert [(part.name, part.objects) for part in made.others] == [("platinum", 1), ("tmp", 2)]
    strays = [finding for finding in made.findings() if finding.code == "stray-folder"]
    assert '[check] layers = ["platinum"]' in strays[0].next_move
    assert all(finding.severity == "warn" for finding in made.findings())


def test_a_new_layer_belongs_once_it_is_named() -> None:
    made = structure(*MISSION, "platinum/x", layers=("platinum",))
    assert codes(made) == {}
    assert [folder.name for folder in made.folders][:5] == ["warehouse", "bronze", "silver", "gold", "platinum"]


def test_where_a_wanted_layer_goes() -> None:
    finding = only(structure(*MISSION, layers=("archive",), wanted=("platinum",)), "new-layer")
    assert finding.place == "s3://data-lake/platinum/" and finding.severity == "info"
    assert "s3://data-lake/warehouse/platinum.db/" in finding.message
    assert "s3://data-lake/checkpoints/platinum/" in finding.message
    assert finding.next_move == 'Write in lake.toml: [check] layers = ["archive", "platinum"].'
    known = only(structure(*MISSION, wanted=("gold",)), "new-layer")
    assert known.message == "belongs to the structure already" and known.next_move == ""


def test_markers_of_hadoop_are_no_objects() -> None:
    made = Structure(LAYOUT)
    made.add("bronze_$folder$", 0)
    made.add("tmp_$folder$", 0)
    assert made.root_objects == 0
    made.add("x_$folder$", 1)
    assert made.at_root == ["x_$folder$"]


def test_loose_objects_where_each_has_a_folder_of_its_own() -> None:
    made = structure(*MISSION, "logs/a.log", "logs/b.log", "warehouse/x", "bronze/x", "scripts/a.py", "logs/")
    loose = [finding for finding in made.findings() if finding.code == "loose-object"]
    assert [(finding.place, finding.count) for finding in loose] == [
        ("s3://data-lake/warehouse/x", 1),
        ("s3://data-lake/logs/a.log", 2),
    ]


def test_checkpoints() -> None:
    made = structure(*MISSION, "checkpoints/lost/offsets/0", "checkpoints/lost/commits/0", "checkpoints/other/x")
    assert codes(made) == {
        "checkpoint-incomplete": ["s3://data-lake/checkpoints/lost/"],
        "no-checkpoint": ["s3://data-lake/checkpoints/other/"],
    }
    assert "has no file metadata" in only(made, "checkpoint-incomplete").message


def test_a_lake_that_was_not_migrated() -> None:
    made = Structure(LAYOUT)
    for key in MISSION:
        made.add(key, 10, state=OLD)
    made.finish()
    assert set(codes(made)) == {"not-migrated"} and len(codes(made)["not-migrated"]) == len(MEDALLION)


OWN = Layout.from_mapping(
    "lake",
    {
        "s3://acme-wh/": "lakehouse/warehouse/",
        "s3://acme-raw/": "zones/raw/",
        "s3://acme-raw/old/": "zones/raw/old/",
        "s3://checkpoints/": "state/",
        "s3://acme-tmp/": False,
    },
)


def test_a_custom_layout() -> None:
    assert [(folder.name, folder.kind) for folder in expected_folders(OWN, ())] == [
        ("lakehouse/warehouse", "warehouse"),
        ("zones/raw", "layer"),
        ("state", "checkpoints"),
    ]
    made = structure("zones/raw/x/1", "zones/raw/old/1", "zones/tmp/x/1", "zones/y", "state/s/metadata", layout=OWN)
    assert codes(made)["stray-folder"] == ["s3://lake/zones/tmp/", "s3://lake/zones/"]
    assert [part.name for part in made.folders[1].parts] == ["old", "x"]
    assert made.folders[1].layer == "raw"


def test_a_bucket_that_moves_to_the_root_may_have_any_folder() -> None:
    made = structure("a/b", "c", layout=Layout.from_mapping("lake", {"s3://old/": "", "s3://logs/": "logs/"}))
    assert codes(made) == {"folder-missing": ["s3://lake/logs/"]}


def test_many_folders_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PARTS", 3)
    keys = [f"{number:04}/{name}" for number in range(50) for name in "ab"]
    made = structure(*keys, *(f"gold/{key}" for key in keys))
    strays = [finding for finding in made.findings() if finding.code == "stray-folder"]
    assert [finding.count for finding in strays] == [1, 1, 48]
    gold = next(folder for folder in made.folders if folder.name == "gold")
    assert (gold.parts.total, len(list(gold.parts)), gold.objects) == (50, 3, 100)


def test_many_objects_at_the_root_are_counted() -> None:
    made = structure(*(f"{number:04}" for number in range(100)))
    strays = [finding for finding in made.findings() if finding.code == "stray-object"]
    assert len(strays) == 20 and sum(finding.count for finding in strays) == 100
