from __future__ import annotations

from migrator.reporting.relocation import NOTES, relocation_report
from migrator.reporting.rendering import render
from migrator.rewriting.relocate import Relocation


def test_a_relocation_ends_in_the_command_that_registers_the_table() -> None:
    location = "s3://new/l'x\\y"
    done = Relocation(
        metadata_location=f"{location}/metadata/1.metadata.json",
        location=location,
        format_version=2,
        snapshots=4,
        rewritten=12,
        copied=10,
        copied_bytes=2048,
        there_already=3,
        notes=[f"n{number}" for number in range(30)],
    )
    text = render(relocation_report(done), 80)
    assert text.split("\n")[-1] == (
        "To register it: CALL <catalog>.system.register_table(table => '<namespace>.<name>', metadata_file => "
        r"'s3://new/l\'x\\y/metadata/1.metadata.json')"
    )
    assert text.count("  note: n") == NOTES and "The table is at s3://new/l'x\\y/metadata/1.metadata.json" in text
    first = "Copied 10 objects (2.0 KiB) (3 were there already), rewrote 12 table files: 4 snapshots, v2."
    assert " ".join(text.split()).startswith(first)
