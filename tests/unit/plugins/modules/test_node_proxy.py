# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy of a node on a host that is played; the distribution's nginx reads its configuration in tests/unit/roles/test_node_proxy.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.module_arguments import patch_module_args

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.modules import node_proxy

Run = Callable[..., dict[str, Any]]
UNIT = "gpu-inference-proxy.service"
LISTEN = ["192.0.2.20:8070", "192.0.2.20:8071"]
KEY = "Sk-0123456789abcdef"
FIRST = {"keys-0123456789abcdef.conf": f"{KEY}\n"}
SECOND = {"keys-fedcba9876543210.conf": f"{KEY}x\n"}
#: What is asked in each run of a proxy that runs.
QUESTIONS = ["systemctl show", "sha256sum --check", "ss -Hltnp", "systemctl --quiet"]


class Host:
    """Its systemd runs what the unit says: at a start and a reload nginx takes the files, and notes their checksums."""

    def __init__(self, folder: Path) -> None:
        self.proxy, self.runtime, self.units = folder / "proxy", folder / "run", folder / "units"
        self.units.mkdir()
        self.active = self.enabled = self.unread = False
        self.asked: list[str] = []
        self.dies_at = ""
        self.taken: set[str] = set()

    def _checksums(self) -> str:
        return hashlib.sha256((self.proxy / "nginx.conf").read_bytes()).hexdigest()

    def _systemctl(self, words: Sequence[str]) -> Ran:
        if words[0] == "show":
            state = "active" if self.active else "inactive"
            return Ran(0, f"ActiveState={state}\nNeedDaemonReload={'yes' if self.unread else 'no'}\n")
        if words[0] == "--quiet":
            return Ran(0 if self.enabled else 1)
        if words[0] == "daemon-reload":
            self.unread = False
        elif words[0] == "enable":
            self.enabled = True
        elif words[0] == "disable":
            self.active = self.enabled = False
        else:
            self.active = True
            self.runtime.mkdir(exist_ok=True)
            (self.runtime / "loaded.sha256").write_text(self._checksums(), encoding="utf-8")
        return Ran(0)

    def __call__(self, argv: Sequence[str], _seconds: float, _text: str = "", /) -> Ran:
        self.asked.append(f"{Path(argv[0]).name} {argv[1]}")
        if self.dies_at == self.asked[-1]:
            raise KeyboardInterrupt
        if argv[0] == "systemctl":
            return self._systemctl(argv[1:])
        if argv[0] == "sha256sum":
            loaded = self.runtime / "loaded.sha256"
            return Ran(0 if loaded.exists() and loaded.read_text(encoding="utf-8") == self._checksums() else 1)
        if argv[0] == "ss":
            mine = [one for one in LISTEN if self.active and one not in self.taken]
            lines = [f'LISTEN 0 511 {one} 0.0.0.0:* users:(("nginx",pid=7,fd=6))' for one in mine]
            return Ran(0, "\n".join([*lines, 'LISTEN 0 128 192.0.2.20:8071 0.0.0.0:* users:(("other",pid=8,fd=3))']))
        assert argv[0] == "/usr/sbin/nginx"
        return Ran(1, "", f"[emerg] unexpected in {argv[4]}:1") if "Zork" in Path(argv[4]).read_text(encoding="utf-8") else Ran(0)


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(node_proxy, "UNITS", str(host.units))
    monkeypatch.setattr(node_proxy, "OWNER", None)
    monkeypatch.setattr(node_proxy, "run_command", host)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return host


@pytest.fixture(name="run")
def _run(host: Host, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        host.asked.clear()
        own = {"unit": UNIT, "directory": str(host.proxy), "runtime_directory": str(host.runtime), "unit_text": "[Service]\n"}
        given = {**own, "configuration": "events {}\n", "secret_files": FIRST, "listen": LISTEN, **options}
        with patch_module_args({**given, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            node_proxy.main()
        said = capsys.readouterr().out
        assert KEY not in said
        result: dict[str, Any] = json.loads(said)
        return result

    return run_module


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_it_is_set_up_once(host: Host, run: Run) -> None:
    done = run()
    assert (done["changed"], done["action"]) == (True, "restart")
    told = ["systemctl daemon-reload", "systemctl restart", "ss -Hltnp", "systemctl enable"]
    assert host.asked == ["nginx -t", "systemctl show", "systemctl --quiet", *told]
    assert files(host.proxy) == {"nginx.conf": 0o644, "keys-0123456789abcdef.conf": 0o600}
    assert host.proxy.stat().st_mode & 0o777 == 0o700
    assert (host.units / UNIT).read_text(encoding="utf-8") == "[Service]\n"
    again = run()
    assert (again["changed"], again["action"], again["diff"]) == (False, "none", [])
    assert host.asked == QUESTIONS


def test_check_mode_tells_the_same_and_does_nothing(host: Host, run: Run) -> None:
    told = run(check_mode=True)
    assert host.asked == ["systemctl show", "systemctl --quiet"]
    assert not host.proxy.exists()
    assert not host.runtime.exists()
    assert list(host.units.iterdir()) == []
    done = run()
    assert (told["changed"], told["action"], told["diff"]) == (done["changed"], done["action"], done["diff"])
    assert [Path(entry["after_header"]).name for entry in told["diff"]] == ["keys-0123456789abcdef.conf", "nginx.conf", UNIT]


def test_new_keys_are_a_new_file_and_a_reload(host: Host, run: Run) -> None:
    run()
    (host.proxy / "node-1.pem").touch()  # somebody's own
    told = run(check_mode=True, configuration="events {} # 2\n", secret_files=SECOND)
    assert set(files(host.proxy)) == {"nginx.conf", "keys-0123456789abcdef.conf", "node-1.pem"}
    done = run(configuration="events {} # 2\n", secret_files=SECOND)
    assert done["action"] == "reload"
    assert (told["changed"], told["diff"]) == (True, done["diff"])
    assert [(Path(entry["after_header"]).name, entry["before"], entry["after"]) for entry in done["diff"]] == [
        ("keys-fedcba9876543210.conf", "", "(written; its content is not shown)\n"),
        ("nginx.conf", "events {}\n", "events {} # 2\n"),
        ("keys-0123456789abcdef.conf", "(present)\n", ""),
    ]
    assert set(files(host.proxy)) == {"nginx.conf", "keys-fedcba9876543210.conf", "node-1.pem"}
    assert "systemctl restart" not in host.asked


def test_what_nginx_refuses_replaces_nothing(host: Host, run: Run) -> None:
    run()
    done = run(configuration="Zork\n", secret_files=SECOND)
    assert done["failed"]
    assert "nginx would not take the new configuration" in done["msg"]
    assert "[emerg] unexpected in nginx.conf:1" in done["msg"]
    assert (host.proxy / "nginx.conf").read_text(encoding="utf-8") == "events {}\n"
    assert "keys-0123456789abcdef.conf" in files(host.proxy)
    assert host.asked == ["nginx -t"]


@pytest.mark.parametrize("dies_at", ["systemctl show", "systemctl reload"])
def test_what_a_killed_run_has_written_is_loaded_by_the_next(host: Host, run: Run, dies_at: str) -> None:
    run()
    host.dies_at = dies_at
    with pytest.raises(KeyboardInterrupt):
        run(configuration="events {} # 2\n")
    host.dies_at = ""
    told = run(check_mode=True, configuration="events {} # 2\n")
    assert (told["changed"], told["action"], told["diff"]) == (True, "reload", [])
    assert run(configuration="events {} # 2\n")["action"] == "reload"
    assert not run(configuration="events {} # 2\n")["changed"]


def test_a_new_unit_is_a_restart_also_after_a_killed_run(host: Host, run: Run) -> None:
    run()
    host.dies_at, host.unread = "systemctl daemon-reload", True
    with pytest.raises(KeyboardInterrupt):
        run(unit_text="[Service]\nNice=1\n")
    host.dies_at = ""
    assert run(unit_text="[Service]\nNice=1\n")["action"] == "restart"
    assert run(unit_text="[Service]\nNice=1\n")["action"] == "none"


def test_what_was_stopped_or_disabled_comes_back(host: Host, run: Run) -> None:
    run()
    host.active = host.enabled = False
    assert run(check_mode=True)["changed"]
    assert not host.active
    assert run()["action"] == "start"
    assert (host.active, host.enabled) == (True, True)
    host.enabled = False
    done = run()
    assert (done["changed"], done["action"], host.enabled) == (True, "none", True)


def test_a_port_of_somebody_else_is_an_error_that_names_it(host: Host, run: Run) -> None:
    run()
    host.taken = {"192.0.2.20:8071"}
    done = run()
    assert done["failed"]
    assert "The proxy does not listen on 192.0.2.20:8071. Another program may have that port" in done["msg"]
    assert host.asked.count("systemctl reload") == 1


def test_it_is_removed_once(host: Host, run: Run) -> None:
    run()
    told = run(check_mode=True, state="absent")
    assert host.asked == []
    assert (host.proxy.exists(), host.active) == (True, True)
    done = run(state="absent")
    assert host.asked == ["systemctl disable", "systemctl daemon-reload"]
    assert (told["changed"], told["diff"]) == (True, done["diff"])
    assert (host.proxy.exists(), (host.units / UNIT).exists(), host.active) == (False, False, False)
    assert not run(state="absent")["changed"]
    assert host.asked == []


def test_a_removal_that_was_killed_is_taken_up_again(host: Host, run: Run) -> None:
    run()
    host.dies_at = "systemctl disable"
    with pytest.raises(KeyboardInterrupt):
        run(state="absent")
    host.dies_at = ""
    assert run(state="absent")["changed"]
    assert not host.proxy.exists()


@pytest.mark.parametrize("program", ["ss", "sha256sum", "systemctl"])
def test_programs_that_fail_are_named(host: Host, run: Run, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    run()

    def failing(argv: Sequence[str], seconds: float, text: str = "", /) -> Ran:
        return Ran(127, "", f"{program}: not found") if argv[0] == program else host(argv, seconds, text)

    monkeypatch.setattr(node_proxy, "run_command", failing)
    done = run()
    assert done["failed"]
    assert f"{program}: not found" in done["msg"]
