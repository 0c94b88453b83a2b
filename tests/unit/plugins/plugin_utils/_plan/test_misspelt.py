# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.misspelt import find_misspelt

KNOWN = ["docker_daemon_config", "docker_source"]


@pytest.mark.parametrize(
    ("names", "strict", "expected"),
    [
        pytest.param(["docker_source"], True, [], id="known"),
        pytest.param(["docker_deamon_config"], True, ["docker_deamon_config (did you mean docker_daemon_config?)"], id="typo"),
        pytest.param(
            ["docker_deamon_config"], False, ["docker_deamon_config (did you mean docker_daemon_config?)"], id="typo-shared-prefix"
        ),
        pytest.param(["docker_users"], True, ["docker_users"], id="unknown"),
        pytest.param(["docker_users"], False, [], id="somebody-elses-role"),
        pytest.param(["docker_b", "docker_a", "docker_a"], True, ["docker_a", "docker_b"], id="sorted-and-once"),
    ],
)
def test_find_misspelt(names: list[str], strict: bool, expected: list[str]) -> None:
    assert [str(found) for found in find_misspelt(names, KNOWN, strict=strict)] == expected
