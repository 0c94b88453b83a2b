# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action works out from the plan's models."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.action.verify_gateway import _is_required


@pytest.mark.parametrize(
    ("model", "required"),
    [
        ({"name": "chat"}, True),
        ({"name": "chat", "backends": [{"host": "gpu01", "health": True}]}, True),
        ({"name": "chat", "backends": [{"external": "elsewhere", "health": False}]}, False),
        ({"name": "chat", "backends": [{"external": "elsewhere", "health": False}, {"host": "gpu01", "health": True}]}, True),
    ],
)
def test_only_a_model_of_external_servers_that_are_not_required_may_be_down(model: dict[str, Any], required: bool) -> None:
    assert _is_required(model) is required
