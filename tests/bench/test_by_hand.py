"""The script by_hand.py runs, and both of each pair do the same."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import fastavro

from bench import by_hand

BENCH = Path(__file__).with_name("by_hand.py")


def test_it_prints_a_ratio_for_each_part() -> None:
    few = ("--puts", "20", "--signatures", "20", "--entries", "20", "--rounds", "1")
    ran = subprocess.run([sys.executable, BENCH, *few], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    _, *rows = ran.stdout.splitlines()
    assert [re.sub(r"\d+\.\d", "N", row).split(":")[0] for row in rows] == [
        "a small PUT",
        "a signature",
        "a manifest's entry",
    ]
    for row in rows:
        assert re.search(r" +\d+\.\d µs +\d+\.\d µs +\d+\.\d$", row), row


def test_both_signers_sign_the_same_headers() -> None:
    """They sign the same headers. (The tests in tests/store check that the signatures are right.)"""
    ours, theirs = by_hand.sign_by_hand(1)(), by_hand.sign_by_botocore(1)()
    pattern = (
        r"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/\d{8}/us-east-1/s3/aws4_request, SignedHeaders=(\S+), Signature="
    )
    assert re.match(pattern, ours)[1] == re.match(pattern, theirs)[1]  # type: ignore[index]


def test_both_rewrites_write_the_same_entries() -> None:
    data = by_hand.manifest(30, "deflate")
    ours, theirs = (
        [row["data_file"]["file_path"] for row in fastavro.reader(io.BytesIO(rewrite(data)()))]
        for rewrite in (by_hand.rewrite_by_splice, by_hand.rewrite_by_fastavro)
    )
    assert ours == theirs
    assert len(ours) == 30 and all(path.startswith("s3://data-lake/") for path in ours)
