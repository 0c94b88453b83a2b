# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of a shell stand for a coding agent: what is asked of it, as whom and where, and what each way to fail is called."""

from __future__ import annotations

import os
import pwd
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_run import Program, command_line, run_program, task, wrote
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT, Ran, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify import Row

KEY = "sk-client-0123456789abcdef"
USER = pwd.struct_passwd(("user", "x", 4711, 4711, "", "/home/user", "/bin/bash"))
PROGRAM = Program(
    name="codex",
    title="Codex",
    model="coder",
    command=("codex", "exec", "{task}"),
    path="/home/user/.codex/config.toml",
    file=".codex/config.toml",
    elsewhere={"CODEX_HOME": "{folder}"},
    environment={"A": "1"},
    secrets=(KEY,),
)
#: The word is the second of what it is asked for that a person would not write.
WRITES = 'word=${2#*text is: }; printf %s "${word%% *}" > hello.txt'


def agent(script: str) -> Program:
    return replace(PROGRAM, command=("sh", "-c", script, "agent", "-p", "{task}"))


def run(script: str, timeout: int = 20, user: str | None = None) -> Row:
    return run_program(replace(agent(script), user=user), timeout, run_command)


#: Root may run programs as somebody else; anybody as themselves.
USERS = [None, "nobody"] if os.geteuid() == 0 else [None]


@pytest.mark.parametrize("user", USERS)
def test_a_program_that_writes_what_it_was_asked_for_is_fine(user: str | None) -> None:
    row = run(WRITES, user=user)
    assert row.ok, row
    name = pwd.getpwuid(os.geteuid()).pw_name if user is None else user
    assert (row.model, row.name, row.check, row.answer) == (
        "coder",
        "Codex",
        "task",
        f"codex of {name} wrote the file that it was asked for",
    )
    assert row.latency is not None
    assert row.latency > 0


@pytest.mark.parametrize("user", USERS)
def test_it_is_its_user_in_a_folder_of_its_own_that_is_gone_afterwards(user: str | None) -> None:
    said = run("id -un; pwd; stat -c '%U %a' .; ls -A; echo $A $HOME $TERM; exit 3", user=user).message
    entry = pwd.getpwuid(os.geteuid()) if user is None else pwd.getpwnam(user)
    found = re.fullmatch(rf"Codex ended with 3: {entry.pw_name} (\S+) {entry.pw_name} 700 1 {entry.pw_dir} dumb", said)
    assert found, said
    assert found.group(1).startswith(tempfile.gettempdir())
    assert not Path(found.group(1)).exists()


def test_the_environment_of_whoever_runs_the_module_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    assert run("env; exit 1").message.count("OPENAI_API_KEY") == 0


@pytest.mark.parametrize(
    ("script", "cause", "message"),
    [
        ("exit 0", "nothing_written", "Codex ended well, but wrote no hello.txt: "),
        ("echo something else > hello.txt; echo done", "nothing_written", "Codex ended well, but wrote no hello.txt: done"),
        ("echo no route >&2; exit 2", "program_failed", "Codex ended with 2: no route"),
        (f"echo refused {KEY}; exit 1", "program_failed", "Codex ended with 1: refused ***"),
        (WRITES + "; exit 1", "program_failed", "Codex ended with 1: "),
        ("exit 127", "program_missing", "sh is not on the PATH of "),
    ],
)
def test_each_way_to_fail_has_a_name(script: str, cause: str, message: str) -> None:
    row = run(script)
    assert not row.ok
    assert row.cause == cause
    assert row.message.startswith(message)
    assert KEY not in row.message


def test_one_that_does_not_end_is_ended_with_what_it_started() -> None:
    row = run("sleep 300 & sleep 300", timeout=1)
    assert (row.ok, row.cause) == (False, "timed_out")
    assert row.message.startswith("Codex did not end within 1 s")
    assert row.remedy is not None
    assert "clients_run_timeout" in row.remedy


def test_a_user_that_the_host_does_not_have() -> None:
    row = run("exit 0", user="no-such-user")
    assert (row.ok, row.cause, row.message) == (False, "no_such_user", "there is no user no-such-user on this host")


def test_the_program_finds_its_file() -> None:
    """By itself at its own place, by its variables elsewhere; a login shell of the user sets the PATH."""
    words = command_line(PROGRAM, USER, "/tmp/x", 60, "word")
    assert words[:4] == ["runuser", "-u", "user", "--"]
    assert words[4:7] == ["timeout", "--kill-after=10", "60"]
    assert words[7:9] == ["env", "-i"]
    assert "HOME=/home/user" in words
    assert not any(word.startswith("CODEX_HOME=") for word in words)
    assert words[-8:] == ["/bin/bash", "-lc", 'cd "$1" && shift && exec "$@"', "sh", "/tmp/x", "codex", "exec", task("word")]
    elsewhere = command_line(replace(PROGRAM, path="/srv/project/.codex/config.toml"), USER, "/tmp/x", 60, "word")
    assert "CODEX_HOME=/srv/project/.codex" in elsewhere
    fish = pwd.struct_passwd((*USER[:6], "/usr/bin/fish"))
    assert "/bin/sh" in command_line(PROGRAM, fish, "/tmp/x", 60, "word")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert wrote(str(tmp_path / "secret"), "word")
    assert [wrote(str(tmp_path / name), "word") for name in ("link", "pipe", "missing")] == [False, False, False]


def test_one_that_not_even_a_signal_ends_is_given_up() -> None:
    def stuck(argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        assert timeout == 50
        return Ran(TIMED_OUT, "", "no answer within 50 s")

    here = replace(PROGRAM, path="/nowhere/config.toml")
    assert run_program(here, 30, stuck).cause == "timed_out"
