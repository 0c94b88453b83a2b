# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is fetched before an engine starts, by the hub client of the real image from a hub in small. Needs the test bed's images."""

from __future__ import annotations

import subprocess
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from support.containers import VLLM, docker_run
from testbed.hub import Hub, Repository

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit

FILES = ("README.md", "adapter_config.json", "config.json", "model.safetensors", "tokenizer.json", "weights.bin")
TEXTS = ["adapter_config.json", "config.json", "tokenizer.json"]
REPOSITORIES = ("org/model", "org/own", "org/draft", "org/tokenizer", "org/config", "org/adapter", "org/sound")


def test_everything_that_arguments_name_is_fetched(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for file in FILES:
        (repository / file).write_text("{}")
    arguments: dict[str, Any] = {
        "speculative-config.model": "org/draft",
        "tokenizer": "org/tokenizer",
        "hf_config_path": "org/config",
        "lora-modules": ["a=org/adapter", {"name": "b", "path": "/adapters/b"}],
        "default-mm-loras": '{"audio": "org/sound"}',
        "generation-config": "./here",
    }
    adapters = {"own": "org/own", "here": "/adapters/here"}
    unit = container_unit({"name": "x", "model": "org/model", "image": "i", "port": 1, "engine_args": arguments, "adapters": adapters})
    home = tmp_path / "home"
    home.mkdir()
    hub = type("SmallHub", (Hub,), {"repositories": {name: Repository(name, repository, "") for name in REPOSITORIES}})
    with ThreadingHTTPServer(("127.0.0.1", 0), hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        argv = docker_run(VLLM, home, unit["download_entrypoint"], *unit["download_command"], environment=environment, network="host")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        server.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    cache = home / ".cache" / "huggingface" / "hub"
    found = {name: sorted(file.name for file in cache.glob(f"models--{name.replace('/', '--')}/snapshots/*/*")) for name in REPOSITORIES}
    assert found == {
        "org/model": sorted([*TEXTS, "model.safetensors"]),
        "org/own": sorted(FILES),
        "org/draft": sorted([*TEXTS, "model.safetensors"]),
        "org/tokenizer": TEXTS,
        "org/config": TEXTS,
        "org/adapter": sorted(FILES),
        "org/sound": sorted(FILES),
    }
