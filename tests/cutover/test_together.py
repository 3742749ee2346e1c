from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.cutover.together import check_fit, refuse
from migrator.errors import ConfigError, PlanBlocked, PlanStale
from migrator.layout import Layout

BOTH: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://gold/": "gold/"}


def plan(name: str, rule: str, **header: str) -> Any:
    layout = {old: new if old == rule else False for old, new in BOTH.items()}
    servers = {"target_bucket": "lake", "target_endpoint_url": "http://a", "endpoint_url": "http://a"}
    return SimpleNamespace(
        path=Path(name),
        header=lambda: {"plan_id": name, "only": "[]", **servers, **header},
        layout=Layout.from_mapping("lake", layout),
        tables=lambda: [],
    )


BRONZE, GOLD = plan("bronze.db", "s3://bronze/"), plan("gold.db", "s3://gold/")


def test_plans_for_different_rules_fit_together() -> None:
    check_fit([BRONZE, GOLD])
    check_fit([GOLD, BRONZE])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (BRONZE, "are the same plan"),
        (plan("again.db", "s3://bronze/"), "both move s3://bronze/"),
        (plan("gold.db", "s3://gold/", target_bucket="other"), "differ in the target: lake and other"),
        (plan("gold.db", "s3://gold/", target_endpoint_url="http://b"), "differ in the server of the target"),
        (plan("gold.db", "s3://gold/", endpoint_url="http://b"), "differ in the server: http://a and http://b"),
    ],
)
def test_plans_that_do_not_fit_together(other: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_fit([GOLD if other.path == BRONZE.path else BRONZE, BRONZE, other][-2:])
    assert caught.value.next_move


def test_all_plans_that_cannot_be_carried_out_are_named() -> None:
    refuse([], 3)
    troubles = [(BRONZE, PlanStale("It moved on.", next_move="Plan again.")), (GOLD, PlanBlocked("It is blocked."))]
    with pytest.raises(PlanStale, match="2 of 3 plans") as caught:
        refuse(troubles, 3)
    assert "bronze.db: It moved on. Plan again.\n" in str(caught.value) and "gold.db: It is blocked." in str(
        caught.value
    )
