# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""benchmark.yml on a real engine and on the gateway in front of it, which go on as they were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
SMALL = ("benchmark_requests=4", "benchmark_input_tokens=64", "benchmark_output_tokens=8")
STARTED = "docker inspect --format '{{.Name}} {{.State.StartedAt}}' vllm-chat vllm-embedding litellm-gateway"


def benchmark(play: Any, folder: Path, *given: str) -> tuple[int, str]:
    arguments = [word for value in (*SMALL, f"benchmark_report_dir={folder}", *given) for word in ("--extra-vars", value)]
    code, output = play("playbooks/benchmark.yml", "-vvv", *arguments)
    return int(code), str(output)


def test_an_engine_then_the_gateway(host: Any, play: Any, tmp_path: Path) -> None:
    before = host.check_output(STARTED)
    code, output = benchmark(play, tmp_path, "service=chat", "benchmark_concurrency=1,2")
    assert code == 0, output[-6000:]
    assert "gpuinf-default: chat: measures 4 requests, 2 at once" in output
    code, more = benchmark(play, tmp_path, "through=gateway", "benchmark_concurrency=2")
    assert code == 0, more[-6000:]

    document = json.loads((tmp_path / "benchmarks.json").read_text())
    newest = {(one["newest"]["through"], one["newest"]["model"]): one["newest"] for one in document["services"]}
    assert set(newest) >= {("engine", "chat"), ("gateway", "chat"), ("gateway", "embedding")}
    assert [step["completed"] for step in newest["engine", "chat"]["steps"]] == [4, 4]
    service = json.loads(host.file("/etc/gpu-inference/instances/vllm/chat/service.json").content_string)
    assert newest["engine", "chat"]["config_hash"] == service["config_hash"]
    assert newest["engine", "chat"]["image_digest"].startswith("sha256:")
    assert newest["gateway", "chat"]["config_hash"] not in (None, service["config_hash"])
    assert len(list(tmp_path.glob("gpuinf-default-*.json"))) == 3
    kept = host.check_output("ls /var/lib/gpu-inference/benchmarks").split()
    assert kept == ["gateway@chat", "gateway@embedding", "vllm@chat"]

    assert host.check_output(STARTED) == before
    assert "gpu-inference-benchmark" not in host.check_output("docker ps --all --format '{{.Names}}'; ls /tmp")
    for path in (SECRETS / "master_key", *(SECRETS / "engine_keys").iterdir()):
        assert path.read_text().strip() not in output + more


def test_mistakes_are_told_before_anything_is_measured(play: Any, tmp_path: Path) -> None:
    code, output = benchmark(play, tmp_path, "service=nobody", "benchmark_concurrency=none")
    assert code != 0
    assert "service = 'nobody': no such model or service; there are chat, embedding." in output
    assert "benchmark_concurrency = 'none': must be up to 8" in output
    assert "TASK [Measure" not in output
