# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(inference_rollout): how a change of an engine is proved, and what happens when it does not hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from .findings import Fields, Report, hint
from .keys import Key, Keys, any_of, choice, integer, list_of, mapping_of, matching, number, raw, text, whole_number, with_reader


def _within(name: str, least: float, most: float, what: str) -> Key[float | None]:
    """A number between two others."""

    def read(fields: Fields) -> float | None:
        value = fields.number(name)
        if value is not None and not least <= value <= most:
            fields.add(name, value, f"must be {what}, from {least:g} to {most:g}")
            return None
        return value

    return with_reader(number().schema, read)


def _mappings(name: str) -> Key[list[Any]]:
    def read(fields: Fields) -> list[Any]:
        entries = fields.items(name)
        for position, entry in enumerate(entries):
            if not isinstance(entry, Mapping):
                fields.add(f"{name}[{position}]", entry, "must be a mapping, as OpenAI's API takes it")
        return entries

    return with_reader(list_of({"type": "object"}), read)


class AnswerKeys(Keys):
    prompt = text()
    messages = _mappings("messages")
    max_tokens = integer(1, 100000, what="a number of tokens")
    tools = _mappings("tools")
    exact = text()
    contains = text()
    tool = text()
    json = raw({"type": "object"})


def _answers(fields: Fields) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for model, entries in fields.mapping("answers").items():
        where = f"answers.{model}"
        if not isinstance(entries, (list, tuple)):
            fields.add(where, entries, "must be a list of prompts")
            continue
        for position, entry in enumerate(entries):
            found.setdefault(str(model), []).append(_answer(fields, f"{where}[{position}]", entry))
    return found


def _answer(fields: Fields, where: str, entry: Any) -> dict[str, Any]:
    inner = AnswerKeys.fields(entry, fields.where(where), fields.report)
    read = {name: key.read(inner) for name, key in AnswerKeys.all().items()}
    if inner.valid and bool(read["prompt"]) == bool(read["messages"]):
        inner.add("prompt", None, "is required, or messages in its place, and not both")
    if inner.valid and read["tool"] and not read["tools"]:
        inner.add("tools", None, f"is required for tool: without it the model cannot call {read['tool']}")
    if read["json"] is not None and not isinstance(read["json"], Mapping):
        inner.add("json", read["json"], "must be a JSON Schema")
    return {name: value for name, value in read.items() if value not in (None, "", [], ())}


class ProofKeys(Keys):
    speed = _within("speed", 0, 1, "a share of the speed before")
    similarity = _within("similarity", 0, 1, "a share of the words")
    cosine = _within("cosine", -1, 1, "a cosine")
    rounds = integer(1, 100, what="a number of rounds")
    timeout = integer(1, 3600, what="seconds for one request")
    answers = with_reader(mapping_of(list_of(AnswerKeys.schema())), _answers)


def _proof(fields: Fields) -> dict[str, Any]:
    if not fields.has("proof"):
        return {}
    inner = ProofKeys.fields(fields.data["proof"], fields.where("proof"), fields.report)
    read = {name: key.read(inner) for name, key in ProofKeys.all().items()}
    return {name: value for name, value in read.items() if value is not None and value != {}}


def _batch(fields: Fields) -> int | str | None:
    """As Ansible's own serial takes it: a number of hosts, or a percentage of them."""
    value = fields.data.get("batch")
    if isinstance(value, str) and re.fullmatch(r"([1-9][0-9]?|100)%", value):
        return value
    return fields.integer("batch", 1, what="a number of hosts, or a percentage such as 25%")


class RolloutKeys(Keys):
    batch = with_reader(any_of(whole_number(1), matching("([1-9][0-9]?|100)%")), _batch)
    on_failure = choice(("rollback", "stop"), "rollback")
    drain = integer(0, 86400, what="seconds")
    probation = integer(0, 86400, what="seconds")
    proof = with_reader(ProofKeys.schema(), _proof)


def rollout(fields: Fields) -> dict[str, Any]:
    """What the variable says; empty where it says nothing."""
    if not fields.has("inference_rollout"):
        return {}
    inner = RolloutKeys.fields(fields.data["inference_rollout"], "inference_rollout", fields.report)
    return {name: key.read(inner) for name, key in RolloutKeys.all().items() if inner.has(name)}


ROLLOUT = with_reader(RolloutKeys.schema(), rollout)


def check_models(rollouts: Mapping[str, Mapping[str, Any]], known: Collection[str], report: Report) -> None:
    """Prompts for models that nobody declares. C(rollouts): by host, as they were read."""
    for host, settings in rollouts.items():
        for model in settings.get("proof", {}).get("answers", {}):
            if model not in known:
                where = f"inference_rollout.proof.answers.{model}"
                report.add(where, model, f"is not a model of inference_models.{hint(model, known)}", [host])
