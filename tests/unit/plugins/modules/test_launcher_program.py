# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.module_arguments import patch_module_args

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.modules import launcher_program

Run = Callable[..., dict[str, Any]]
UNITS = {"vllm@.service": "[Service]\nType=notify\n", "gpu-inference.target": "[Unit]\n", "gpu-inference-boot.service": "[Service]\n"}
FIRST = ["systemd-tmpfiles --create", "systemd-analyze verify", "systemctl daemon-reload", "systemctl enable", "systemctl start"]
QUESTIONS = ["systemctl --quiet", "systemctl --quiet"]


class Systemd:
    """Knows what was enabled and started; refuses a template with `Zork` in it."""

    def __init__(self, run: Path) -> None:
        self.folder = run
        self.done: set[str] = set()
        self.asked: list[str] = []
        self.dies_at = ""

    def __call__(self, argv: Sequence[str], _seconds: float, _text: str = "", /) -> Ran:
        self.asked.append(" ".join(argv[:2]))
        if self.dies_at == self.asked[-1]:
            raise KeyboardInterrupt
        if argv[0] == "systemd-tmpfiles":
            (self.folder / "state").mkdir(parents=True)
        elif argv[0] == "systemd-analyze":
            assert Path(argv[2]).name == "vllm@.service"
            return Ran(1, "", "Unknown key 'Zork'") if "Zork" in Path(argv[2]).read_text(encoding="utf-8") else Ran(0)
        elif argv[1] == "--quiet":
            return Ran(0 if argv[3] in self.done else 1)
        elif argv[1] in {"enable", "start", "restart"}:
            self.done.add(argv[2])
        return Ran(0)


@pytest.fixture(name="systemd")
def _systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/tmpfiles.d").mkdir()
    played = Systemd(tmp_path / "run")
    monkeypatch.setattr(launcher_program, "ETC", str(tmp_path / "etc"))
    monkeypatch.setattr(launcher_program, "RUN", str(tmp_path / "run"))
    monkeypatch.setattr(launcher_program, "OWNER", None)
    monkeypatch.setattr(launcher_program, "run_command", played)
    return played


@pytest.fixture(name="run")
def _run(tmp_path: Path, systemd: Systemd, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        systemd.asked.clear()
        given = {"path": str(tmp_path / "lib"), "units": UNITS, "runtime_folders": "d /run/x\n", **options}
        with patch_module_args({**given, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            launcher_program.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run_module


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


def test_all_of_it_is_installed_once(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    done = run()
    assert done["changed"]
    assert [words for words in systemd.asked if words not in QUESTIONS] == FIRST
    etc = files(tmp_path / "etc")
    assert etc == {"tmpfiles.d/gpu-inference.conf": "d /run/x\n", **{f"systemd/system/{name}": text for name, text in UNITS.items()}}
    assert (tmp_path / "etc/systemd/system/gpu-inference.target.wants").is_dir()
    assert (tmp_path / "lib/_launcher.py").exists()
    assert {Path(entry["after_header"]).name for entry in done["diff"]} == {"gpu-inference.conf", *UNITS}
    again = run()
    assert not again["changed"]
    assert again["diff"] == []
    assert systemd.asked == QUESTIONS


def test_check_mode_tells_the_same_and_does_nothing(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    told = run(check_mode=True)
    assert told["changed"]
    assert systemd.asked == QUESTIONS
    assert files(tmp_path) == {}
    assert not (tmp_path / "lib").exists()
    done = run()
    assert (told["written"], told["diff"]) == (done["written"], done["diff"])


def test_systemd_reads_its_units_again_only_where_one_has_changed(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    run()
    (tmp_path / "lib/_launcher.py").write_text("old", encoding="utf-8")
    assert run()["written"] == ["_launcher.py"]
    assert "systemctl daemon-reload" not in systemd.asked
    (tmp_path / "etc/systemd/system/vllm@.service").write_text("old", encoding="utf-8")
    done = run()
    assert [entry["before"] for entry in done["diff"]] == ["old"]
    assert systemd.asked == ["systemd-analyze verify", "systemctl daemon-reload", *QUESTIONS]


def test_what_a_killed_run_has_written_is_read_by_the_next(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    run()
    (tmp_path / "etc/systemd/system/vllm@.service").write_text("old", encoding="utf-8")
    systemd.dies_at = "systemctl daemon-reload"
    with pytest.raises(KeyboardInterrupt):
        run()
    assert (tmp_path / "etc/systemd/system/vllm@.service").read_text(encoding="utf-8") == UNITS["vllm@.service"]
    systemd.dies_at = ""
    assert run(check_mode=True)["changed"]
    assert systemd.asked == QUESTIONS
    assert run()["changed"]
    assert systemd.asked == ["systemctl daemon-reload", *QUESTIONS]
    assert not run()["changed"]
    assert systemd.asked == QUESTIONS


def test_a_unit_that_systemd_cannot_read_replaces_none(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    run()
    before = files(tmp_path / "etc")
    done = run(units={**UNITS, "vllm@.service": "Zork=1\n", "gpu-inference.target": "[Unit]\nDescription=x\n"})
    assert done["failed"]
    assert "vllm@.service: Unknown key 'Zork'" in done["msg"]
    assert files(tmp_path / "etc") == before


def test_what_was_stopped_or_disabled_comes_back(systemd: Systemd, run: Run) -> None:
    run()
    systemd.done.clear()
    assert run()["changed"]
    assert systemd.done == {"gpu-inference.target", "gpu-inference-boot.service"}


METRICS = "gpu-inference-metrics.service"
TOLD = {"textfile_directory": "textfile", "folders": ["/srv"], "gpu_memory_mib": {}}


def test_numbers_come_without_touching_other_units(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    texts, told = {**UNITS, METRICS: "[Service]\n"}, {**TOLD, "textfile_directory": str(tmp_path / "textfile")}
    run(units=texts)
    before = files(tmp_path / "etc")
    assert not any(METRICS in name for name in before), "nobody has asked for numbers"
    predicted = run(units=texts, metrics=told, check_mode=True)
    assert systemd.asked == [*QUESTIONS, "systemctl --quiet"][: len(systemd.asked)]
    assert files(tmp_path / "etc") == before
    done = run(units=texts, metrics=told)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert systemd.asked == [*QUESTIONS, "systemctl restart"], "systemd knows no such unit yet, so it reads none again"
    added = {name: text for name, text in files(tmp_path / "etc").items() if before.get(name) != text}
    assert {name: text for name, text in added.items() if "wants" not in name} == {
        "gpu-inference/metrics.json": json.dumps(told, indent=1, sort_keys=True) + "\n",
        f"systemd/system/{METRICS}": "[Service]\n",
    }
    assert (tmp_path / "etc/systemd/system/gpu-inference.target.wants" / METRICS).is_symlink()
    assert (tmp_path / "textfile").is_dir()
    assert not run(units=texts, metrics=told)["changed"]
    assert systemd.asked == [*QUESTIONS, "systemctl --quiet"]


def test_numbers_follow_their_settings_and_their_unit(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    texts, told = {**UNITS, METRICS: "[Service]\n"}, {**TOLD, "textfile_directory": str(tmp_path / "textfile")}
    run(units=texts, metrics=told)
    assert run(units=texts, metrics={**told, "folders": []})["changed"]
    assert systemd.asked == [*QUESTIONS, "systemctl --quiet"], "it looks at its settings by itself"
    assert run(units={**texts, METRICS: "[Service]\nUMask=0022\n"}, metrics=told)["changed"]
    assert systemd.asked == [*QUESTIONS, "systemctl daemon-reload", "systemctl restart"]
    systemd.done.remove(METRICS)
    assert run(units={**texts, METRICS: "[Service]\nUMask=0022\n"}, metrics=told)["changed"]
    assert systemd.asked == [*QUESTIONS, "systemctl --quiet", "systemctl restart"]


def test_numbers_go_when_nobody_wants_them_any_more(tmp_path: Path, systemd: Systemd, run: Run) -> None:
    texts, told = {**UNITS, METRICS: "[Service]\n"}, {**TOLD, "textfile_directory": str(tmp_path / "textfile")}
    run(units=texts)
    before = files(tmp_path / "etc")
    run(units=texts, metrics=told)
    assert run(units=texts, check_mode=True)["changed"]
    assert run(units=texts)["changed"]
    assert systemd.asked == [*QUESTIONS, "systemctl stop"]
    assert files(tmp_path / "etc") == before
    assert not os.path.lexists(tmp_path / "etc/systemd/system/gpu-inference.target.wants" / METRICS)
    assert not run(units=texts)["changed"]


def test_modes_are_put_right(tmp_path: Path, run: Run) -> None:
    run()
    unit = tmp_path / "etc/systemd/system/vllm@.service"
    unit.chmod(0o600)
    assert run(check_mode=True)["changed"]
    assert run()["changed"]
    assert unit.stat().st_mode & 0o777 == 0o644
