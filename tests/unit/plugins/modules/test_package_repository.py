# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole module against the real apt, which is given other folders than the machine's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.module_arguments import patch_module_args

from ansible_collections.llmops.gpu_inference.plugins.modules import package_repository

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]


@pytest.fixture(name="etc")
def _etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt without sources that keeps all it has in the test's folder."""
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (tmp_path / "state/lists/partial").mkdir(parents=True)
    (tmp_path / "cache/archives/partial").mkdir(parents=True)
    (tmp_path / "status").write_text("")
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc "{etc}/"; Dir::Etc::sourcelist "sources.list"; Dir::Etc::sourceparts "sources.list.d"; Dir::State "{tmp_path}/state/";\n'
        # Its signature is not what these tests are about; scenario `toolkit` has a signed one.
        'Acquire::AllowInsecureRepositories "1";\n'
        f'Dir::State::status "{tmp_path}/status"; Dir::Cache "{tmp_path}/cache/"; APT::Sandbox::User "root"; APT::Architecture "amd64";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    monkeypatch.setattr(package_repository, "JOURNAL", str(tmp_path / "state/journal-{name}.json"))
    return etc


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """An empty flat repository."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "Packages").write_text("")
    digest = hashlib.sha256(b"").hexdigest()
    (folder / "Release").write_text(f"Suite: stable\nDate: Fri, 20 Nov 2026 08:00:00 UTC\nSHA256:\n {digest} 0 Packages\n")
    return folder


@pytest.fixture(name="run")
def _run(etc: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(**options: Any) -> dict[str, Any]:
        check_mode = options.pop("check_mode", False)
        arguments = {"name": "toolkit", "manager": "apt", "url": f"file:{folder}", "key": str(etc / "toolkit.asc"), **options}
        with patch_module_args({**arguments, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            package_repository.main()
        said = capsys.readouterr()
        result = json.loads(said.out)
        return {**result, "warnings": said.err + json.dumps(result.get("warnings", ""))}

    return run_module


def names(etc: Path) -> list[str]:
    return sorted(path.name for path in (etc / "sources.list.d").iterdir())


def test_a_new_repository(etc: Path, run: Run) -> None:
    foreseen = run(check_mode=True)
    assert (foreseen["changed"], names(etc)) == (True, [])
    done = run()
    assert (done["changed"], done["backups"], names(etc)) == (True, [], ["toolkit.sources"])
    assert done["diff"] == foreseen["diff"]


def test_the_second_run_changes_nothing(run: Run) -> None:
    run()
    done = run()
    assert (done["changed"], done["files"], done["backups"]) == (False, [], [])


def test_older_sources_of_it_go_and_all_else_stays(etc: Path, folder: Path, run: Run) -> None:
    (etc / "sources.list").write_text(f"# mine\ndeb [trusted=yes] file:{folder}/ /\ndeb [trusted=yes] file:/srv/other /\n")
    (etc / "sources.list.d/nvidia.list").write_text(f"deb [signed-by=/old.gpg] file:{folder} /\n")
    done = run()
    assert (etc / "sources.list").read_text() == "# mine\ndeb [trusted=yes] file:/srv/other /\n"
    assert [name for name in names(etc) if not name.endswith("~")] == ["toolkit.sources"]
    assert len(done["backups"]) == 2
    assert {Path(copy).name.split(".")[0] for copy in done["backups"]} == {"sources", "nvidia"}
    assert "It can now" in done["warnings"]


def test_a_file_that_a_link_leads_to_is_emptied_and_stays(etc: Path, tmp_path: Path, folder: Path, run: Run) -> None:
    managed = tmp_path / "managed.list"
    managed.write_text(f"deb file:{folder} /\n")
    (etc / "sources.list.d/site.list").symlink_to(managed)
    run()
    assert managed.read_text() == ""
    assert (etc / "sources.list.d/site.list").is_symlink()


def test_a_repository_that_cannot_be_fetched_is_taken_out_again(etc: Path, folder: Path, run: Run) -> None:
    old = f"deb [trusted=yes] file:{folder}/none /\n"
    (etc / "sources.list.d/nvidia.list").write_text(old)
    (etc / "toolkit.asc").write_text("key")
    done = run(url=f"file:{folder}/none")
    assert done.get("failed"), done
    assert "apt cannot fetch the repository toolkit" in done["msg"]
    assert "All files are as they were." in done["msg"]
    assert names(etc) == ["nvidia.list"]
    assert (etc / "sources.list.d/nvidia.list").read_text() == old
    assert not (etc / "toolkit.asc").exists(), "the key that was put there for it"


def test_the_key_of_what_stays_stays(etc: Path, folder: Path, run: Run) -> None:
    (etc / "toolkit.asc").write_text("key")
    run()
    assert run(url=f"file:{folder}/none")["failed"]
    assert names(etc) == ["toolkit.sources"]
    assert (etc / "toolkit.asc").exists()


def test_an_apt_that_was_broken_before_is_not_our_doing(etc: Path, run: Run) -> None:
    (etc / "sources.list.d/broken.list").write_text("debb https://x.example /\n")
    done = run()
    assert done.get("failed"), done
    assert "could not read the sources of this host before this run" in done["msg"]
    assert "'debb' is not known" in done["msg"]
    assert names(etc) == ["broken.list"]
    going_on = run(required=False)
    assert not going_on.get("failed")
    assert not going_on["changed"]
    assert "'debb' is not known" in going_on["warnings"]
    assert names(etc) == ["broken.list"]


def test_what_was_made_goes_again(etc: Path, run: Run) -> None:
    (etc / "toolkit.asc").write_text("key")
    run()
    done = run(state="absent")
    assert (done["changed"], names(etc), (etc / "toolkit.asc").exists()) == (True, [], False)
    assert not run(state="absent")["changed"]


def test_a_key_that_another_source_names_stays(etc: Path, run: Run) -> None:
    (etc / "toolkit.asc").write_text("key")
    (etc / "sources.list").write_text(f"deb [signed-by={etc}/toolkit.asc] file:/srv/other /\n")
    run(state="absent")
    assert (etc / "toolkit.asc").exists()


@pytest.mark.parametrize("bad", [{"url": "file:/x\nTrusted: yes"}, {"suite": "a b"}, {"components": ["a\n"]}])
def test_values_that_would_be_more_than_one_are_refused(etc: Path, run: Run, bad: dict[str, Any]) -> None:
    done = run(**bad)
    assert done.get("failed"), done
    assert "must be one word" in done["msg"]
    assert names(etc) == []
