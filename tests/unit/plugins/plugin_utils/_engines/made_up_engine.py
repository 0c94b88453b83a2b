# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of an engine that does not exist, as test_made_up_engine.py puts it beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.base import Engine, Means, Surroundings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.dialect import Dialect

if TYPE_CHECKING:
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.choice import Choice
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.host_findings import HostFindings, Trouble
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.memory import Grant
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.model import Model, Service, Variant
    from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.task import Task


class MadeUp(Engine):
    name = "made_up"
    title = "Made-up"
    capabilities = frozenset({"chat"})
    sources = frozenset({"hub"})
    wants = "a hub id"
    container_port = 9000
    main_memory = 1024.0
    own_targets: ClassVar[Mapping[str, str]] = {}
    own_variables: ClassVar[Mapping[str, str]] = {"MADE_UP_KEY": "engine keys are generated"}
    description = "Made-up engine"
    proxied = ("/v1/generate",)
    dialect = Dialect(health_path="/live")
    fallback_image = "example/made-up:1.0"

    def arguments(
        self, told: HostFindings, model: Model, variant: Variant, service: Service, choice: Choice, version: str | None
    ) -> dict[str, Any]:
        return {}

    def gpus_needed(self, service: Service, arguments: Mapping[str, Any]) -> tuple[int, Trouble | None]:
        return 1, None

    def instance(self, around: Surroundings, members: Sequence[tuple[Task, Grant | None]]) -> dict[str, Any]:
        return around.common(members)

    def units(self, instances: Sequence[Mapping[str, Any]], means: Means) -> list[dict[str, Any]]:
        return [
            {
                "kind": self.name,
                "name": instance["name"],
                "image": instance["image"],
                "docker_arguments": ["--publish", f"127.0.0.1:{instance['port']}:{self.container_port}"],
                "networks": instance["networks"],
                "secret_environment": {"MADE_UP_KEY": means.api_key},
                "probe": {"base_url": f"http://127.0.0.1:{instance['port']}/v1", "model": instance["name"]},
                "watchdog": int(self.setting(means, "watchdog_seconds")),
            }
            for instance in instances
        ]
