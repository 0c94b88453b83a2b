# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from gateway_access import METRICS_PATH, PUBLIC_PATHS
from gateway_counts import JSON_PATH
from gateway_routes import CANONICAL, route_of

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.paths import why_not_free


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/embeddings/v1/embeddings",
            "/embeddings/a-b/v1/embeddings",
            "/api/embeddings",
            "/lab/tokenize",
            "/x",
            "/v1/score",
            "/v1/pooling",
        ),
        *("/tokenize", "/pooling", "/raw/key/list", "/v1/keys", "/keyring", "/a/b/mcp", "/lab/v1/rerank"),
    ],
)
def test_free(path: str) -> None:
    assert why_not_free(path) is None
    assert route_of(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *("/key/list", "/key", "/health", "/health/services", "/config/update", "/v2/key/info", "/guardrails/list", "/vllm/tokenize"),
        *("/lab/mcp", "/lab/token", "/any/v1/files", "/any/v1/files/x/content", "/embeddings", "/ui/x", "/metrics"),
        *PUBLIC_PATHS,
    ],
)
def test_of_litellm(path: str) -> None:
    assert "LiteLLM's own" in str(why_not_free(path))
    assert why_not_free(f"/raw{path}/x") is None


@pytest.mark.parametrize("before", ["", "/v1", "/v2", "/openai", "/openai/v1"])
def test_of_the_gateway(before: str) -> None:
    """What the guard takes for an inference route never reaches a raw one."""
    for path in CANONICAL.values():
        mine = before + path.removeprefix("/v1")
        if route_of(mine) is not None:
            assert why_not_free(mine) is not None, mine


@pytest.mark.parametrize("path", [JSON_PATH, METRICS_PATH])
def test_of_the_guard(path: str) -> None:
    assert "of the gateway's own" in str(why_not_free(path))
    assert why_not_free("/usages") is None


@pytest.mark.parametrize("path", ["/../x", "/x/../key/list", "/x/./y", "/x//y", "//key/list", "/", "/x/..", "/x/", "/lab/../"])
def test_not_plain(path: str) -> None:
    assert "plain path" in str(why_not_free(path))
