# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that is registered for the length of a test: planned, rendered and run like the others, with nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from support.inventories import host, one, service

from ansible_collections.llmops.gpu_inference.plugins.filter.client_files import FilterModule
from ansible_collections.llmops.gpu_inference.plugins.filter.units import unit_kinds
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import Container, Context, Token
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.environment import ENVIRONMENT_KEYS, EnvironmentClient
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.keys import TEXT, TOKEN
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import without_secrets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.keys import Key
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

FILTERS = FilterModule().filters()
SECRET = "of-the-notebook-0123456789"
ENTRY: dict[str, Any] = {"type": "notebook", "path": "/srv/notebook.env", "key": "notes", "container": True}
KEYS = {"notes": "sk-notes-0123456789"}


class Notebook(EnvironmentClient):
    name: ClassVar[str] = "notebook"
    title: ClassVar[str] = "Notebook"
    needs: ClassVar[Mapping[str, str]] = {"model": "chat", "search_model": "embedding"}
    dimensions: ClassVar[Mapping[str, str]] = {"search_model": "size"}
    keys: ClassVar[Mapping[str, Key[Any]]] = {**ENVIRONMENT_KEYS, "model": TEXT, "search_model": TEXT, "size": TEXT, "password": TOKEN}
    in_container: ClassVar[bool] = True
    container: ClassVar[Container | None] = Container(
        description="Notebook server",
        image="example/notebook:1.0",
        port=8888,
        health_path="/live",
        token=Token("password", "NOTEBOOK_PASSWORD", "to let anybody in"),
    )

    def environment(self, context: Context) -> Mapping[str, str] | None:
        chat, search = context.model("model"), context.model("search_model")
        if context.entry.get("model") == "forbidden":
            context.refuse("model", "'forbidden' is a model that Notebook does not speak to; take another")
        if chat is None or search is None:
            return None
        password = context.entry.get("password") or context.own_token or ""
        return {
            "NOTEBOOK_URL": context.v1_url,
            "NOTEBOOK_MODEL": chat[0],
            "NOTEBOOK_SIZE": str(context.entry.get("size", search[1].dimension)),
            "NOTEBOOK_PASSWORD": password,
        }


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLIENTS, "notebook", Notebook())


def planned(*entries: dict[str, Any], dimension: int | None = 3) -> dict[str, Any]:
    embedding = {"source": "a/e", "capability": "embedding", "dimension": dimension}
    inventory = one(
        service(), service("embedding", 8071, memory="4GiB"), inference_models={"chat": {"source": "a/b"}, "embedding": embedding}
    )
    inventory["hosts"]["node1"]["vars"]["inference_gateway"] = {"client_keys": dict.fromkeys(KEYS)}
    seen = without_secrets("inference_clients_config", list(entries))
    inventory["hosts"]["c1"] = host("inference_clients", inference_clients_config=seen)
    return build_plan(inventory)


def test_it_is_planned() -> None:
    plan = planned({**ENTRY, "password": SECRET, "variables": {"A": SECRET}})
    assert plan["clients"]["c1"] == [{**ENTRY, "password": True, "variables": {"A": True}}]
    assert SECRET not in repr(plan)
    assert plan_findings(plan) == []


@pytest.mark.parametrize(
    ("entry", "key", "message"),
    [
        ({"modell": "chat"}, ".modell", "unknown key. Did you mean 'model'?"),
        ({"model": "embedding"}, ".model", "'embedding' has the capability embedding, but notebook needs chat here"),
        ({"search_model": "chat"}, ".search_model", "'chat' has the capability chat, but notebook needs embedding here"),
        ({"container": {"port": 0}}, ".container.port", "must be a whole number from 1 to 65535"),
    ],
)
def test_its_mistakes_are_told_by_the_plan(entry: dict[str, Any], key: str, message: str) -> None:
    assert plan_findings(planned({**ENTRY, **entry})) == [(f"inference_clients_config[0]{key} (host c1)", message)]


def test_its_own_checks_are_told_beside_the_others() -> None:
    found = plan_findings(planned({**ENTRY, "model": "forbidden"}))
    assert [message for _variable, message in found] == [
        "'forbidden' is not served by the gateway; chat models: chat",
        "'forbidden' is a model that Notebook does not speak to; take another",
    ]


def test_two_programs_need_two_ports() -> None:
    crawler = {"type": "crawl4ai", "path": "/srv/llm.env", "key": "notes", "container": {"port": 8888}}
    ((variable, message),) = plan_findings(planned(ENTRY, crawler))
    assert variable == "inference_clients_config[1].container.port (host c1)"
    assert message == "8888 is the port of the container of Notebook on this host too; give the container another port"


def test_its_file_is_rendered_and_its_container_runs_with_it() -> None:
    """As the role does it: token, dimension, files, what the gateway is asked, units."""
    plan = planned(ENTRY, dimension=None)
    models, files = plan["gateway"]["models"], plan["clients"]["c1"]
    assert FILTERS["client_tokens_to_make"](files) == ["notebook"]
    assert [model["name"] for model in FILTERS["client_models_to_measure"](files, models)] == ["embedding"]
    models = FILTERS["client_models_with_dimensions"](models, [{"model": "embedding", "dimension": 7}])
    rendered = FILTERS["client_files"](files, plan["gateway"]["url"], models, api_keys=KEYS, tokens={"notebook": SECRET})
    expected = {
        "NOTEBOOK_URL": f"{plan['gateway']['url']}/v1",
        "NOTEBOOK_MODEL": "chat",
        "NOTEBOOK_SIZE": "7",
        "NOTEBOOK_PASSWORD": SECRET,
    }
    assert rendered[0]["content"].splitlines()[1:] == [f"{name}={value}" for name, value in expected.items()]
    assert [endpoint["name"] for endpoint in FILTERS["client_gateway_endpoints"](rendered)] == [
        "notebook /srv/notebook.env (chat)",
        "notebook /srv/notebook.env (embedding)",
    ]
    (unit,) = FILTERS["client_container_units"](files, rendered, {"crawl4ai": "own:1"})
    assert (unit["kind"], unit["name"], unit["image"], unit["secret_environment"]) == (
        "notebook",
        "notebook",
        "example/notebook:1.0",
        expected,
    )
    assert unit["probe"] == {"base_url": "http://127.0.0.1:8888", "health_path": "/live", "level": "health"}
    assert "--shm-size" not in unit["docker_arguments"]


def test_its_units_are_kept_stopped_and_removed_with_the_others() -> None:
    assert unit_kinds(["clients", "gateway"]) == ["crawl4ai", "open_webui", "notebook", "litellm"]
