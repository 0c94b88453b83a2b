# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reference of the inventory names what the plan reads: no more, no less; and its examples plan."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from support.inventories import dgpu, spark
from support.inventory_page import MAPPINGS, PAGE, SECTIONS, cells, names

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.keys import COMMON_KEYS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import VARIABLES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_models import VariantKeys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_settings import parse_settings

OVERVIEW = re.findall(r"^\| \[`(\w+)`\]\(#([^)]+)\) \|", PAGE, re.M)
NO_SUCH = {"no_such_key": 1}
#: Tables of keys -> the keys that the plan declares.
TABLES: dict[str, tuple[str, ...]] = {
    **{heading: keys.names() for heading, keys in MAPPINGS.items()},
    "inference_clients_config": tuple(COMMON_KEYS),
}


def documented(heading: str) -> list[str]:
    return sorted(name for row in cells(heading) for name in names(row))


def asked(parse: Callable[[Any, Report], Any], value: Any) -> list[str]:
    """The keys that a reader knows, as it lists them for one that it does not."""
    report = Report()
    parse(value, report)
    found = [re.search(r"Known are: (.+)\.$", finding.message) for finding in report.findings if "no_such_key" in finding.variable]
    assert len(found) == 1
    assert found[0] is not None
    return sorted(found[0][1].split(", "))


def test_every_variable_is_listed() -> None:
    assert sorted(name for name, _anchor in OVERVIEW) == sorted(VARIABLES)


@pytest.mark.parametrize(("variable", "anchor"), OVERVIEW)
def test_a_variable_has_a_row_or_a_section(variable: str, anchor: str) -> None:
    if variable != anchor:
        heading = next(heading for heading in SECTIONS if heading.lower().replace(" ", "-") == anchor)
        assert variable in documented(heading)


def test_every_table_of_keys_is_compared() -> None:
    tables = {heading for heading, text in SECTIONS.items() if re.search(r"^\| key \|", text, re.M)}
    assert tables == set(TABLES)


@pytest.mark.parametrize("heading", TABLES)
def test_the_keys_of_a_section(heading: str) -> None:
    assert documented(heading) == sorted(TABLES[heading])


def test_what_may_differ_by_platform_is_marked() -> None:
    marks = {name: row[3] for row in cells("inference_models") for name in names(row)}
    assert sorted(name for name, mark in marks.items() if mark == "yes") == sorted(VariantKeys.names())
    assert {mark for name, mark in marks.items() if name not in VariantKeys.names()} == {""}


def test_the_types_of_client_files_and_the_engines_of_images_are_listed() -> None:
    types = {name: row[1] for heading in ("inference_clients_config", "Images") for row in cells(heading) for name in names(row)}
    assert sorted(re.findall(r"`(\w+)`", types["type"])) == sorted(CLIENTS)
    engines = re.findall(r"`(\w+)`", types["inference_images"].split(" to ")[0])
    assert sorted(engines) == asked(parse_settings, {"inference_images": NO_SUCH})


@pytest.mark.parametrize("heading", [heading for heading in SECTIONS if heading != "The inventory"])
def test_every_row_is_whole(heading: str) -> None:
    columns = 5 if heading == "inference_models" else 4
    assert [row for row in cells(heading) if names(row) and (len(row) != columns or not row[1])] == []


def test_the_examples_plan() -> None:
    variables: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S):
        variables |= yaml.safe_load(block) or {}
    several = variables.pop("inference_multinode_services")
    host = {"groups": ["inference_nodes", "gateways", "inference_clients"], "vars": variables, "hardware": dgpu()}
    plan = build_plan({"hosts": {"gpu01": host}, "in_play": ["gpu01"]})
    assert plan["warnings"] == []
    assert plan_findings(plan) == []
    own = {"inference_models": {"big": {"source": "a/b"}}, "inference_multinode_services": several}
    sparks = {
        f"spark{number}": {"groups": ["inference_nodes"], "vars": {**own, "ansible_host": f"10.0.0.{number}"}, "hardware": spark()}
        for number in (1, 2)
    }
    assert build_plan({"hosts": sparks, "in_play": list(sparks)})["table"]
