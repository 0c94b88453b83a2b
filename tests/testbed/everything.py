# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of the bed at once, and none of it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from testbed import engine, images, models, real_models, registry, settings
from testbed.shell import capture, say

MODELS_WITH: dict[str, Callable[[], None]] = {"llama-cpp": real_models.ensure_smollm2_gguf}
"""Models of a form of its own that come with a published image."""


def up(
    suites: Iterable[str] = ("trixie",),
    published: Collection[str] = ("vllm", "litellm"),
    make_models: Callable[[], None] = models.ensure,
) -> None:
    """Engine, node images, registry with the published images, models: each step as soon as what it needs is there."""
    engine.ensure()
    with ThreadPoolExecutor(max_workers=8) as pool:
        shop = pool.submit(registry.start)

        def publish(recipe: str) -> None:
            images.ensure_one(recipe)
            shop.result()
            registry.publish(recipe)

        steps: list[Future[Any]] = [pool.submit(images.ensure_one, f"node-{suite}") for suite in suites]
        steps += [pool.submit(publish, recipe) for recipe in published]
        steps += [pool.submit(MODELS_WITH[recipe]) for recipe in published if recipe in MODELS_WITH]
        steps += [shop, pool.submit(make_models)]
        for step in steps:
            step.result()


def clean(*, with_images: bool) -> None:
    """Remove what carries the bed's label, stop the engine that it started, and with_images also all that was built."""
    engine.wake()
    if engine.answers():
        _remove(["ps", "--all", "--quiet"], ["rm", "--force", "--volumes"], "container")
        _remove(["volume", "ls", "--quiet"], ["volume", "rm"], "volume")
        _remove(["network", "ls", "--quiet"], ["network", "rm"], "network")
        if with_images:
            _remove(["image", "ls", "--quiet"], ["image", "rm", "--force"], "image")
    engine.stop()
    if with_images and settings.STATE.exists():
        say(f"clean: removing {settings.STATE}")
        for left_over in [*settings.STATE.glob("build-*"), *settings.STATE.glob("rootfs/*")]:
            images.remove_tree(left_over)
        shutil.rmtree(settings.STATE)


def _remove(list_command: list[str], remove_command: list[str], kind: str) -> None:
    lines = capture(["docker", *list_command, "--filter", f"label={settings.LABEL}=1"]).split()
    found = list(dict.fromkeys(lines))
    if found:
        capture(["docker", *remove_command, *found], timeout=300)
        say(f"clean: {len(found)} {kind}{'s' if len(found) > 1 else ''} removed")
