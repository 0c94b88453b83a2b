# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.references import referenced_variables


def test_referenced_variables() -> None:
    assert referenced_variables({"a": ["os.environ/B", {"c": "Bearer os.environ/A"}], "d": 1}) == ["A", "B"]
