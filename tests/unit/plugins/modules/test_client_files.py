# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writer on real folders; only AnsibleModule's three attributes that it uses are played."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import MARKER, ClientFileError, dump_connections
from ansible_collections.llmops.gpu_inference.plugins.modules import client_files
from ansible_collections.llmops.gpu_inference.plugins.modules.client_files import Writer

OURS = {"id": "vllm-external", "base_url": "http://192.0.2.10:8400"}
OTHERS = {"id": "llm-1", "base_url": "http://localhost:11434"}
TEXT = f"{MARKER}\nA=1\n"


class Module:
    def __init__(self, params: dict[str, Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run_writer(*files: dict[str, Any], check_mode: bool = False, prune: bool = True) -> dict[str, Any]:
        defaults = {
            "merge": "none",
            "beside_those_of_the_host": False,
            "owner": None,
            "group": None,
            "mode": "0600",
            "directory_mode": "0755",
        }
        params = {
            "files": [{**defaults, **entry, "path": str(tmp_path / entry["path"])} for entry in files],
            "manifest": str(tmp_path / "state" / "clients.json"),
            "prune": prune,
        }
        module = Module(params, check_mode)
        result = Writer(module).run()
        return {**result, "warnings": module.warnings}

    return run_writer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def connections(path: Path) -> list[Any]:
    found: list[Any] = json.loads(path.read_text(encoding="utf-8"))["connections"]
    return found


def list_entry(*entries: dict[str, Any], path: str = "llm_connections.json") -> dict[str, Any]:
    return {"path": path, "content": dump_connections({"connections": list(entries)}), "merge": "connections"}


def test_authorities_of_the_host_follow_ours(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tmp_path / "ca-certificates.crt"
    known.write_text("# those of the distribution\n")
    monkeypatch.setattr(client_files, "AUTHORITIES", (str(tmp_path / "elsewhere"), str(known)))
    entry = {"path": "bundle.pem", "content": TEXT, "mode": "0644", "beside_those_of_the_host": True}
    assert run(entry)["changed"]
    assert (tmp_path / "bundle.pem").read_text() == f"{TEXT}# those of the distribution\n"
    assert not run(entry)["changed"]
    known.unlink()
    assert run(entry)["changed"]
    assert (tmp_path / "bundle.pem").read_text() == TEXT
    assert run()["removed"] == [str(tmp_path / "bundle.pem")]


def test_writes_then_changes_nothing_then_removes(run: Run, tmp_path: Path) -> None:
    entry = {"path": "new/folder/app.env", "content": TEXT}
    first = run(entry)
    path = tmp_path / "new/folder/app.env"
    assert first["changed"]
    assert first["written"] == [str(path)]
    assert path.read_text(encoding="utf-8") == TEXT
    assert mode(path) == 0o600
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state/clients.json") == 0o600
    before = path.stat()
    second = run(entry)
    assert not second["changed"]
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    third = run()
    assert third["removed"] == [str(path)]
    assert not path.exists()
    assert not (tmp_path / "state/clients.json").exists()
    assert not run()["changed"]


@pytest.mark.parametrize("there", [TEXT, "SOMEBODY=else\n"])
def test_a_file_keeps_the_label_that_a_container_needs(run: Run, tmp_path: Path, there: str) -> None:
    """SELinux keeps labels, and the kernel ACLs, in extended attributes; Docker's mount option `:Z` sets one."""
    path = tmp_path / "app.env"
    path.write_text(there, encoding="utf-8")
    os.setxattr(path, "user.label", b"container_file_t")
    assert run({"path": "app.env", "content": TEXT + "B=2\n"})["changed"]
    assert (os.getxattr(path, "user.label"), mode(path)) == (b"container_file_t", 0o600)


def test_check_mode_predicts_and_touches_nothing(run: Run, tmp_path: Path) -> None:
    result = run({"path": "app.env", "content": TEXT, "owner": "nobody-has-this-name"}, check_mode=True)
    assert result["changed"]
    assert result["written"] == [str(tmp_path / "app.env")]
    assert list(tmp_path.iterdir()) == []
    run({"path": "app.env", "content": TEXT}, list_entry(OURS))
    result = run(check_mode=True)
    assert result["removed"] == [str(tmp_path / "app.env"), str(tmp_path / "llm_connections.json")]
    assert (tmp_path / "app.env").exists()


def test_a_file_of_somebody_else_is_kept_beside(run: Run, tmp_path: Path) -> None:
    path = tmp_path / ".llm.env"
    path.write_text("VLLM_API_KEY=VLLM\n", encoding="utf-8")
    path.chmod(0o644)
    result = run({"path": ".llm.env", "content": TEXT})
    assert mode(path) == 0o600
    (backup,) = result["backups"]
    assert backup.startswith(f"{path}.")
    assert Path(backup).read_text(encoding="utf-8") == "VLLM_API_KEY=VLLM\n"
    assert run({"path": ".llm.env", "content": f"{TEXT}B=2\n"})["backups"] == []


def test_wrong_permissions_are_a_change(run: Run, tmp_path: Path) -> None:
    entry = {"path": "app.env", "content": TEXT}
    run(entry)
    (tmp_path / "app.env").chmod(0o644)
    assert run(entry)["written"] == [str(tmp_path / "app.env")]
    assert mode(tmp_path / "app.env") == 0o600


def test_a_file_that_lost_the_marker_stays_with_a_warning_once(run: Run, tmp_path: Path) -> None:
    run({"path": "app.env", "content": TEXT})
    (tmp_path / "app.env").write_text("A=mine\n", encoding="utf-8")
    result = run()
    assert result["removed"] == []
    assert "no longer starts with this collection's marker" in result["warnings"][0]
    assert (tmp_path / "app.env").exists()
    assert run()["warnings"] == []


def test_entries_of_others_stay_through_write_change_and_removal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "llm_connections.json"
    path.write_text(json.dumps({"connections": [OTHERS]}), encoding="utf-8")
    assert run(list_entry(OURS, {"id": "second"}))["changed"]
    assert connections(path) == [OTHERS, OURS, {"id": "second"}]
    assert not run(list_entry(OURS, {"id": "second"}))["changed"]
    run(list_entry(OURS))
    assert connections(path) == [OTHERS, OURS]
    assert run()["removed"] == [str(path)]
    assert connections(path) == [OTHERS]


def test_the_spacing_of_the_programs_editor_is_no_change(run: Run, tmp_path: Path) -> None:
    run(list_entry(OURS))
    path = tmp_path / "llm_connections.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=4), encoding="utf-8")
    path.chmod(0o600)
    assert not run(list_entry(OURS))["changed"]


def test_a_list_made_by_us_goes_when_nothing_is_left_in_it(run: Run, tmp_path: Path) -> None:
    run(list_entry(OURS))
    assert run()["removed"] == [str(tmp_path / "llm_connections.json")]
    assert not (tmp_path / "llm_connections.json").exists()


def test_a_broken_list_stops_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "llm_connections.json").write_text("{", encoding="utf-8")
    with pytest.raises(ClientFileError, match="is not JSON"):
        run({"path": "app.env", "content": TEXT}, list_entry(OURS))
    assert not (tmp_path / "app.env").exists()


def test_without_prune_files_stay_and_are_remembered(run: Run, tmp_path: Path) -> None:
    run({"path": "app.env", "content": TEXT})
    assert not run(prune=False)["changed"]
    assert run()["removed"] == [str(tmp_path / "app.env")]


def test_a_file_without_a_marker_is_known_by_what_was_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("of somebody\n", encoding="utf-8")
    first = run({"path": "key", "content": "one\n", "merge": "whole"})
    (backup,) = map(Path, first["backups"])
    assert (path.read_text(encoding="utf-8"), backup.read_text(encoding="utf-8"), mode(path)) == ("one\n", "of somebody\n", 0o600)
    assert "one" not in (tmp_path / "state/clients.json").read_text(encoding="utf-8")
    assert not run({"path": "key", "content": "one\n", "merge": "whole"})["changed"]
    assert run({"path": "key", "content": "two\n", "merge": "whole"}, check_mode=True)["written"] == [str(path)]
    assert run({"path": "key", "content": "two\n", "merge": "whole"})["backups"] == []
    assert run()["removed"] == [str(path)]
    assert not path.exists()


def test_a_file_without_a_marker_that_somebody_has_changed_stays(run: Run, tmp_path: Path) -> None:
    run({"path": "key", "content": "one\n", "merge": "whole"})
    (tmp_path / "key").write_text("of somebody\n", encoding="utf-8")
    assert run()["removed"] == []
    assert (tmp_path / "key").read_text(encoding="utf-8") == "of somebody\n"


def test_a_link_is_replaced_and_its_target_left_alone(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text(TEXT, encoding="utf-8")
    (tmp_path / "app.env").symlink_to(target)
    run({"path": "app.env", "content": TEXT})
    assert not (tmp_path / "app.env").is_symlink()
    assert target.read_text(encoding="utf-8") == TEXT


def test_an_unknown_owner_is_named(run: Run) -> None:
    with pytest.raises(ClientFileError, match=r"nobody-has-this-name.*create the user"):
        run({"path": "app.env", "content": TEXT, "owner": "nobody-has-this-name"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_and_group_apply_to_the_file_and_to_new_folders(run: Run, tmp_path: Path) -> None:
    run({"path": "folder/app.env", "content": TEXT, "owner": "daemon", "group": "daemon", "mode": "0640", "directory_mode": "0750"})
    for path, permissions in ((tmp_path / "folder", 0o750), (tmp_path / "folder/app.env", 0o640)):
        assert (path.owner(), path.group(), mode(path)) == ("daemon", "daemon", permissions)


def test_a_failed_write_leaves_no_temporary_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: str, _target: str) -> str | None:
        raise OSError("disk trouble")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk trouble"):
        run({"path": "app.env", "content": TEXT})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_settings_of_others_stay_and_the_file_before_one_gave_way_is_kept(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"model": "theirs", "theme": "dark"}), encoding="utf-8")
    path.chmod(0o640)
    entry = {"path": "settings.json", "content": json.dumps({"model": "ours"}), "merge": "json"}
    assert run(entry, check_mode=True)["changed"]
    first = run(entry)
    assert json.loads(path.read_text(encoding="utf-8")) == {"model": "ours", "theme": "dark"}
    assert mode(path) == 0o600
    (backup,) = map(Path, first["backups"])
    assert json.loads(backup.read_text(encoding="utf-8")) == {"model": "theirs", "theme": "dark"}
    assert mode(backup) == 0o640
    assert not run(entry)["changed"]
    assert run({**entry, "content": json.dumps({"model": "new"})})["backups"] == []
    assert run()["removed"] == [str(path)]
    assert json.loads(path.read_text(encoding="utf-8")) == {"theme": "dark"}


def test_by_a_link_nobody_gets_what_is_in_the_file_of_another(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is merged with the rights of root, and the result is the owner's."""
    monkeypatch.setattr(Writer, "ids", lambda _self, entry: (None if entry["owner"] is None else os.getuid() + 1, None))
    secret = tmp_path / "of-root.json"
    secret.write_text(json.dumps({"password": "of-root"}), encoding="utf-8")
    (tmp_path / "settings.json").symlink_to(secret)
    entry = {"path": "settings.json", "content": json.dumps({"model": "ours"}), "merge": "json", "owner": "user"}
    with pytest.raises(ClientFileError, match=r"settings\.json belongs to the user with the id \d+, and not to user"):
        run(entry)
    assert (tmp_path / "settings.json").is_symlink()
    assert run({**entry, "owner": None})["changed"]
