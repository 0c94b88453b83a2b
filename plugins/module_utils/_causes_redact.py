# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Takes secrets out of what is shown."""

from __future__ import annotations

import re
import typing as t

_HIDDEN = "********"
_SECRET_PATTERNS: tuple[tuple[t.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 " + _HIDDEN),
    (re.compile(r"\b(sk-)[A-Za-z0-9_-]{3,}"), r"\1" + _HIDDEN),
    # hf_config and hf_overrides are words of vLLM; a token has capitals or digits, and no underscore.
    (re.compile(r"\b(hf_)(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}"), r"\1" + _HIDDEN),
    (
        re.compile(
            r"(?i)(['\"]?\b[\w-]*(?:api[_-]?key|master[_-]?key|hf[_-]?token|hub[_-]?token|access[_-]?token|auth[_-]?token"
            r"|password|passwd|secret)\b['\"]?"
            r"\s*(?:[=:]|\s)\s*)(\[?['\"]?)(?!\*)([^\s'\",;&}\])]{4,})",
        ),
        r"\1\2" + _HIDDEN,
    ),
    (re.compile(r"\b(\w{1,30}://[^\s/:@]*:)[^\s/]+@"), r"\1" + _HIDDEN + "@"),
    # An address that is signed opens what it names to anyone.
    (
        re.compile(
            r"(?i)([?&](?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|sig|Policy|Key-Pair-Id|token|access_token|key"
            r"|api_?key|auth)=)[^\s&\"'\\<>]+"
        ),
        r"\1" + _HIDDEN,
    ),
    (re.compile(r"\b(eyJ)[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), r"\1" + _HIDDEN),
    (re.compile(r"\b(gh[opsur]_|github_pat_|glpat-|nvapi-|AKIA|AIza|xox[abp]-)[\w-]{8,}"), r"\1" + _HIDDEN),
)
_ASSIGNMENT = 3
# Words that follow "api key" in an ordinary sentence and are no secrets ("password incorrect", "api key is missing").
_KEY_ASSIGNED = re.compile(r"[=:]\s*\[?['\"]?$|--[\w-]+\s+\[?['\"]?$")


def redact(text: str, secrets: t.Iterable[str] = ()) -> str:
    """Take known secrets and all that looks like one out of a text."""
    for secret in sorted({s for s in secrets if s and len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for number, (pattern, replacement) in enumerate(_SECRET_PATTERNS):
        if number == _ASSIGNMENT:
            text = pattern.sub(lambda m: m.group(1) + m.group(2) + _HIDDEN if _KEY_ASSIGNED.search(_before(m)) else m.group(0), text)
        else:
            text = pattern.sub(replacement, text)
    return text


def _before(match: t.Match[str]) -> str:
    return match.string[max(0, match.start() - 2) : match.start()] + match.group(1) + match.group(2)
