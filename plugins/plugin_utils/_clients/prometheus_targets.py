# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a Prometheus is to ask, in the form of its C(file_sd_configs)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ...module_utils._engine_signs import signs_of
from .._gateway.urls import gateway_url, server_url
from .._plan.gateway import LOOPBACK

#: What each job asks for.
JOBS = {"gateway": "/usage/metrics", "node": "/metrics", "engine": "/metrics"}


def target_of(job: str, url: str, **labels: str) -> dict[str, Any]:
    """One target. Names that begin with two underscores say where it is; the others are labels of its series."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return {
        "targets": [f"{host}:{parts.port or default}"],
        "labels": {
            "__llmops_job": job,
            "__scheme__": parts.scheme,
            "__metrics_path__": parts.path.rstrip("/") + JOBS[job],
            **labels,
        },
    }


def metrics_targets(plan: Mapping[str, Any], host: str | None = None) -> list[dict[str, Any]]:
    """Of a plan: each gateway by itself, since each counts for itself, the exporters that hosts have, and the engines of one host."""
    return [*_gateways(plan), *_nodes(plan), *(_engines(plan, host) if host else ())]


def _engines(plan: Mapping[str, Any], host: str) -> Iterator[dict[str, Any]]:
    """Their ports are on 127.0.0.1, where they ask for no key. Others than gateways do not reach them.

    Of an engine over several hosts the first answers for all.
    """
    for row in plan.get("table") or ():
        if row["host"] == host and not row.get("rank") and signs_of(row["engine"]).counters == JOBS["engine"]:
            yield target_of("engine", server_url("127.0.0.1", row["port"]), host=host, service=row["service"])


def _nodes(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, host in plan["hosts"].items():
        port = host.get("metrics", {}).get("exporter_port")
        if port:
            yield target_of("node", server_url(host["address"], port), host=name)


def _gateways(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    gateway = plan.get("gateway")
    if gateway is None:
        return []
    hosts, scheme = gateway["hosts"], urlsplit(gateway["local_url"]).scheme
    if len(hosts) == 1 or LOOPBACK.fullmatch(gateway["bind"]):
        # As other clients reach it.
        return [target_of("gateway", gateway["url"], host=hosts[0])]
    urls = {host: urlsplit(gateway_url(gateway["bind"], gateway["port"], plan["hosts"][host]["address"])) for host in hosts}
    return [target_of("gateway", url._replace(scheme=scheme).geturl(), host=host) for host, url in urls.items()]
