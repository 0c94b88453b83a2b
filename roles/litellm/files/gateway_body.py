# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The body of a request as the gateway reads it: one JSON object that every program behind reads the same way. Needs no LiteLLM."""

from __future__ import annotations

import json
import typing as t

#: Levels of lists and objects. Schemas of tools have a dozen; Python's own limit is a thousand.
MAX_DEPTH = 100


class BodyError(ValueError):
    """A body that is not one plain JSON object."""


def _no_constant(name: str) -> t.NoReturn:
    raise BodyError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BodyError(f"the name {twice[:60]!r} is given twice in one object")
    return found


def _check_depth(value: t.Any) -> None:
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [item for node in level for item in (node.values() if isinstance(node, dict) else node) if isinstance(item, (dict, list))]
        if not level:
            return
    raise BodyError(f"it is nested more than {MAX_DEPTH} levels deep")


def parse_object(raw: bytes) -> dict[str, t.Any]:
    """The JSON object in ``raw``. Raise BodyError for what parsers read in different ways: names given twice, NaN, lone surrogates."""
    if not raw.strip():
        raise BodyError("the body is empty; send a JSON object")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise BodyError("the body is not UTF-8") from None
    except RecursionError:
        raise BodyError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except BodyError:
        raise
    except ValueError as error:
        raise BodyError(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BodyError("the body must be a JSON object")
    _check_depth(value)
    return value


def write_object(body: t.Mapping[str, t.Any]) -> bytes:
    """The bytes that LiteLLM gets: nothing in them is read in two ways."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BodyError("the body holds half a character (a lone surrogate)") from None
    except ValueError:
        raise BodyError("the body holds a number that is too large") from None
