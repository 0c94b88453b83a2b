# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway's part of a plan, as small as it can be, and with what a test changes in it."""

from __future__ import annotations

from typing import Any


def backend(**changes: Any) -> dict[str, Any]:
    return {
        "id": "chat-n1",
        "host": "n1",
        "engine": "vllm",
        "model": "chat",
        "container": "vllm-chat",
        "container_port": 8000,
        "url": "http://192.0.2.1:8070/v1",
        "key_variable": "ENGINE_KEY_N1",
        **changes,
    }


def model(**changes: Any) -> dict[str, Any]:
    return {"name": "chat", "capability": "chat", "backends": [backend()], **changes}


def gateway(*models: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"models": list(models or [model()]), **changes}
