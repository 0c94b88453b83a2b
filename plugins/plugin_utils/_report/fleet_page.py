# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The page of the fleet. Every figure on it is in the document that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ...module_utils._duration import duration
from .._benchmark.page import section as benchmark_section
from .html import cell, page, paragraph, table

_UNKNOWN = "not known"
_GIB = 1024


def fleet_page(document: Mapping[str, Any]) -> str:
    return page(
        "The fleet",
        [
            paragraph(
                f"Of {document['date']}, by llmops.gpu_inference {document['collection']}. fleet.json beside it says the same.", quiet=True
            ),
            _sentence(document),
            *_hosts(document),
            *_services(document),
            *_drift(document),
            *_pins(document),
            *_warnings(document),
            *_benchmarks(document),
        ],
    )


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _sentence(document: Mapping[str, Any]) -> str:
    hosts, services = document["hosts"], document["services"]
    ready = sum(service["phase"] == "ready" for service in services)
    silent = [host["name"] for host in hosts if not host["answered"]]
    text = f"{counted(len(hosts), 'host')}, {counted(len(services), 'unit')}, {ready} of them ready."
    if silent:
        text += f" Not known of {', '.join(silent)}."
    text += (
        f" {counted(len(document['drift']), 'unit')} would change with a run." if document["drift"] else " A run would change no engine."
    )
    return paragraph(text)


def gib(mib: float | None) -> str:
    return _UNKNOWN if mib is None else f"{mib / _GIB:.1f} GiB"


def _hosts(document: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>Hosts</h2>"]
    for host in document["hosts"]:
        parts.append(f"<h3>{escape(host['name'])} <span class='quiet'>{escape(', '.join(host['roles']))}</span></h3>")
        if not host["answered"]:
            parts.append(f'<p class="bad">{escape(host["trouble"])}</p>')
        facts = [host["platform"], host["os"], host["driver"] and f"driver {host['driver']}", host["docker"] and f"Docker {host['docker']}"]
        if host["memory_mib"]:
            facts.append(f"{gib(host['memory_mib'])} of main memory")
        parts.append(paragraph(", ".join(str(fact) for fact in facts if fact), quiet=True))
        for gpu in host["gpus"]:
            parts.append(_gpu(gpu))
    return parts


def _gpu(gpu: Mapping[str, Any]) -> str:
    total = gpu["total_mib"]
    title = f"GPU {gpu['index']}, {gpu['name']}"
    rows = [measure("planned", gpu["planned_mib"], total, "before"), measure("in use", gpu["used_mib"], total, "now")]
    shares = ", ".join(f"{share['unit']} {gib(share['mib'])}" for share in gpu["planned"]) or "nothing is planned on it"
    return (
        f'<figure class="gpu"><figcaption>{escape(title)} <span class="quiet">{escape(gib(total))}</span></figcaption>'
        f"{''.join(rows)}{paragraph(shares, quiet=True)}</figure>"
    )


def measure(name: str, mib: float | None, total: float | None, kind: str) -> str:
    """A bar of a GPU's memory with the same in words; without one where it is not known."""
    words = f"{name}: {gib(mib)}"
    if mib is None or not total:
        return paragraph(words)
    share = min(1.0, mib / total)
    return (
        f'<div class="measure"><span>{escape(words)}, {share * 100:.0f} %</span>'
        f'<div class="bar" aria-hidden="true"><div class="fill {kind}" style="width: {share * 100:.1f}%"></div></div></div>'
    )


def _services(document: Mapping[str, Any]) -> list[str]:
    newest = {(one["newest"]["host"], one["newest"]["unit"]): one["newest"] for one in document["benchmarks"]}
    cards = [_card(service, newest.get((service["host"], service["unit"]))) for service in document["services"]]
    return ["<h2>Services</h2>", f'<div class="cards">{"".join(cards)}</div>' if cards else paragraph("There are none.")]


def _card(service: Mapping[str, Any], benchmark: Mapping[str, Any] | None) -> str:
    phase = service["phase"] or service["active"] or "not there"
    kind = "good" if phase == "ready" else "bad"
    rows = [
        ("Serves", ", ".join(service["models"])),
        ("Ready after", _seconds(service["ready_after"])),
        ("Up for", _seconds(service["uptime"])),
        ("Restarts", None if service["restarts"] is None else str(service["restarts"])),
        ("Memory planned", gib(service["planned_mib"]) if service["planned_mib"] else None),
        ("GPU memory in use", gib(service["gpu_memory_mib"]) if service["gpu_memory_mib"] else None),
        ("Main memory in use", gib(service["memory_mib"]) if service["memory_mib"] else None),
        ("Image", service["image"]),
        ("Digest", service["image_digest"] and service["image_digest"][:19]),
        ("Configuration", service["config_hash"] and service["config_hash"][:16]),
        ("Release", _release(service)),
        ("Benchmark", _benchmark(benchmark)),
        ("Last failure", _failure(service["failure"])),
    ]
    if not service["declared"]:
        rows.append(("Inventory", "it is not declared there; a run would remove it"))
    lines = "".join(f"<dt>{escape(title)}</dt><dd>{escape(str(text))}</dd>" for title, text in rows if text)
    return (
        f'<section class="card"><h3>{escape(service["unit"])} <span class="quiet">{escape(service["host"])}</span></h3>'
        f'<p class="{kind}">{escape(str(phase))}</p><dl>{lines}</dl></section>'
    )


def _seconds(value: Any) -> str | None:
    return None if value is None else duration(value)


def _release(service: Mapping[str, Any]) -> str:
    release = service["release"]
    if release is None:
        return "none yet"
    words = f"{release.get('number')} of {release['recorded'] or 'an unknown time'}, {'proved' if release['proved'] else 'not proved'}"
    return f"{words}; what runs is newer" if service["newer_than_its_release"] else words


def _benchmark(newest: Mapping[str, Any] | None) -> str:
    if newest is None:
        return "none yet"
    step = newest["steps"][-1]
    words = f"{newest['date']}: {step['request_throughput']:.2f} requests/s"
    if "output_throughput" in step:
        words += f", {step['output_throughput']:.1f} tokens/s"
    return f"{words} with {step['concurrency']} at once"


def _failure(failure: Mapping[str, Any] | None) -> str | None:
    if failure is None:
        return None
    ago = f" ({duration(failure['failed_ago'])} ago)" if failure["failed_ago"] is not None else ""
    return f"{failure['cause']}: {failure['message']}{ago}" + (f" {failure['remedy']}" if failure["remedy"] else "")


def _drift(document: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>What a run would change</h2>"]
    rows = [cell(row["host"]) + cell(row["unit"]) + cell(row["action"], "bad") + cell(row["reason"] or "-") for row in document["drift"]]
    if rows:
        heads = [("Host", ""), ("Unit", ""), ("Action", ""), ("Reason", "")]
        parts.append(table("Engines whose container is not as the inventory declares it", heads, rows))
    else:
        parts.append(paragraph("No engine that was looked at."))
    parts += [f'<p class="bad">{escape(one["host"])}: {escape(one["reason"])}</p>' for one in document["drift_unknown"]]
    parts.append(
        paragraph("Gateways, client programs and packages are not looked at here; site.yml with --check tells of them.", quiet=True)
    )
    return parts


def _pins(document: Mapping[str, Any]) -> list[str]:
    parts = ["<h2>Versions</h2>"]
    rows = []
    for pin in document["pins"]:
        verdict = {None: "cannot be compared", True: "behind", False: "as new"}[pin["behind"]]
        cells = cell(pin["program"]) + cell(pin["image"]) + cell(pin["default"] or "-") + cell(verdict, "bad" if pin["behind"] else "")
        rows.append(cells + cell(", ".join(pin["where"])))
    heads: Sequence[tuple[str, str]] = [("Program", ""), ("Runs", ""), ("Default", ""), ("", ""), ("Where", "")]
    heads = [(title or "Verdict", kind) for title, kind in heads]
    parts.append(
        table("What runs, beside the default of this release of the collection", heads, rows) if rows else paragraph("Nothing runs.")
    )
    return parts


def _warnings(document: Mapping[str, Any]) -> list[str]:
    if not document["warnings"]:
        return []
    return ["<h2>Warnings of the plan</h2>", "<ul>", *(f"<li>{escape(one)}</li>" for one in document["warnings"]), "</ul>"]


def _benchmarks(document: Mapping[str, Any]) -> list[str]:
    if not document["benchmarks"]:
        return []
    return ["<h2>Benchmarks</h2>", *(line for one in document["benchmarks"] for line in benchmark_section(one, "h3"))]
