# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that cannot start: the play fails with the cause, and the neighbours go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

import pytest
from one_gpu_node import ENGINES, MODELS, SERVICES, chat, key, lock_is_free, measured, module, node, pid, sh, site, state, until, url, write


@dataclass(frozen=True)
class Broken:
    cause: str
    line: str  # of the engine's or Docker's own words
    service: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    limit: float = 15.0  # seconds from the cause to the end of the play
    permanent: bool = False


BROKEN = {
    "missing-image": Broken(
        "image_missing",
        "not found",
        model={"image": "registry.testbed:5000/vllm/vllm-openai:v0.0.1", "engine_version": "0.32.0"},
        permanent=True,
    ),
    "registry-down": Broken(
        "registry_down", "refused", model={"image": "127.0.0.1:5999/vllm/vllm-openai:v0.32.0", "engine_version": "0.32.0"}
    ),
    "unknown-path": Broken("bad_model", "/srv/models/nothing", model={"source": "/srv/models/nothing"}, permanent=True),
    "kv-cache": Broken("kv_cache_too_small", "KV cache", service={"env": {"TINY_KV": "8K"}}, permanent=True),
    "context": Broken("context_too_long", "max_model_len", service={"max_model_len": 1000000}, permanent=True),
    # With worker processes of its own, as for tensor parallelism: a single worker shares no memory.
    "shared-memory": Broken(
        "shared_memory",
        "Insufficient space in /dev/shm",
        service={"shm_size": "1m", "engine_args": {"distributed-executor-backend": "mp"}},
        permanent=True,
    ),
    "memory-kill": Broken("out_of_memory", "", service={"container_extra_arguments": ["--memory", "200m", "--memory-swap", "200m"]}),
    # Docker finds it when it starts the container, and its last line does not say so.
    "mount": Broken(
        "bad_flag",
        "docker start failed: Error response from daemon: error while creating mount source path '/proc/nothing'",
        service={"container_extra_arguments": ["--volume", "/proc/nothing:/nothing"]},
        permanent=True,
    ),
}


def with_broken(case: Broken) -> dict[str, Any]:
    return {
        "inference_models": {**MODELS, "broken": {"source": "/srv/models/tiny-chat", "max_model_len": 2048, **case.model}},
        "inference_services": [*SERVICES, {"model": "broken", "port": 8099, "memory": "2GiB", **case.service}],
    }


def test_an_old_process_on_the_port_is_never_taken_for_the_service() -> None:
    """It answers like the service: health, model list, chat. The service's own container cannot get the port."""
    program = """
import http.server, json
class Old(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        message = {"role": "assistant", "content": "I am old."}
        body = json.dumps({"object": "list", "data": [{"id": "broken", "object": "model"}], "choices": [{"message": message}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Old).serve_forever()
"""
    write("/tmp/old.py", program)
    sh("systemd-run --quiet --unit=played-old python3 /tmp/old.py")
    try:
        endpoint = {"name": "old", "base_url": "http://127.0.0.1:8099/v1", "model": "broken"}
        until("the old process answers", lambda: not module("endpoint_ready", endpoints=[endpoint], timeout=5)[0]["failed"], 60)
        done = site(**with_broken(Broken("port_in_use", "")))
        failure = state("broken").get("last_failure") or {}
        assert done.rc != 0, done.output
        assert "): port_in_use\n" in done.output, done.output
        assert "older or foreign process" in done.output or "8099" in done.output
        measured("port-taken, old process answers (port_in_use)", from_the_cause_to_the_end_of_the_play=done.ended - failure["at"])
        result, waited = module("endpoint_ready", endpoints=[{**endpoint, "unit": "vllm@nobody.service"}], timeout=60, progress=False)
        assert result["failed"], result
        assert ": stale_server\n" in result["msg"], result["msg"]
        measured("stale process (stale_server)", until_the_module_failed=waited)
    finally:
        sh("systemctl stop played-old")
    # Now that the port is free the service would come up, and the next one would be a change of what serves.
    done = site()
    assert done.rc == 0, done.output


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_service_that_cannot_start_fails_the_play_with_its_cause(name: str) -> None:
    case = BROKEN[name]
    before = {engine: pid(f"vllm@{engine}.service") for engine in ENGINES}
    done = site(**with_broken(case))
    after = state("broken").get("last_failure") or {}
    assert done.rc != 0, done.output
    assert f"): {case.cause}\n" in done.output, done.output
    assert "Remedy:" in done.output
    assert case.line in done.output
    assert after.get("cause") == case.cause, after
    assert case.line in after["message"] or name != "mount", after
    assert done.ended - after["at"] < case.limit

    def shown() -> dict[str, str]:
        properties = sh("systemctl show -p ActiveState,NRestarts,StatusText vllm@broken")
        return dict(line.split("=", 1) for line in properties.splitlines())

    # systemd forgets the text for the moment in which it starts a unit again.
    until("systemctl status tells the cause", lambda: case.cause in shown()["StatusText"], 30)
    assert node.run(f"journalctl --no-pager -t vllm-broken | grep -F {shlex.quote('launcher: ' + case.cause)}").rc == 0
    if case.permanent:
        until("given up", lambda: shown()["ActiveState"] == "failed", 30)
        assert shown()["NRestarts"] == "0"
    else:
        assert shown()["ActiveState"] != "failed", "it was to be tried again"
        # The next case is a new service too, and not a change of one that runs for seconds, again and again.
        sh("systemctl stop vllm@broken")
    assert before == {engine: pid(f"vllm@{engine}.service") for engine in ENGINES}, "a neighbour was touched"
    assert chat(url(), key()).status_code == 200
    until("lock free", lock_is_free)  # one that is tried again may hold it just now
    measured(f"{name} ({case.cause})", from_the_cause_to_the_end_of_the_play=done.ended - after["at"], play=done.seconds)
