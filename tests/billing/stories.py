"""The stories of `vectors.yml`, told to a vendor and loaded into a warehouse."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.billing.stripe_objects import Vendor, load
from tests.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping

STORIES = yaml.safe_load((Path(__file__).parent / "vectors.yml").read_text(encoding="utf-8"))
VECTORS: Mapping[str, dict[str, Any]] = {vector["id"]: vector for vector in STORIES["vectors"]}
# customers of other tests than the vectors', by name
BYSTANDERS: Mapping[str, dict[str, Any]] = STORIES["bystanders"]
AS_OF = dt.datetime.combine(STORIES["as_of"], dt.time())
FIRST_LOAD = "1000.5"
MARTS = ("mrr_movements", "mrr_profiles", "mrr_differences", "mrr_rules", "mrr_restatements", "revenue_metrics")


def stripe_customers(vector: Mapping[str, Any]) -> list[str]:
    """The names of a vector's customers, copies counted."""
    slug = vector["id"].lower().replace(" ", "_")
    return [
        f"{slug}_{position}_{copy}"
        for position, story in enumerate(vector["customers"])
        for copy in range(story.get("copies", 1))
    ]


def vendor() -> Vendor:
    """A vendor that knows the catalogue and nobody."""
    return Vendor(STORIES["prices"], STORIES["coupons"])


def built(folder: Path) -> Warehouse:
    """A warehouse with everybody's objects, and the marts of revenue built from them."""
    everybody = vendor()
    for vector in VECTORS.values():
        names = iter(stripe_customers(vector))
        for story in vector["customers"]:
            for _ in range(story.get("copies", 1)):
                everybody.tell(next(names), story)
    for name, story in BYSTANDERS.items():
        everybody.tell(name, story)
    warehouse = Warehouse(folder)
    with warehouse.connect() as connection:
        load(connection, everybody.objects, FIRST_LOAD)
    warehouse.stand_at(AS_OF)
    marts = [f"+{mart}" for mart in MARTS]
    warehouse.dbt("build", "--select", *marts, "--exclude-resource-type", "test", "unit_test")
    return warehouse


def copy_of(warehouse: Warehouse, folder: Path) -> Warehouse:
    """The same warehouse in another folder, to be changed."""
    copy = Warehouse(folder)
    copy.path.write_bytes(warehouse.path.read_bytes())
    return copy
