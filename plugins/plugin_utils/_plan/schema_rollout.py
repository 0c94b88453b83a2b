# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""C(inference_rollout): how a change of an engine is proved, and what happens when it does not hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ...module_utils._proof_own import words_of
from .findings import Fields, Report, hint
from .keys import Key, Keys, any_of, choice, integer, list_of, mapping_of, matching, number, raw, text, whole_number, with_reader
from .model import Model


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


#: A number of JSON: 1e-05, as programs write it, is a text to YAML.
_NUMBER = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"


def _coordinate(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, str) and not re.fullmatch(_NUMBER, value)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _vector(fields: Fields) -> list[float]:
    found: list[float] = []
    for position, value in enumerate(fields.items("vector")):
        number = _coordinate(value)
        if number is None:
            fields.add(f"vector[{position}]", value, "must be a number")
            return []
        found.append(number)
    if isinstance(fields.data.get("vector"), (list, tuple)) and not any(found):
        fields.add("vector", None, "must have numbers, and not all of them 0")
    return found


class AnswerKeys(Keys):
    prompt = text()
    messages = _mappings("messages")
    max_tokens = integer(1, 100000, what="a number of tokens")
    tools = _mappings("tools")
    exact = text()
    contains = text()
    tool = text()
    json = raw({"type": "object"})
    nearer = text()
    than = text()
    vector = with_reader(list_of(any_of({"type": "number"}, matching(_NUMBER))), _vector)
    cosine = _within("cosine", -1, 1, "a cosine")
    audio = text()
    says = text()
    word_error_rate = _within("word_error_rate", 0, 1, "a share of the words")


#: What an entry may have, by the capability of its model.
_KEYS_OF: Mapping[str, tuple[str, ...]] = {
    "chat": ("prompt", "messages", "max_tokens", "tools", "exact", "contains", "tool", "json"),
    "embedding": ("prompt", "nearer", "than", "vector", "cosine"),
    "transcription": ("audio", "says", "word_error_rate"),
}


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
    if any(inner.has(name) for name in _KEYS_OF["transcription"]):
        _check_audio(inner)
    elif inner.valid and bool(read["prompt"]) == bool(read["messages"]):
        inner.add("prompt", None, "is required, or messages in its place, and not both; of a transcription model audio")
    for key, other in (("nearer", "than"), ("than", "nearer")):
        if _says_nothing(inner.data.get(key)) and not _says_nothing(inner.data.get(other)):
            inner.add(key, None, f"is required for {other}: the prompt is nearer to one text than to the other one")
    if inner.valid and read["tool"] and not read["tools"]:
        inner.add("tools", None, f"is required for tool: without it the model cannot call {read['tool']}")
    if read["json"] is not None and not isinstance(read["json"], Mapping):
        inner.add("json", read["json"], "must be a JSON Schema")
    return {name: value for name, value in read.items() if value not in (None, "", [], ())}


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_audio(inner: Fields) -> None:
    if _says_nothing(inner.data.get("audio")):
        inner.add("audio", None, "is required: the path of a recording on the controller")
    said = inner.data.get("says")
    if said is None or (isinstance(said, str) and not words_of(said)):
        inner.add("says", said, "is required: the words of the recording")


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


def check_models(rollouts: Mapping[str, Mapping[str, Any]], known: Mapping[str, Model], report: Report) -> None:
    """Prompts for models that nobody declares, or that are for models of another kind. C(rollouts): by host, as they were read."""
    for host, settings in rollouts.items():
        for name, entries in settings.get("proof", {}).get("answers", {}).items():
            where = f"inference_rollout.proof.answers.{name}"
            if name not in known:
                report.add(where, name, f"is not a model of inference_models.{hint(name, known)}", [host])
            elif known[name].capability not in _KEYS_OF:
                report.add(where, name, f"is a model for {known[name].capability}, which takes no prompts of yours; take it out", [host])
            else:
                for position, entry in enumerate(entries):
                    _check_entry(f"{where}[{position}]", entry, known[name], report, [host])


def _check_entry(where: str, entry: Mapping[str, Any], model: Model, report: Report, hosts: list[str]) -> None:
    fitting = _KEYS_OF[model.capability]
    for key in entry:
        if key not in fitting:
            message = f"means nothing to a model for {model.capability}, which knows {', '.join(fitting)}; take it out"
            report.add(f"{where}.{key}", entry[key], message, hosts)
    numbers = len(entry.get("vector") or ())
    if numbers and model.dimension and numbers != model.dimension:
        message = f"must have the {model.dimension} numbers of the model's dimension"
        report.add(f"{where}.vector", f"{numbers} numbers", message, hosts)
