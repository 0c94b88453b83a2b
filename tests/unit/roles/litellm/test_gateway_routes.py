# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pytest
from gateway_routes import CANONICAL, MODES, Route, route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/chat/completions", Route("chat")),
        ("/chat/completions", Route("chat")),
        ("/chat/completions/", Route("chat")),
        ("/openai/v1/responses", Route("responses")),
        ("/openai/deployments/org/name/chat/completions", Route("chat", "org/name")),
        ("/engines/x/embeddings", Route("embeddings", "x")),
        ("/engines/../key/chat/completions", Route("chat", "../key")),
        ("/v1/models", Route("models")),
        ("/v1/models/org/name", Route("models", "org/name")),
        ("/v2/rerank", Route("rerank")),
        ("/v1/messages/count_tokens", Route("count_tokens")),
        ("/v1/audio/transcriptions", Route("transcription")),
        ("/openai/deployments/x/images/generations", None),
        ("//v1/chat/completions", None),
        ("/v1/../v1/chat/completions", None),
        ("/key/list", None),
        ("/", None),
    ],
)
def test_route(path: str, route: Route | None) -> None:
    assert route_of(path) == route


def test_every_route_has_one_path() -> None:
    assert all(route_of(path) == Route(kind) for kind, path in CANONICAL.items())
    assert set(MODES) == set(CANONICAL) - {"models"}
