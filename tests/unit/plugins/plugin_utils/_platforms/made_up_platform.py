# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of a platform that does not exist, as test_made_up_platform.py puts it beside the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._platforms.base import Access, Platform, Reserve

if TYPE_CHECKING:
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.base import Engine
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import Hardware

_IMAGES = {"vllm": "example/vllm-made-up:1.0"}


class MadeUp(Platform):
    name = "made_up"
    title = "Made-up"
    described = "a made-up machine"
    toolkit = False
    prefers = "ollama"
    gpu_reserve = Reserve(0.25)
    ways = (Access("made_up", lambda gpus: [f"--device=/dev/made-up{gpu}" for gpu in gpus], lambda gpus: {"MADE_UP": ",".join(gpus)}),)

    def image(self, engine: Engine, hardware: Hardware | None) -> tuple[str | None, str]:
        return _IMAGES.get(engine.name), f"there is no image of {engine.title} for {self.title}; name one in inference_images"

    def warnings(self, hardware: Hardware) -> Iterable[str]:
        if hardware.driver_version is None:
            yield "the made-up driver is not known"
