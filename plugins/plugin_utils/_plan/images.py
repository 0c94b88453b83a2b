# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Names of images: what a tag tells of the version, and whether it may be another image tomorrow."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .findings import Report

LITELLM_IMAGE = "ghcr.io/berriai/litellm:v1.110.2"

_FLOATING = re.compile(r"(^|[-_.])(latest|main|master|nightly|edge|dev|main-stable|stable)($|[-_.])")
_COMMIT = re.compile(r"-[0-9a-f]{7,40}$")
#: LiteLLM's releases are also tagged v1.83.7-stable and main-v1.83.7-stable.
_RELEASE = re.compile(r"(?:main-)?v?[0-9]+\.[0-9]+\.[0-9]+(?:-stable)?")


def repository(image: str) -> str:
    name = image.split("@", 1)[0]
    head, separator, tail = name.rpartition(":")
    return head if separator and "/" not in tail else name


def tag(image: str) -> str:
    name = image.split("@", 1)[0]
    rest = name[len(repository(image)) :]
    return rest[1:]


def is_floating(image: str) -> bool:
    """Whether the same name may be another image tomorrow."""
    if "@sha256:" in image:
        return False
    label = tag(image)
    if not label:
        return True
    return bool(_FLOATING.search(label)) and not _COMMIT.search(label) and not _RELEASE.fullmatch(label)


def version_in(image: str) -> str | None:
    """The version as the tag tells it, or None."""
    match = re.search(r"(?:^|[-_v])(\d+\.\d+(?:\.\d+)?)(?=$|[-+._a-z])", tag(image))
    return match[1] if match else None


def check_floating(image: str, where: str, allowed: bool, report: Report, hosts: Sequence[str]) -> None:
    if not allowed and is_floating(image):
        report.add(
            where,
            image,
            "the tag may be another image tomorrow; name a release or a digest (name@sha256:...), or set "
            "inference_allow_floating_tags: true",
            hosts,
        )
