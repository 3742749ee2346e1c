"""The rules of the estimates, and the size of a journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migrator.config import Prices
from migrator.planfile.copied import ETAG, Copied
from migrator.planfile.file import PlanFile
from migrator.planfile.journal import Journal
from migrator.planfile.measured import Measured
from migrator.reporting.estimates import GIB, OWN_REQUESTS, STAGES, estimates, seconds_left
from migrator.reporting.workload import Workload

MIB = 1 << 20
WORK = Workload(
    whole=100_000, whole_bytes=GIB, rewritten=50, rewritten_bytes=MIB, pointers=3, listed=100_050, at_target=100_050,
    places=2, tables=3, table_files=50, row_reads=200,
)  # fmt: skip
MEASURED = Measured(
    copies=1000, reads=3000, seconds_per_read=0.002, copied_bytes=100 * MIB, at_once=48, honours_conditions=True,
    listed=10_000, table_files=200, plan_bytes=4096,
)  # fmt: skip


def test_what_is_known_is_exact_and_the_rest_is_not() -> None:
    requests = estimates(WORK, MEASURED, None)["requests"]
    assert requests["copy"] == {"count": 100_000, "exact": True} and requests["put"] == {"count": 50, "exact": True}
    assert not any(requests[kind]["exact"] for kind in ("list", "head", "get", "own"))
    assert requests["get"]["count"] == 50 + 2 * 50 + 3 * 200 and requests["own"]["count"] == OWN_REQUESTS
    unsure = estimates(replace(WORK, unsure=1), MEASURED, None)["requests"]
    assert not any(estimate["exact"] for estimate in unsure.values())


def test_between_servers_each_object_is_read_and_written() -> None:
    work = replace(WORK, streamed=True, split=2, parts=8)
    estimated = estimates(work, MEASURED, None)
    requests = {kind: estimate["count"] for kind, estimate in estimated["requests"].items()}
    assert (requests["copy"], requests["put"], requests["part_put"]) == (0, 100_050, 8)
    assert requests["begin_upload"] == requests["finish_upload"] == requests["get_tags"] == 2
    assert estimated["bytes"]["copied_on_server"] == 0 and estimated["bytes"]["written"] == GIB + MIB


def test_between_servers_that_were_not_measured_nothing_is_exact() -> None:
    """boto3 may have to copy there, which needs more requests."""
    requests = estimates(replace(WORK, streamed=True), Measured(why_not="a proxy"), None)["requests"]
    assert not any(estimate["exact"] for estimate in requests.values())
    assert estimates(WORK, Measured(why_not="a proxy"), None)["requests"]["copy"]["exact"]


def test_a_server_without_conditions_is_asked_before_the_copies() -> None:
    asked = estimates(WORK, replace(MEASURED, honours_conditions=False), None)
    known = estimates(WORK, MEASURED, None)
    assert asked["requests"]["list"]["count"] > known["requests"]["list"]["count"]
    assert seconds(asked, "copying") > seconds(known, "copying")


def seconds(estimated: object, stage: str = "total", bound: str = "likely") -> float:
    found = estimated["seconds"][stage]  # type: ignore[index]
    assert found is not None
    return float(found[bound])


def test_each_stage_has_a_range_and_they_add_up() -> None:
    estimated = estimates(WORK, MEASURED, None)
    assert list(estimated["seconds"]) == [*STAGES, "total"] and estimated["seconds_unknown"] == {}
    for bound in ("low", "likely", "high"):
        assert seconds(estimated, "total", bound) == pytest.approx(
            sum(seconds(estimated, stage, bound) for stage in STAGES), abs=0.05
        )
    assert seconds(estimated, bound="low") < seconds(estimated) < seconds(estimated, bound="high")
    assert seconds(estimated, "copying") == pytest.approx(100 + GIB / (100 * MIB) / 2, rel=0.05)


def test_a_faster_server_takes_less_time() -> None:
    fast = replace(MEASURED, copies=5000, copied_bytes=500 * MIB)
    assert seconds(estimates(WORK, fast, None)) < seconds(estimates(WORK, MEASURED, None))


def test_with_reads_alone_the_range_is_wider() -> None:
    reads = estimates(WORK, replace(MEASURED, copies=None, copied_bytes=None, why_not="no bucket"), None)
    assert reads["seconds"]["copying"] is None  # 1 GiB, and it is unknown how fast bytes are copied
    assert reads["seconds_unknown"]["copying"] == "how fast bytes are copied is not known: no bucket"
    assert reads["seconds"]["total"] is None and reads["seconds_unknown"]["total"]
    assert reads["measured"]["why_not"] == "no bucket"
    small = replace(WORK, whole_bytes=MIB)
    wide, narrow = (
        estimates(small, measured, None) for measured in (replace(MEASURED, copies=None, why_not="x"), MEASURED)
    )
    assert spread(wide) > spread(narrow)


def spread(estimated: object) -> float:
    return seconds(estimated, "copying", "high") / seconds(estimated, "copying", "low")


def test_without_measurements_times_are_unknown_with_the_reason() -> None:
    nothing = estimates(WORK, Measured(why_not="it was skipped"), None)
    assert {stage for stage, value in nothing["seconds"].items() if value is not None} == {"cutover"}
    assert set(nothing["seconds_unknown"].values()) == {"it was skipped"}
    assert nothing["requests"]["copy"]["count"] == 100_000
    assert seconds_left(nothing["seconds"], 0.5) is None


def test_nothing_to_do_takes_nothing() -> None:
    nothing = estimates(Workload(listed=5000, at_target=5000), Measured(why_not="nothing to do"), Prices())
    assert not any(estimate["count"] for estimate in nothing["requests"].values())
    assert seconds(nothing, bound="high") == 0 and nothing["journal_bytes"] == 0
    assert nothing["cost"] is not None and nothing["cost"]["total"] == 0


def test_what_is_left() -> None:
    whole = estimates(WORK, MEASURED, None)["seconds"]
    assert seconds_left(whole, 1.0) == pytest.approx(whole["total"], abs=0.05)
    half, none = seconds_left(whole, 0.5), seconds_left(whole, 0.0)
    assert half is not None and none is not None
    assert half["likely"] - none["likely"] == pytest.approx(
        sum(seconds({"seconds": whole}, stage) for stage in ("copying", "rewriting")) / 2, abs=0.05
    )


def test_money() -> None:
    prices = Prices("EUR", per_1000_writes=1, per_1000_reads=0.1, per_gib_between_servers=5, per_gib_month_stored=3)
    work = Workload(whole=100_000, whole_bytes=2 * GIB)
    cost, free = (estimates(work, MEASURED, given)["cost"] for given in (prices, None))
    assert free is None and cost is not None
    assert cost["currency"] == "EUR" and cost["between_servers"] == 0 and cost["total"] == cost["requests"]
    assert 100 < cost["requests"] < 101, "one for each 1,000 copies, and little for the rest"
    assert cost["second_copy_per_day"] == pytest.approx(2 * 3 * 12 / 365, abs=1e-5)
    across = estimates(replace(work, streamed=True), MEASURED, prices)["cost"]
    assert across is not None and across["between_servers"] == 10
    assert across["total"] == pytest.approx(across["requests"] + 10)
    assert across["requests"] > 109, "each object is read, too"


def test_a_journal_has_the_estimated_size(tmp_path: Path) -> None:
    count, path = 20_000, tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        plan.seal({"target_bucket": "data-lake", "layout": "{}"})
    before = path.stat().st_size
    with PlanFile.open(path) as plan, Journal(plan) as journal:
        journal.copied(Copied(number, 12345, f"{number:032x}", ETAG) for number in range(1, count + 1))
    grown = path.stat().st_size - before
    estimated = estimates(Workload(whole=count), MEASURED, None)["journal_bytes"]
    assert grown == pytest.approx(estimated, rel=0.2)
