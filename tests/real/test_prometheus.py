# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Prometheus with the rendered files at the real LiteLLM: it is let in, has the numbers, and an alert comes.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway
from support.prometheus_server import PrometheusServer, prometheus_server

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import render_client_files
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.client_limits import client_limits

MASTER, STUDIO, KEY = "sk-master-0123456789abcdef", "sk-studio-0123456789abcdef", "sk-prometheus-0123456789ab"


class Engine(http.server.BaseHTTPRequestHandler):
    """Streams for the model that is well, and fails for the other one."""

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        events = [
            {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        self.send_response(200 if body["model"] == "well" else 500)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = {"host": "n", "engine": "vllm", "url": f"http://127.0.0.1:{server.server_address[1]}/v1"}
    plan = {
        "models": [{"name": name, "backends": [{**place, "id": f"{name}-n", "model": name}]} for name in ("well", "ill")],
        "client_limits": {"prometheus": {"models": [], "metrics": True}},
    }
    keys = {"prometheus": KEY, "studio": STUDIO}
    environment = write_gateway(folder, plan, master_key=MASTER, client_keys=keys, client_limits=client_limits(plan))
    with local_gateway(folder, environment) as serving:
        serving.wait()
        yield serving.url
    server.shutdown()


@pytest.fixture(scope="module")
def prometheus(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("prometheus")
    entry = {"type": "prometheus", "path": f"{folder}/llmops.yml", "owner": "prometheus", "key": "prometheus"}
    for file in render_client_files([entry], gateway_url=gateway, models=[], api_keys={"prometheus": KEY}):
        Path(file["path"]).write_text(file["content"], encoding="utf-8")
    rules = folder / "llmops.rules.yml"
    # The rules as they are but for their minutes, which are seconds here.
    text = re.sub(r"\b(\d+)m\b", lambda found: f"{max(1, int(found[1]) // 2)}s", rules.read_text(encoding="utf-8"))
    rules.write_text(text, encoding="utf-8")
    with prometheus_server(folder, folder / "llmops.yml", rules) as server:
        yield server


def ask(gateway: str, model: str) -> int:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(f"{gateway}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {STUDIO}"}, timeout=60)
    assert model == "ill" or "Hello" in answer.text
    return answer.status_code


def test_the_gateway_is_a_target_that_lets_it_in(prometheus: PrometheusServer) -> None:
    (target,) = prometheus.wait(lambda: [one for one in prometheus.get("targets")["activeTargets"] if one["lastScrape"] > "0001-02"])
    assert (target["health"], target["lastError"], target["labels"]["job"]) == ("up", "", "llmops-gateway")
    assert target["scrapeUrl"].endswith("/usage/metrics")
    assert set(target["labels"]) == {"job", "instance"}


def test_the_numbers_are_there(gateway: str, prometheus: PrometheusServer) -> None:
    assert ask(gateway, "well") == 200
    answered = 'llmops_gateway_requests_total{client="studio",model="well",outcome="answered"}'
    prometheus.wait(lambda: (prometheus.value(answered) or 0) >= 1)
    assert prometheus.value('llmops_gateway_time_to_first_token_seconds_count{model="well"}') == 1
    assert 0 < (prometheus.value('llmops_gateway_time_to_first_token_seconds_sum{model="well"}') or 0) < 10


def test_an_alert_comes_for_the_model_that_is_ill(gateway: str, prometheus: PrometheusServer) -> None:
    def firing() -> list[dict[str, Any]]:
        assert ask(gateway, "ill") >= 400
        assert ask(gateway, "well") == 200
        return [alert for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"]

    (alert,) = prometheus.wait(firing)
    assert alert["labels"] == {"alertname": "InferenceGatewayErrors", "model": "ill", "severity": "critical"}
    assert alert["annotations"]["description"].startswith("100 % of the requests for ill fail")


def test_its_key_asks_no_model(gateway: str) -> None:
    for path in ("/v1/models", "/usage", "/model/info"):
        assert requests.get(gateway + path, headers={"Authorization": f"Bearer {KEY}"}, timeout=30).status_code == 403
    body = {"model": "well", "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(f"{gateway}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
