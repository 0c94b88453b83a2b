# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry is away, Docker restarts, the node is rebooted. The last one leaves a service with other variables."""

from __future__ import annotations

import threading
import time

import requests
from one_gpu_node import (
    ENGINES,
    NODE,
    UNITS,
    all_ready,
    are_ready,
    chat,
    container,
    do_not_overlap,
    docker,
    key,
    lock_is_free,
    measured,
    node,
    now,
    pid,
    sh,
    site,
    starts_since,
    until,
    url,
    variant,
    write,
)


def test_an_image_that_is_there_needs_no_registry() -> None:
    hosts = sh("cat /etc/hosts")
    write("/etc/hosts", hosts + "\n127.0.0.1 registry.testbed\n")
    try:
        began = time.monotonic()
        done = site(**variant(2, pull="always"))
        assert done.rc == 0, done.output
        assert "cannot pull" in sh("journalctl --no-pager -t vllm-embedding -g 'launcher: cannot pull'")
        measured("registry down, image present: starts", play=time.monotonic() - began)
    finally:
        write("/etc/hosts", hosts + "\n")


def test_a_restart_of_docker_costs_nothing() -> None:
    before = [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES]
    asked, failed, done = [0], [], threading.Event()
    address = url()

    def ask() -> None:
        while not done.is_set():
            asked[0] += 1
            try:
                status = str(chat(address, key()).status_code)
            except requests.RequestException as error:
                status = type(error).__name__
            if status != "200":
                failed.append((time.monotonic(), status))

    client = threading.Thread(target=ask)
    client.start()
    time.sleep(2)
    sh("systemctl restart docker")
    seconds = all_ready()
    time.sleep(5)
    done.set()
    client.join()
    assert [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES] == before
    assert chat(url(), key()).status_code == 200
    lasted = failed[-1][0] - failed[0][0] if failed else 0.0
    assert lasted < 30, failed
    kinds = ", ".join(sorted({status for _at, status in failed})) or "none"
    measured(
        "Docker daemon restarted", all_ready_after=seconds, restarts=0, requests=asked[0], failed=len(failed), of_kind=kinds, within=lasted
    )


def test_a_rebooted_node_comes_back_in_order() -> None:
    began = now()
    docker("restart", "--time", "60", NODE)
    until("systemd answers", lambda: node.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"), 120)
    booted = now() - began
    assert not are_ready(*UNITS), "the boot waited for the models"
    seconds = booted + all_ready()
    spans = [span for span in starts_since(began) if span[0] >= began]
    assert sorted(span[2] for span in spans) == sorted(f"vllm-{name}" for name in ENGINES), spans
    assert do_not_overlap(spans), spans
    assert lock_is_free()
    until("the gateway serves", lambda: chat(url(), key()).status_code == 200, 120)
    measured("reboot, four engines on one lock", system_up=booted, all_ready_after=seconds, starts=len(spans), overlaps=0)
