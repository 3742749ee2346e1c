"""The header of a plan: the values that describe the plan as a whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from migrator.catalogs import Catalog, properties_of
from migrator.catalogs.two_catalogs import TwoCatalogs
from migrator.config import Settings
from migrator.layout import Layout
from migrator.plan.attributes import Needs
from migrator.planfile.measured import MEASURED, PRICES, Measured
from migrator.store import Store
from migrator.store.endpoints import without_userinfo


def plan_header(
    settings: Settings,
    store: Store,
    layout: Layout,
    catalogs: Mapping[str, Catalog],
    needs: Needs,
    measured: Measured,
    *,
    target_exists: bool,
) -> dict[str, str]:
    """The rows of the header, as :meth:`PlanFile.seal` takes them. None of them is a secret."""
    now = datetime.now(timezone.utc)
    return {
        "plan_id": f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}",  # in the order in which plans are made
        "created": now.isoformat(timespec="seconds"),
        "endpoint_url": store.endpoint_url,
        "region": settings.region or "",
        "profile": settings.profile or "",
        "target_endpoint_url": store.ends[1].endpoint_url,
        "target_region": settings.target_region or "",
        "target_profile": settings.target_profile or "",
        "streamed": "1" if store.ends[0] is not store.ends[1] else "",
        "target_bucket": layout.target_bucket,
        "target_missing": json.dumps(not target_exists),
        "layout": json.dumps(layout.to_mapping()),
        "config": str(settings.path) if settings.path else "",
        # Without the catalogs' properties, which may contain a password: they are read again from their configuration.
        "catalogs": json.dumps({name: catalog.describe() for name, catalog in catalogs.items()}),
        "target_catalogs": json.dumps(
            {name: pair.describe_target() for name, pair in catalogs.items() if isinstance(pair, TwoCatalogs)}
        ),
        "all_versions": json.dumps(settings.all_versions),
        "warehouses": json.dumps(_warehouses(settings)),
        "left_out": json.dumps(needs.left_out),
        "asked": json.dumps(needs.asked),
        "object_lock": json.dumps(settings.object_lock),
        "locks": json.dumps(needs.locks),
        **_choices(settings, layout),
        **_for_estimates(settings, measured),
        "script_names": json.dumps(_script_names(settings, layout)),
    }


def _choices(settings: Settings, layout: Layout) -> dict[str, str]:
    """The settings for making the same plan again."""
    return {
        "leave": json.dumps(settings.leave),
        "only": json.dumps(settings.only),
        "rules": json.dumps([rule.source for rule in layout.chosen]),
        "whole_layout": json.dumps(layout.whole.to_mapping()),
        "accept": json.dumps(settings.accept),
        "preflight": json.dumps(settings.preflight),
        "rewrite_scripts": json.dumps(settings.rewrite_scripts),
    }


def _for_estimates(settings: Settings, measured: Measured) -> dict[str, str]:
    """The values from which estimates are computed, so that they stay the same."""
    return {MEASURED: measured.to_json(), PRICES: json.dumps(settings.prices and asdict(settings.prices))}


def _script_names(settings: Settings, layout: Layout) -> dict[str, Any]:
    """The arguments of :class:`migrator.scripts.Names`, without the layout."""
    names = settings.script_names(layout)
    return {
        "endpoints": [without_userinfo(url) for url in names.endpoints],
        "aliases": names.aliases,
        "checkpoints": names.checkpoints,
        "other_server": names.other_server,
    }


def _warehouses(settings: Settings) -> dict[str, str]:
    """The warehouse of each catalog, so that the plan can name its new value."""
    properties = {name: properties_of(name, given or None) for name, given in settings.catalogs.items()}
    return {name: without_userinfo(given["warehouse"]) for name, given in properties.items() if "warehouse" in given}
