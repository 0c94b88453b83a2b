# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(inference_gateway.client_keys), typed: a key for each client, or a mapping with its key and its limits."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .._secrets.secrecy import looks_secret
from .findings import Fields, Report, hint
from .keys import SECRET, Keys, Schema, any_of, boolean, integer, mapping_of, secret, texts
from .model import Gateway, Model

CLIENT_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_FORMS = "a key (a text, in quotes), null to have one generated, or a mapping such as {parallel: 4}"
#: What LiteLLM calls the limits that the gateway counts itself.
_RENAMED = {"rpm_limit": "requests_per_minute", "tpm_limit": "tokens_per_minute", "max_parallel_requests": "parallel"}
#: Fields of LiteLLM's own keys (C(GenerateKeyRequest)), all of which it keeps in a database.
_OF_DATABASE = frozenset(
    {
        *("agent_id", "aliases", "allowed_cache_controls", "allowed_passthrough_routes", "allowed_routes", "allowed_vector_store_indexes"),
        *("auto_rotate", "blocked", "budget_duration", "budget_id", "budget_limits", "config", "duration", "enforced_params", "expires"),
        *(
            "guardrails",
            "key_alias",
            "max_budget",
            "metadata",
            "model_max_budget",
            "model_rpm_limit",
            "model_tpm_limit",
            "object_permission",
        ),
        *(
            "organization_id",
            "permissions",
            "policies",
            "project_id",
            "prompts",
            "rotation_interval",
            "rpm_limit_type",
            "send_invite_email",
        ),
        *("soft_budget", "spend", "tags", "team_id", "tpm_limit_type", "user_id"),
    }
)
_NO_DATABASE = "is LiteLLM's own, which counts and keeps it in a database; this gateway has none"


class ClientKeys(Keys):
    key = secret()
    requests_per_minute = integer(1, 100_000)
    tokens_per_minute = integer(1, 1_000_000_000)
    parallel = integer(1, 800)
    models = texts(expected="the name of a model")
    metrics = boolean(False)


SCHEMA: Schema = mapping_of(any_of(SECRET, ClientKeys.schema()), CLIENT_NAME)
#: Of a client that is a Prometheus: it may ask for no model.
FOR_METRICS: Mapping[str, Any] = {"models": [], "metrics": True}
#: Client -> its limits, those that are given.
Clients = Mapping[str, Mapping[str, Any]]


def read_clients(fields: Fields) -> Clients:
    """Clients by their names."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, value in fields.mapping("client_keys").items():
        if not re.fullmatch(CLIENT_NAME, name):
            fields.add(f"client_keys.{name}", None, "the name of a client must be letters, digits and . _ -")
        elif looks_secret(name):
            fields.add("client_keys", None, "the name of a client looks like a key; write name: key, or name: null to have one generated")
        elif isinstance(value, Mapping):
            found[name] = _limits(value, f"client_keys.{name}", fields)
        elif value is None or value is True or isinstance(value, str):
            found[name] = {}
        else:
            fields.add(f"client_keys.{name}", None, f"must be {_FORMS}")
    return dict(sorted(found.items()))


def _limits(value: Mapping[Any, Any], where: str, fields: Fields) -> Mapping[str, Any]:
    known = {}
    for key, item in value.items():
        if key in _RENAMED:
            fields.add(f"{where}.{key}", None, f"{_NO_DATABASE}. The gateway counts by itself: write {_RENAMED[key]}")
        elif key in _OF_DATABASE:
            others = ", ".join(name for name in ClientKeys.names() if name != "key")
            fields.add(f"{where}.{key}", None, f"{_NO_DATABASE}. Without one there are {others}")
        else:
            known[key] = item
    inner = ClientKeys.fields(known, fields.where(where), fields.report, fields.hosts)
    ClientKeys.key.read(inner)
    limits: dict[str, Any] = {
        "requests_per_minute": ClientKeys.requests_per_minute.read(inner),
        "tokens_per_minute": ClientKeys.tokens_per_minute.read(inner),
        "parallel": ClientKeys.parallel.read(inner),
        "models": list(ClientKeys.models.read(inner)) if inner.has("models") else None,
    }
    if inner.data.get("models") == []:
        inner.add("models", None, "names no model, so that the client could ask for none; leave it out, or name some")
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if not ClientKeys.metrics.read(inner):
        return limits
    for name in limits:
        inner.add(
            name, None, "is a limit of inference, and a key with metrics: true reads the gateway's numbers only; leave one of them out"
        )
    return FOR_METRICS


def warn_of_several(gateway: Gateway, gateways: int, report: Report) -> None:
    """Gateways without a Redis count for themselves, which nobody expects of a limit."""
    counted = [client for client, limits in gateway.clients.items() if set(limits) - set(FOR_METRICS)]
    if gateways > 1 and counted and not gateway.redis:
        report.warn(
            f"inference_gateway.client_keys: {', '.join(counted)} may ask each of the {gateways} gateways for as much as the limits say, "
            "because each counts by itself; with inference_gateway.redis they count together"
        )


def client_limits(
    gateway: Gateway, aliases: Mapping[str, str], served: Collection[str], known: Mapping[str, Model], report: Report
) -> Clients:
    """The limits of those clients that have some, with models by their names at the gateway; unknown models are findings."""
    declared = {*known, *(alias for item in known.values() for alias in item.aliases)}
    listed = gateway.settings.get("model_list")
    own = [str(item.get("model_name")) for item in listed if isinstance(item, Mapping)] if isinstance(listed, (list, tuple)) else []
    found, good = {}, report.is_good
    for client, limits in gateway.clients.items():
        for position, model in enumerate(limits.get("models") or ()):
            target = aliases.get(model, model)
            # A model that is served but for another mistake needs no second one.
            if target not in (*served, *own) and (good or target not in declared):
                where = f"inference_gateway.client_keys.{client}.models[{position}]"
                report.add(where, model, f"is not a served model.{hint(model, [*served, *own, *aliases])}")
        if limits:
            models = {"models": [aliases.get(model, model) for model in limits["models"]]} if "models" in limits else {}
            found[client] = {**limits, **models}
    return found


def with_clients(models: Sequence[Mapping[str, Any]], clients: Sequence[str], limits: Clients) -> list[dict[str, Any]]:
    """Models at the gateway; those that not every client may ask for have C(clients), the names of who may."""
    found = []
    for model in models:
        may = [client for client in clients if model["name"] in limits.get(client, {}).get("models", [model["name"]])]
        found.append({**model, **({"clients": may} if len(may) < len(clients) else {})})
    return found
