# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Prometheus: jobs, targets, alert rules and the key for the gateway, each in a file of its own in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar

import yaml

from ...module_utils._clients import MARKER
from .._plan.findings import Fields
from .._plan.grammar import PATH
from .._plan.keys import Key, integer, mapping_with, maybe_text
from .base import Beside, Client, Context
from .keys import read
from .prometheus_rules import THRESHOLDS, rules
from .prometheus_targets import JOBS, target_of

#: Of what each job reads. Only the gateway asks for a key.
_WITH_KEY = frozenset({"gateway"})
THRESHOLD_KEYS: Mapping[str, Key[Any]] = {name: integer(1, bound.most) for name, bound in THRESHOLDS.items()}


def _thresholds(fields: Fields, key: str) -> dict[str, Any]:
    return read(fields.mapping(key), fields.where(key), THRESHOLD_KEYS, fields.report)


class Prometheus(Client):
    """Read in Prometheus 2.42, C(config/config.go) and C(discovery/file/file.go).

    The jobs stay the same from run to run and the targets do not: Prometheus takes a changed file of targets over by itself, jobs and rules
    only when it is reloaded. Which target belongs to which job a label says.
    """

    name: ClassVar[str] = "prometheus"
    title: ClassVar[str] = "Prometheus"
    keys: ClassVar[Mapping[str, Key[Any]]] = {
        "thresholds": Key(_thresholds, mapping_with(THRESHOLD_KEYS)),
        "ca_file": maybe_text(pattern=PATH, expected="the absolute path of a file of certificates"),
    }
    reads_metrics: ClassVar[bool] = True

    def render(self, context: Context) -> str | None:
        if context.on_host and "owner" not in context.entry:
            context.refuse("owner", "say as whom Prometheus runs (Debian's: prometheus); nobody else can read its key")
            return None
        return _yaml({"scrape_configs": [_job(name, context) for name in JOBS]})

    def beside(self, context: Context) -> Mapping[str, Beside]:
        # Engines answer their own host only, and who knows where files of the controller come to lie.
        known = [dict(target) for target in context.targets if context.on_host or target["labels"].get("__llmops_job") != "engine"]
        targets = known or [target_of("gateway", context.root_url)]
        return {
            _sibling(context, "targets.yml"): Beside(_yaml(targets)),
            _sibling(context, "rules.yml"): Beside(_yaml(rules(context.entry.get("thresholds") or {}))),
            _sibling(context, "key"): Beside(context.api_key + "\n", "0600", "whole"),
        }


def _sibling(context: Context, ending: str) -> str:
    return str(PurePosixPath(context.path).with_suffix(f".{ending}"))


def _job(name: str, context: Context) -> dict[str, Any]:
    def named(ending: str) -> str:
        # Files that are fetched from the controller come to lie elsewhere: Prometheus looks for them beside its own file.
        path = _sibling(context, ending)
        return path if context.on_host else PurePosixPath(path).name

    authority = context.entry.get("ca_file")
    if not authority and context.ca:
        bundle = context.ca.paths["bundle"]
        authority = bundle if context.on_host else PurePosixPath(bundle).name
    return {
        "job_name": f"llmops-{name}",
        **({"authorization": {"credentials_file": named("key")}} if name in _WITH_KEY else {}),
        **({"tls_config": {"ca_file": authority}} if name in _WITH_KEY and authority else {}),
        "file_sd_configs": [{"files": [named("targets.yml")]}],
        "relabel_configs": [{"source_labels": ["__llmops_job"], "regex": name, "action": "keep"}],
        # The rest of what an exporter tells is for a job of the user's own.
        **({"metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "llmops_.*", "action": "keep"}]} if name == "node" else {}),
    }


def _yaml(document: Any) -> str:
    return f"{MARKER}\n{yaml.safe_dump(document, sort_keys=False, width=10_000)}"
