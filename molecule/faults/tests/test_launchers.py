# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launchers that are killed, hang or are upgraded: the next one adopts the container."""

from __future__ import annotations

import json
import time

from one_gpu_node import (
    ENGINES,
    UNITS,
    all_ready,
    are_ready,
    container,
    do_not_overlap,
    freeze,
    lock_is_free,
    measured,
    now,
    one_copy,
    pid,
    playbook,
    run,
    sh,
    site,
    starts_since,
    state,
    until,
)


def test_a_launcher_that_hangs_is_noticed_in_every_phase() -> None:
    """One serves, one loads. Both are killed by systemd within two minutes, and adopted."""
    began = now()
    sh("systemctl restart --no-block vllm@chat-b.service")
    until("chat-b loads", lambda: state("chat-b").get("loading") is True and state("chat-b").get("pid") == pid("vllm@chat-b.service") != 0)
    freeze("vllm-chat-b")
    units = ("vllm@chat-a.service", "vllm@chat-b.service")
    before = {unit: (pid(unit), container(unit[: -len(".service")].replace("@", "-"))) for unit in units}
    sh("kill -STOP " + " ".join(str(process) for process, _container in before.values()))
    noticed = {
        unit: until(f"{unit} has another process", lambda unit=unit, process=process: pid(unit) not in (0, process))  # type: ignore[misc]
        for unit, (process, _container) in before.items()
    }
    sh("kill -CONT $(docker top vllm-chat-b -eo pid | tail -n +2)")
    all_ready()
    assert {unit: container(unit[: -len(".service")].replace("@", "-")) for unit in units} == {
        unit: kept for unit, (_process, kept) in before.items()
    }
    assert max(noticed.values()) < 120, noticed
    assert "_engine_watch.py" in sh(f"journalctl --no-pager --since=@{int(began)} -t vllm-chat-a -g 'in serve'"), (
        "it does not say where it hung"
    )
    assert lock_is_free()
    measured("launchers hung (SIGSTOP), one serves, one loads", serving=noticed[units[0]], loading=noticed[units[0]] + noticed[units[1]])


def test_a_launcher_killed_while_serving_adopts_its_container() -> None:
    old, process = container("vllm-chat-b"), pid("vllm@chat-b.service")
    sh(f"kill -9 {process}")
    seconds = until("a new launcher", lambda: pid("vllm@chat-b.service") not in (0, process) and are_ready("vllm@chat-b.service"))
    assert container("vllm-chat-b") == old
    assert lock_is_free()
    measured("launcher killed while serving", ready_again_after=seconds)


def test_an_upgraded_launcher_adopts_its_container() -> None:
    """Played backwards: one launcher runs an older program, and site.yml installs the one that the others run."""
    before = [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES]

    def programs() -> dict[str, str]:
        return {name: state(name).get("program_hash", "") for name in ENGINES}

    installed = programs()["chat-a"]
    sh("echo '# older' >> /usr/local/lib/gpu-inference/_progress.py && systemctl reload vllm@chat-b.service")
    until("chat-b runs the older program", lambda: programs()["chat-b"] not in ("", installed), 60)
    began = now()
    done = run(playbook())
    assert done.rc == 0, done.output
    until("all run the installed program", lambda: set(programs().values()) == {installed}, 60)
    adopted = sh(f"journalctl --no-pager --since=@{int(began)} -o json -g 'launcher: adopts' --output-fields=SYSLOG_IDENTIFIER")
    assert {json.loads(line)["SYSLOG_IDENTIFIER"] for line in adopted.splitlines()} == {"vllm-chat-b"}
    assert [(container(f"vllm-{name}"), pid(f"vllm@{name}.service")) for name in ENGINES] == before
    assert are_ready(*UNITS)
    assert "changed=0" in site().output
    measured("launcher upgraded by site.yml", play=done.seconds, restarts=0)


def test_a_launcher_killed_while_loading_adopts_its_container() -> None:
    began = now()
    sh("systemctl restart --no-block vllm@chat-b.service vllm@rerank.service")

    def loading() -> bool:
        return state("chat-b").get("loading") is True and state("chat-b").get("pid") == pid("vllm@chat-b.service") != 0

    until("chat-b loads", loading)
    time.sleep(1)
    process, old = pid("vllm@chat-b.service"), container("vllm-chat-b")
    sh(f"kill -9 {process}")
    seconds = all_ready()
    assert container("vllm-chat-b") == old, "the loading container was not adopted"
    assert one_copy("vllm-chat-b")
    spans = starts_since(began)
    assert len(spans) == 2, spans
    assert do_not_overlap(spans), spans
    assert lock_is_free()
    measured("launcher killed while loading, a neighbour waits", all_ready_after=seconds)
