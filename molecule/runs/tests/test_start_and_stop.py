# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""status.yml, stop.yml and start.yml."""

from __future__ import annotations

import re

from one_gpu_node import ENGINES, UNITS, are_ready, container, measured, node, playbook, run, sh


def test_status_stop_and_start() -> None:
    table = run(playbook(name="status.yml"))
    assert table.rc == 0, table.output
    for engine in ENGINES:  # port, URL, state, uptime, restarts, memory used, GPU memory, budget, image digest
        row = rf"vllm@{engine} +\d+ +http://127\.0\.0\.1:\d+/v1 +ready +\d.*? [smhd] +\d+ +\d+ MiB +- +2(\.0)? GiB +[0-9a-f]{{12}} "
        assert re.search(row, table.output), table.output
    assert "litellm@gateway" in table.output
    assert "changed=0" in table.output
    done = run(playbook(name="stop.yml", only_service="embedding"))
    assert done.rc == 0, done.output
    assert node.run("systemctl is-active vllm@embedding").stdout.strip() == "inactive"
    assert container("vllm-embedding") == ""
    assert are_ready(*(unit for unit in UNITS if "embedding" not in unit))
    stopped = run(playbook(name="status.yml", only_service="embedding"))
    assert "stopped" in stopped.output, stopped.output
    begun = run(playbook(name="start.yml", only_service="embedding"))
    assert begun.rc == 0, begun.output
    assert are_ready("vllm@embedding.service")
    measured("status.yml, stop.yml, start.yml of one service", status=table.seconds, stop=done.seconds, start=begun.seconds)


def test_start_tells_why_an_engine_does_not_start_and_starts_the_gateway() -> None:
    sh("systemctl stop litellm@gateway.service vllm@chat-b.service vllm@embedding.service")
    sh("systemctl mask --runtime vllm@embedding.service")
    sh("systemd-run --quiet --unit=played-other python3 -m http.server --bind 127.0.0.1 8071")
    try:
        begun = run(playbook(name="start.yml"))
        assert begun.rc != 0, begun.output
        assert "vllm@embedding.service is masked" in begun.output, begun.output
        assert "vllm@chat-b.service: port_in_use (" in begun.output, begun.output
        assert "Remedy:" in begun.output
        assert are_ready("vllm@chat-a.service", "litellm@gateway.service")
        measured("start.yml with two engines that cannot start", play=begun.seconds)
    finally:
        sh("systemctl stop played-other; systemctl unmask --runtime vllm@embedding.service")
    begun = run(playbook(name="start.yml"))
    assert begun.rc == 0, begun.output
    assert are_ready(*UNITS)
