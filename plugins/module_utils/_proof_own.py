# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a user says must hold of an engine's answers: of a text, of a vector, of what is heard in a recording."""

from __future__ import annotations

import json
import math
import typing as t
import unicodedata
from collections.abc import Mapping, Sequence

from ansible_collections.llmops.gpu_inference.plugins.module_utils._proof_interview import Bounds, Measured

#: Share of the words of a recording that may be heard wrong, where its user says nothing else.
WORD_ERRORS = 0.2


def unmet(own: Sequence[Mapping[str, t.Any]], after: Measured, bounds: Bounds) -> list[str]:
    """What does not hold, of each answer one."""
    answers, vectors = after["answers"], after.get("capability") == "embedding"
    told = []
    for number, one in enumerate(own):
        wrong = _unmet_by_vector(one, answers, bounds) if vectors else _unmet_by_answer(one, answers.get(f"own {number + 1}"))
        if wrong:
            named = str(one.get("prompt") or one.get("messages") or str(one.get("audio")).rpartition("/")[2])[:60]
            told.append(f"the {'vector of' if vectors else 'answer to'} {named!r}: {wrong}")
    return told


def _unmet_by_answer(one: Mapping[str, t.Any], answer: Mapping[str, t.Any] | None) -> str:
    if answer is None:  # not asked, since another one failed
        return ""
    return str(answer["error"]) if "error" in answer else _unmet(one, str(answer["text"]), answer.get("tool"))


def _unmet_by_vector(one: Mapping[str, t.Any], answers: Mapping[str, Mapping[str, t.Any]], bounds: Bounds) -> str:
    """Nothing where there is no vector: that its request failed is told already."""
    mine, nearer, than = (answers.get(str(one.get(key)), {}).get("vector") for key in ("prompt", "nearer", "than"))
    wanted = one.get("vector")
    if mine and wanted:
        if len(mine) != len(wanted):
            return f"it has {len(mine)} numbers, and yours {len(wanted)}"
        alike, bound = cosine(mine, wanted), one.get("cosine", bounds.cosine)
        if not alike >= bound:
            return f"cosine {alike:.3f} with yours, below {bound:g}"
    if mine and nearer and than:
        near, far = cosine(mine, nearer), cosine(mine, than)
        if not near > far:
            return f"it is no nearer to {str(one['nearer'])[:60]!r} (cosine {near:.3f}) than to {str(one['than'])[:60]!r} ({far:.3f})"
    return ""


def _unmet(one: Mapping[str, t.Any], text: str, tool: str | None) -> str:
    shown = repr(text[:80])
    if one.get("exact") is not None and text.strip() != str(one["exact"]).strip():
        return f"is {shown} and not exactly {str(one['exact'])[:60]!r}"
    if one.get("contains") is not None and str(one["contains"]).lower() not in text.lower():
        return f"{shown} does not contain {str(one['contains'])[:60]!r}"
    if one.get("tool") is not None and tool != one["tool"]:
        return f"calls {tool or 'no tool'} and not {one['tool']}"
    if one.get("says") is not None:
        rate, most = word_error_rate(str(one["says"]), text), one.get("word_error_rate", WORD_ERRORS)
        if rate > most:
            return f"{shown} has a word error rate of {rate:.2f}, above {most:g}"
    if one.get("json") is not None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return f"{shown} is no JSON"
        return mismatch(document, one["json"])
    return ""


def words_of(text: str) -> list[str]:
    """In small letters and without punctuation. Chinese and Japanese are written without blanks: there each sign is a word."""
    signs = []
    for sign in unicodedata.normalize("NFKC", text).casefold():
        if sign in "'\N{RIGHT SINGLE QUOTATION MARK}":
            continue
        if "\u3040" <= sign <= "\u30ff" or "\u3400" <= sign <= "\u9fff":
            signs.append(f" {sign} ")
        else:
            signs.append(" " if unicodedata.category(sign)[0] in "PSZ" else sign)
    return "".join(signs).split()


def word_error_rate(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    wanted, got = words_of(said), words_of(heard)
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        corner, row[0] = row[0], number
        for column, other in enumerate(got, 1):
            corner, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, corner + (word != other))
    return row[-1] / max(1, len(wanted))


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def mismatch(value: t.Any, schema: Mapping[str, t.Any], where: str = "the answer") -> str:
    """What does not fit a JSON Schema, by its C(type), C(enum), C(required), C(properties) and C(items)."""
    wanted = schema.get("type")
    names = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    if names and not any(isinstance(value, _TYPES.get(name, ())) and (name == "boolean" or not isinstance(value, bool)) for name in names):
        return f"{where} is not of type {' or '.join(map(str, names))}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is not one of {schema['enum']}"
    if isinstance(value, dict):
        for name in schema.get("required") or ():
            if name not in value:
                return f"{where} lacks {name!r}"
        for name, inner in (schema.get("properties") or {}).items():
            found = mismatch(value[name], inner, f"{where}.{name}") if name in value else ""
            if found:
                return found
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for position, item in enumerate(value):
            found = mismatch(item, schema["items"], f"{where}[{position}]")
            if found:
                return found
    return ""


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norm = math.sqrt(sum(value * value for value in one)) * math.sqrt(sum(value * value for value in other))
    return sum(a * b for a, b in zip(one, other)) / norm if norm and len(one) == len(other) else 0.0
