# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run without changes costs what its tasks cost, so there is a bound to their number."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.run_cost import Cost, count, table
from support.local_play import playbook
from support.repository import ROOT

#: Tasks that --list-tasks shows of site.yml. What is included where there is something to do is not among them, and costs a line where
#: there is not. Whoever adds a task to every run sees this test fail, and asks whether one that is there could do it.
MOST = 54


@pytest.mark.slow
def test_the_tasks_of_every_run_are_few(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    groups = ", ".join(f"{name}: {{hosts: {{a: }}}}" for name in ("inference_nodes", "gateways", "inference_clients"))
    inventory.write_text(f"{{{groups}}}", encoding="utf-8")
    done = playbook(tmp_path, str(ROOT / "playbooks/site.yml"), "-i", str(inventory), "--list-tasks")
    assert done.returncode == 0, done.stderr
    tasks = re.findall(r"^      (\S.*)\tTAGS: ", done.stdout, re.MULTILINE)
    assert 0.8 * MOST < len(tasks) <= MOST, "\n".join(tasks)


def test_a_proxy_that_is_there_adds_few_tasks(tmp_path: Path) -> None:
    """The role that most hosts do not need is included, so it is not among those above. What installs nginx is included by it in turn."""
    play = tmp_path / "play.yml"
    play.write_text("- {hosts: all, gather_facts: false, roles: [llmops.gpu_inference.node_proxy]}\n", encoding="utf-8")
    done = playbook(tmp_path, str(play), "-i", "a,", "--list-tasks")
    assert done.returncode == 0, done.stderr
    assert 0 < done.stdout.count("TAGS: []") - 1 <= 4, done.stdout


def test_what_the_benchmark_counts() -> None:
    shown = "PLAY [x] ***\n\nTASK [llmops.gpu_inference.docker : Look] ***\nok: [a]\n\nTASK [Keys] ***\nskipping: [a]\n"
    headers, lines, skipping, roles = count(shown)
    assert (headers, lines, skipping) == (2, 7, 1)
    assert roles == {"docker": 1, "(no role)": 1}


def test_the_table_of_the_benchmark_has_the_floor_beside_it() -> None:
    site, ping = Cost(46, 177, 11, 6.0, 30.0, 0, Counter()), Cost(10, 36, 0, 1.5, 10.0, 2, Counter())
    _head, first, second = table({"site.yml": site, "ping": ping}, ping)
    assert first.split() == ["site.yml", "46", "177", "11", "6.0", "4.0", "30.0"]
    assert second.endswith("10.0  failed with 2")
