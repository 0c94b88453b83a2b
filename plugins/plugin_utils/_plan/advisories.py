# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Known vulnerabilities of the programs that an inventory can name a version of.

State of 20 November 2026, from osv.dev (PYSEC-, GO-), github.com/advisories (GHSA-), cve.org and NVIDIA's security bulletins. A version
that is in no range here is not therefore free of faults; the pins of this collection are in none (a test holds them to it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .platform import version_tuple

VLLM = "vLLM"
OLLAMA = "Ollama"
LITELLM = "LiteLLM"
TOOLKIT = "NVIDIA Container Toolkit"


@dataclass(frozen=True)
class Advisory:
    program: str
    identity: str
    introduced: tuple[int, ...]
    fixed: tuple[int, ...]
    what: str


def _of(program: str, *rows: tuple[str, str, str, str]) -> tuple[Advisory, ...]:
    return tuple(
        Advisory(program, identity, version_tuple(introduced) or (), version_tuple(fixed) or (), what)
        for identity, introduced, fixed, what in rows
    )


#: Worst first within a program: the message names the first that applies.
ADVISORIES: Sequence[Advisory] = (
    *_of(
        VLLM,
        ("GHSA-4r2x-xpjr-7cvv", "0.8.3", "0.14.1", "a video in a request runs code"),
        ("CVE-2025-32444", "0.6.5", "0.8.5", "anybody in the network runs code through the Mooncake connector"),
        ("CVE-2025-47277", "0.6.5", "0.8.5", "anybody in the network runs code through PyNcclPipe"),
        ("GHSA-mrw7-hf4f-83pf", "0.10.2", "0.11.1", "prompt embeddings in a request corrupt memory"),
        ("CVE-2026-27893", "0.10.1", "0.18.0", "a model runs code although trust-remote-code is off"),
        ("CVE-2026-41523", "0", "0.22.0", "a model runs code where Python is optimised"),
        ("CVE-2026-54232", "0", "0.22.1", "the image could be built with a foreign package"),
        ("CVE-2026-47155", "0", "0.22.0", "parts of a model are loaded past its pinned revision"),
        ("GHSA-3f6c-7fw2-ppm4", "0", "0.11.0", "media addresses of requests reach hosts inside the network"),
        ("GHSA-wr9h-g72x-mwhm", "0", "0.11.0", "the key can be guessed from the time of the answer"),
        ("GHSA-v97p-wpxp-px84", "0.16.0", "0.21.0", "tokens of one request get into another's, with pipeline parallelism"),
        ("GHSA-fpch-3xrf-7q96", "0.21.0", "0.28.0", "one request ends the reasoning of another"),
        ("PYSEC-2026-2303", "0.12.0", "0.24.0", "a request ends the engine"),
        ("CVE-2026-105757", "0", "0.30.0", "a request for structured output ends the engine"),
        ("PYSEC-2026-4325", "0", "0.30.0", "requests without a key use up the memory"),
        ("GHSA-x6mc-67gf-chw4", "0.24.0", "0.30.0", "a video in a request uses up the memory"),
        ("CVE-2026-105760", "0", "0.30.0", "a video in a request uses up the memory"),
        ("PYSEC-2026-4349", "0.16.0", "0.32.0", "a template in a request uses up the memory"),
        ("CVE-2026-115911", "0.19.0", "0.32.0", "a template in a request blocks the engine"),
    ),
    *_of(
        LITELLM,
        ("BerriAI/litellm#24512", "1.82.7", "1.82.9", "these releases were malware"),
        ("CVE-2026-42208", "1.81.16", "1.83.7", "requests without a key read the database"),
        ("CVE-2026-42203", "1.80.5", "1.83.7", "any client runs code in the gateway"),
        ("CVE-2026-40217", "1.81.8", "1.83.10", "the master key runs code in the gateway"),
        ("PYSEC-2026-4067", "0", "1.84.0", "MCP servers can be used without a key"),
        ("PYSEC-2026-4070", "0", "1.83.9", "any client makes the gateway ask hosts inside the network"),
    ),
    *_of(
        OLLAMA,
        ("CVE-2026-7482", "0", "0.17.1", "a model file reads the server's memory"),
        ("CVE-2025-66960", "0", "0.12.11", "a model file ends the server"),
        ("GO-2024-3245", "0", "0.1.46", "a model file reads the server's memory"),
    ),
    *_of(
        TOOLKIT,
        ("CVE-2026-24260", "0", "1.19.1", "a container gets out"),
        ("CVE-2025-23266", "0", "1.17.8", "a container gets out"),
        ("CVE-2025-23359", "0", "1.17.4", "a container gets out"),
        ("CVE-2024-0132", "0", "1.16.2", "a container gets out"),
    ),
)


def known(program: str, version: str | None) -> list[Advisory]:
    """What is known of a version; nothing of one that is not known itself."""
    numbers = version_tuple(version)
    if numbers is None:
        return []
    return [item for item in ADVISORIES if item.program == program and item.introduced <= numbers < item.fixed]


def vulnerable(program: str, version: str | None) -> str | None:
    """What a user of that version has to know, or None."""
    found = known(program, version)
    if not found:
        return None
    first, others = found[0], [item.identity for item in found[1:]]
    also = f", and {len(others)} more ({', '.join(others[:3])}{'...' if len(others) > 3 else ''})" if others else ""
    fixed = ".".join(map(str, max(item.fixed for item in found)))
    return f"{program} {str(version).lstrip('v')} is vulnerable: {first.what} ({first.identity}){also}; {fixed} and newer have the fix"
