# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Prometheus of a test's own, on loopback, that asks every second."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from support.ollama import free_port
from support.programs import installed


@dataclass(frozen=True)
class PrometheusServer:
    url: str
    log: Path

    def get(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def value(self, query: str) -> float | None:
        """Of the one series that a query finds."""
        found = self.get("query", query=query)["result"]
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def wait(self, until: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = until()
            except requests.ConnectionError:
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.3)


@contextmanager
def prometheus_server(folder: Path, jobs: Path, rules: Path) -> Iterator[PrometheusServer]:
    """With these jobs in its own file: that of Debian 12 cannot be told of another one."""
    port, log = free_port(), folder / "prometheus.log"
    config: Mapping[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        **yaml.safe_load(jobs.read_text(encoding="utf-8")),
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    options = {"config.file": "prometheus.yml", "storage.tsdb.path": "data", "web.listen-address": f"127.0.0.1:{port}"}
    with log.open("w") as stream:
        argv = [installed("prometheus"), *(f"--{name}={value}" for name, value in options.items())]
        server = subprocess.Popen(argv, cwd=folder, stdout=stream, stderr=stream)
    try:
        yield PrometheusServer(f"http://127.0.0.1:{port}", log)
    finally:
        server.terminate()
        server.wait(30)
