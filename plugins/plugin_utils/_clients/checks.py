# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What is wrong with the client files of an inventory, before any host is asked or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._engines.registry import ENGINES
from .._gateway.urls import network_url
from .base import ClientRenderError, Mistake
from .containers import container_units
from .entries import read_entries, read_entry
from .registry import CLIENTS
from .render import render_client_files

VARIABLE = "inference_clients_config"
MADE_UP = "made-up-for-the-check"  # stands for keys that a check needs none of


def entry_findings(hosts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Variable and message of what is wrong with the client files of these hosts however the plan comes out."""
    found: list[tuple[str, str]] = []
    for host, entries in hosts.items():
        mistakes: list[Mistake] = []
        for number, raw in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
            if isinstance(raw, Mapping):
                read_entry(raw, f"{VARIABLE}[{number}]", mistakes)
        found += _of_host(host, mistakes)
    return found


def plan_findings(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Variable and message of every mistake in the client files of a plan; keys and dimensions are made up for that."""
    gateway = plan.get("gateway")
    found: list[tuple[str, str]] = []
    models = [] if gateway is None else client_models(plan)
    for host, entries in (plan.get("clients") or {}).items():
        if not entries or gateway is None:
            continue
        try:
            rendered = render_client_files(
                entries,
                gateway_url=gateway["url"],
                models=models,
                api_keys=dict.fromkeys(gateway["client_names"], MADE_UP),
                network_url=network_url(gateway, host),
                controller_dir="/",
                tokens=dict.fromkeys(CLIENTS, MADE_UP),
                predict=True,
                variable=VARIABLE,
            )
            taken = {row["port"]: f"the service {row['service']}" for row in plan["table"] if row["host"] == host}
            if host in gateway["hosts"]:
                taken[gateway["port"]] = "the gateway"
            container_units(entries, rendered, None, VARIABLE, taken)
            _check_kinds_of_keys(entries, gateway)
        except ClientRenderError as error:
            found += _of_host(host, error.mistakes)
    return found


def _check_kinds_of_keys(entries: Sequence[Any], gateway: Mapping[str, Any]) -> None:
    """A key is for models or for the numbers; raise ClientRenderError where a program has one of the other kind."""
    for_metrics = {name for name, limits in (gateway.get("client_limits") or {}).items() if limits.get("metrics")}
    mistakes: list[Mistake] = []
    for entry in read_entries(entries, VARIABLE, []):
        name = entry.values.get("key") or gateway["client_names"][0]
        if entry.client.reads_metrics and name not in for_metrics:
            remedy = f"give {entry.client.title} one of its own, inference_gateway.client_keys: {{{entry.client.name}: {{metrics: true}}}}"
            mistakes.append(Mistake(f"{entry.label}.key", f"the key of {name!r} asks models and reads no numbers; {remedy}"))
        elif name in for_metrics and not entry.client.reads_metrics:
            message = (
                f"the key of {name!r} reads the gateway's numbers and asks no model (metrics: true); take another client of the gateway"
            )
            mistakes.append(Mistake(f"{entry.label}.key", message))
    if mistakes:
        raise ClientRenderError(mistakes)


def client_models(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models of the gateway, each with C(tools_trouble)."""
    troubles = tool_troubles(plan)
    return [{**model, "tools_trouble": troubles.get(model["name"])} for model in plan["gateway"]["models"]]


def tool_troubles(plan: Mapping[str, Any]) -> dict[str, str]:
    """By model at the gateway, why a server behind it cannot call tools. Of servers that are not ours nothing is known."""
    instances = {
        (host, f"{name}-{instance['name']}"): (engine, instance)
        for host, part in (plan.get("hosts") or {}).items()
        for name, engine in ENGINES.items()
        for instance in part.get(name) or ()
    }
    found: dict[str, str] = {}
    for model in plan["gateway"]["models"]:
        for backend in model.get("backends") or ():
            engine, instance = instances.get((backend["host"], backend["container"]), (None, {}))
            trouble = engine.tools_trouble(instance) if engine else None
            if trouble is not None:
                found.setdefault(model["name"], f"on {backend['host']} {trouble}")
    return found


def _of_host(host: str, mistakes: Sequence[Mistake]) -> list[tuple[str, str]]:
    return [(f"{mistake.variable} (host {host})", mistake.message) for mistake in mistakes]
