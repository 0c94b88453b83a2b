# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""All that a page of the fleet shows, out of the plan and of what hosts have told: hosts, GPUs, services, drift, pins.

What is not known is None, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from .._benchmark.results import summary as benchmark_summary
from .._engines.registry import ENGINES
from .._plan.images import LITELLM_IMAGE, version_in
from .._plan.platform import version_tuple

SCHEMA = 1
_GATEWAY = "litellm"
_SHOWN = ("phase", "active", "percent", "restarts", "uptime", "ready_after", "memory_mib", "gpu_memory_mib", "image", "image_digest")


def fleet(plan: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]], time: str, version: str) -> dict[str, Any]:
    """C(told): by host C(facts), and the results of container_units_info (C(units)), unit_records_info (C(records)) and of container_units
    in check mode (C(drift))."""
    names = sorted(plan["hosts"])
    services = [service for name in names for service in _services(plan, name, told.get(name) or {})]
    benchmarks = [document for name in names for document in _of(told.get(name), "records").get("benchmarks") or ()]
    return {
        "schema": SCHEMA,
        "date": time,
        "collection": version,
        "hosts": [_host(plan, name, told.get(name) or {}) for name in names],
        "services": services,
        "drift": [row for name in names for row in _drift(name, _of(told.get(name), "drift"))],
        "drift_unknown": [
            {"host": name, "reason": _reason(_of(told.get(name), "drift"))}
            for name in names
            if "inference_node" in plan["hosts"][name]["roles"] and "units" not in _of(told.get(name), "drift")
        ],
        "pins": pins(services),
        "warnings": list(plan.get("warnings") or ()),
        "benchmarks": benchmark_summary(benchmarks, time)["services"],
    }


def _of(told: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    found = (told or {}).get(key)
    return found if isinstance(found, Mapping) else {}


def _reason(result: Mapping[str, Any]) -> str:
    first = next(iter(str(result.get("msg") or "").strip().splitlines()), "")
    if result.get("unreachable"):
        return f"did not answer: {first}" if first else "did not answer"
    return first or "was not asked"


def _host(plan: Mapping[str, Any], name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    planned, facts, units = plan["hosts"][name], _of(told, "facts"), _of(told, "units")
    measured = _of(told, "records").get("gpus") or {}
    gpus = []
    for gpu in facts.get("gpus") or ():
        uuid = str(gpu["uuid"])
        shares = _shares(planned, uuid)
        seen = measured.get(uuid) or {}
        gpus.append(
            {
                "index": gpu["index"],
                "uuid": uuid,
                "name": gpu["name"],
                "total_mib": gpu.get("memory_mib"),
                "planned": shares,
                "planned_mib": sum(share["mib"] for share in shares),
                "used_mib": seen.get("used_mib"),
            }
        )
    return {
        "name": name,
        "roles": list(planned["roles"]),
        "platform": planned["platform"],
        "answered": "units" in units,
        "trouble": None if "units" in units else _reason(units),
        "driver": (facts.get("driver") or {}).get("version"),
        "docker": (facts.get("docker") or {}).get("version"),
        "os": " ".join(str(facts["os"][key]) for key in ("id", "version") if facts["os"].get(key)) if facts.get("os") else None,
        "memory_mib": facts.get("memory_mib"),
        "gpus": gpus,
    }


def _shares(planned: Mapping[str, Any], uuid: str) -> list[dict[str, Any]]:
    """What the plan gives of a GPU to each instance. Of one without UUID, whose memory is the system's, all on it have a share."""
    found = []
    for kind in ENGINES:
        for instance in planned.get(kind) or ():
            on_it = uuid in (instance.get("gpus") or []) or (not instance.get("gpus") and not uuid.startswith("GPU-"))
            if instance.get("device") != "cpu" and on_it and instance.get("memory_mib"):
                found.append({"unit": f"{kind}@{instance['name']}", "mib": int(instance["memory_mib"])})
    return found


def _services(plan: Mapping[str, Any], host: str, told: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Every unit that is planned or there."""
    rows = {str(row["unit"]).removesuffix(".service"): row for row in _of(told, "units").get("units") or ()}
    planned = _planned(plan, host)
    records = _of(told, "records")
    for unit in sorted({*rows, *planned}):
        row, wanted = rows.get(unit) or {}, planned.get(unit) or {}
        release = (records.get("releases") or {}).get(unit)
        yield {
            "host": host,
            "unit": unit,
            "kind": unit.partition("@")[0],
            "declared": unit in planned or not _is_engine(unit),
            "models": wanted.get("models") or [],
            "planned_mib": wanted.get("mib"),
            **{key: row.get(key) for key in _SHOWN},
            "config_hash": row.get("config_hash"),
            "failure": {key: row[key] for key in ("cause", "message", "remedy", "failed_ago")} if row.get("cause") else None,
            "release": None if release is None else {**release, "recorded": _stamp(release.get("recorded_at"))},
            "newer_than_its_release": None if release is None or not row else release.get("config_hash") != row.get("config_hash"),
        }


def _is_engine(unit: str) -> bool:
    return unit.partition("@")[0] in ENGINES


def _stamp(seconds: Any) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _planned(plan: Mapping[str, Any], host: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in plan["table"]:
        if row["host"] != host:
            continue
        for instance in plan["hosts"][host][row["engine"]]:
            if instance["port"] == row["port"]:
                entry = found.setdefault(f"{row['engine']}@{instance['name']}", {"models": [], "mib": instance.get("memory_mib")})
                entry["models"].append(row["model"])
    gateway = plan.get("gateway") or {}
    if host in (gateway.get("hosts") or ()):
        found[f"{_GATEWAY}@gateway"] = {"models": [], "mib": None}
    return found


def _drift(host: str, result: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """What a run would do with the engines of a host."""
    for instance, unit in sorted((result.get("units") or {}).items()):
        if unit.get("action") != "keep":
            yield {"host": host, "unit": instance.replace("/", "@", 1), "action": unit["action"], "reason": str(unit.get("reason") or "")}


def pins(services: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each version that runs beside the one that this release of the collection has by default."""
    own = {**{name: engine.fallback_image for name, engine in ENGINES.items() if engine.interchangeable}, _GATEWAY: LITELLM_IMAGE}
    titles = {**{name: engine.title for name, engine in ENGINES.items()}, _GATEWAY: "LiteLLM"}
    found: dict[tuple[str, str], list[str]] = {}
    for service in services:
        if service["image"] and service["kind"] in own:
            found.setdefault((service["kind"], str(service["image"])), []).append(f"{service['unit']} on {service['host']}")
    rows = []
    for (kind, image), where in sorted(found.items()):
        runs, default = version_in(image), version_in(own[kind])
        behind = None if not runs or not default else (version_tuple(runs) or ()) < (version_tuple(default) or ())
        rows.append({"program": titles[kind], "image": image, "runs": runs, "default": default, "behind": behind, "where": where})
    return rows
