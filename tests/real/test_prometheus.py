# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Prometheus with the rendered files at the real LiteLLM and at an exporter: it is let in, has the numbers, and alerts come.

Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.gateway_folder import write_gateway
from support.local_gateway import local_gateway
from support.prometheus_server import PrometheusServer, prometheus_server

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._metrics import text_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import OWNER, Paths
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.prometheus_targets import target_of
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
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the program on a node has written of a unit that doesn't start, as node_exporter shows it, among numbers of its own."""
    folder = tmp_path_factory.mktemp("node")
    paths = Paths(instances=folder / "instances", runtime=folder / "run")
    for file, document in (
        (paths.folder("vllm", "chat") / "service.json", {"owner": OWNER, "probe": {"model": "chat"}}),
        (paths.state("vllm", "chat"), {"phase": "failed"}),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(document), encoding="utf-8")

    class Exporter(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            text = text_of({"folders": [str(folder)]}, paths, time.time(), lambda *_asked: Ran(1))
            self.wfile.write(f"node_load1 3\n{text}".encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def prometheus(gateway: str, exporter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("prometheus")
    entry = {"type": "prometheus", "path": f"{folder}/llmops.yml", "owner": "prometheus", "key": "prometheus"}
    targets = [target_of("gateway", gateway, host="gw"), target_of("node", exporter, host="n")]
    for file in render_client_files([entry], gateway_url=gateway, models=[], api_keys={"prometheus": KEY}, targets=targets):
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


def test_gateway_and_exporter_are_targets_that_let_it_in(prometheus: PrometheusServer) -> None:
    def asked() -> list[Any]:
        found = [target for target in prometheus.get("targets")["activeTargets"] if target["lastScrape"] > "0001-02"]
        return found if len(found) == 2 else []

    targets = {target["labels"]["job"]: target for target in prometheus.wait(asked)}
    assert {job: (target["health"], target["lastError"]) for job, target in targets.items()} == {
        "llmops-gateway": ("up", ""),
        "llmops-node": ("up", ""),
    }
    assert targets["llmops-gateway"]["scrapeUrl"].endswith("/usage/metrics")
    assert targets["llmops-node"]["scrapeUrl"].endswith("/metrics")
    assert set(targets["llmops-node"]["labels"]) == {"job", "instance", "host"}


def test_the_numbers_are_there(gateway: str, prometheus: PrometheusServer) -> None:
    assert ask(gateway, "well") == 200
    answered = 'llmops_gateway_requests_total{client="studio",model="well",outcome="answered"}'
    prometheus.wait(lambda: (prometheus.value(answered) or 0) >= 1)
    assert prometheus.value('llmops_gateway_time_to_first_token_seconds_count{model="well"}') == 1
    assert 0 < (prometheus.value('llmops_gateway_time_to_first_token_seconds_sum{model="well"}') or 0) < 10


def test_the_numbers_of_a_node_are_there_and_no_others(prometheus: PrometheusServer) -> None:
    prometheus.wait(lambda: prometheus.value('llmops_unit_phase{service="chat",model="chat",phase="failed",host="n"}') == 1)
    assert (prometheus.value("llmops_disk_available_bytes{job='llmops-node'} > 0") or 0) > 0
    assert prometheus.get("query", query="node_load1")["result"] == []


def test_an_alert_comes_for_the_unit_that_is_not_ready(prometheus: PrometheusServer) -> None:
    def firing() -> list[dict[str, Any]]:
        return [alert for alert in prometheus.get("alerts")["alerts"] if alert["labels"]["alertname"] == "InferenceNotReady"]

    (alert,) = prometheus.wait(lambda: [alert for alert in firing() if alert["state"] == "firing"])
    assert {name: alert["labels"][name] for name in ("kind", "service", "host", "severity")} == {
        "kind": "vllm",
        "service": "chat",
        "host": "n",
        "severity": "critical",
    }


def test_an_alert_comes_for_the_model_that_is_ill(gateway: str, prometheus: PrometheusServer) -> None:
    def firing() -> list[dict[str, Any]]:
        assert ask(gateway, "ill") >= 400
        assert ask(gateway, "well") == 200
        found = [alert for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"]
        return [alert for alert in found if alert["labels"]["alertname"].startswith("InferenceGateway")]

    (alert,) = prometheus.wait(firing)
    assert alert["labels"] == {"alertname": "InferenceGatewayErrors", "model": "ill", "severity": "critical"}
    assert alert["annotations"]["description"].startswith("100 % of the requests for ill fail")


def test_its_key_asks_no_model(gateway: str) -> None:
    for path in ("/v1/models", "/usage", "/model/info"):
        assert requests.get(gateway + path, headers={"Authorization": f"Bearer {KEY}"}, timeout=30).status_code == 403
    body = {"model": "well", "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(f"{gateway}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
