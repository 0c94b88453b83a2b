# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fetches what instances will need at their next start, images and models, while whatever runs goes on serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import TIMEOUT, download
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_images import not_pulled
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import with_remedy
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted


@dataclass
class Fetched:
    """What was fetched, or would be: images by name, models by the instance that they are for."""

    images: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.images or self.models)


def prefetch(wanted: Sequence[Wanted], docker: Docker, *, check_mode: bool = False) -> Fetched:
    """Pulls each image that is missing (all with C(always)), then runs each download. One that fails does not stop the others."""
    fetched = Fetched()
    absent = set()
    for image, policy in dict.fromkeys((item.image, item.pull) for item in wanted):
        present = docker.image_id(image)
        if present is not None and (policy != "always" or check_mode):
            continue
        if policy == "never":
            absent.add(image)
            fetched.failures.append(f"image {image} is not on this host, and pull is 'never'")
            continue
        if not check_mode:
            problem = docker.pull(image, TIMEOUT)
            if problem:
                absent.add(image)
                fetched.failures.append(not_pulled(image, problem))
                continue
            if docker.image_id(image) == present:
                continue
        fetched.images.append(image)
    if check_mode:
        # What of a model is missing only the hub knows.
        return fetched
    for item in wanted:
        if item.image not in absent:
            _download(item, docker, fetched)
    return fetched


def _download(item: Wanted, docker: Docker, fetched: Fetched) -> None:
    found, anything = download(item, docker)
    if found is not None:
        fetched.failures.append(with_remedy(f"{item.instance}: {found.cause}: {found.message}", found))
    elif anything:
        fetched.models.append(item.instance)
