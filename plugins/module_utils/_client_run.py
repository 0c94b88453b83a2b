# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Have a client program write one file by its model, as its user would, and say what came of it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_redact import redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import NOT_FOUND, TIMED_OUT, Ran, Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._verify import Row

FILE_NAME = "hello.txt"
#: Of shells that take -l and -c; for a user with another one it is sh.
_SHELLS = ("bash", "dash", "ksh", "sh", "zsh")
#: Characters of what a program said that a message shows, from its end.
_SAID = 400
_KILL_AFTER = 10
"""Seconds from SIGTERM to SIGKILL."""
_KILLED = 137
"""What timeout ends with after SIGKILL."""


@dataclass(frozen=True)
class Program:
    """What is to be run for whom; C(path) is that of the file that leads it to the gateway."""

    name: str
    title: str
    model: str
    command: tuple[str, ...]
    path: str
    file: str
    elsewhere: t.Mapping[str, str]
    environment: t.Mapping[str, str]
    secrets: tuple[str, ...]
    user: str | None = None

    @classmethod
    def from_mapping(cls, data: t.Mapping[str, t.Any]) -> Program:
        return cls(**{**data, "command": tuple(data["command"]), "secrets": tuple(data["secrets"])})


def task(word: str) -> str:
    """What the model is asked for."""
    return f"Write a file named {FILE_NAME} in the current folder. Its whole text is: {word} Then stop."


def run_program(program: Program, timeout: int, run: Run, word: str | None = None) -> Row:
    """One run of a program in a folder of its own, which is gone afterwards; C(timeout) is in seconds.

    The folder is the user's, nobody else may look into it, and the text to write is one that nobody could have left there.
    """
    row = Row(program.model, program.title, "task", False)
    try:
        user = pwd.getpwuid(os.geteuid()) if program.user is None else pwd.getpwnam(program.user)
    except KeyError:
        return replace(row, cause="no_such_user", message=f"there is no user {program.user} on this host")
    word = word or f"gpu-inference-{secrets.token_hex(4)}"
    folder = tempfile.mkdtemp(prefix="gpu-inference-verify-")
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        begun = time.monotonic()
        ran = run(command_line(program, user, folder, timeout, word), timeout + 2 * _KILL_AFTER)
        row = replace(row, latency=time.monotonic() - begun)
        return _judged(row, program, user.pw_name, timeout, ran, wrote(os.path.join(folder, FILE_NAME), word))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def command_line(program: Program, user: pwd.struct_passwd, folder: str, timeout: int, word: str) -> list[str]:
    """The program under a login shell of its user, who finds it by the PATH that this shell sets; C(timeout) ends all that it started."""
    shell = user.pw_shell if os.path.basename(user.pw_shell) in _SHELLS else "/bin/sh"
    environment = {
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": shell,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        **program.environment,
    }
    path = os.path.expanduser(program.path)
    if os.path.realpath(path) != os.path.realpath(os.path.join(user.pw_dir, program.file)):
        placed = {"path": path, "folder": os.path.dirname(path)}
        environment.update({name: value.format(**placed) for name, value in program.elsewhere.items()})
    become = [] if user.pw_uid == os.geteuid() else ["runuser", "-u", user.pw_name, "--"]
    return [
        *become,
        *("timeout", f"--kill-after={_KILL_AFTER}", str(timeout)),
        *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
        *(shell, "-lc", 'cd "$1" && shift && exec "$@"', "sh", folder),
        *(task(word) if part == "{task}" else part for part in program.command),
    ]


def wrote(path: str, word: str) -> bool:
    """Whether a file of that path has the word in it. What is no file is not opened: whoever made it is not who reads it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and word.encode() in file.read(4096)


def _judged(row: Row, program: Program, user: str, timeout: int, ran: Ran, written: bool) -> Row:
    said = " ".join(redact(f"{ran.out}\n{ran.err}", program.secrets).split())[-_SAID:]
    if written and ran.rc == 0:
        return replace(row, ok=True, answer=f"{program.name} of {user} wrote the file that it was asked for")
    if ran.rc == NOT_FOUND:
        name = program.command[0]
        remedy = f"Install it for {user}, or give its absolute path in program of its entry."
        return replace(row, cause="program_missing", message=f"{name} is not on the PATH of {user}'s login shell: {said}", remedy=remedy)
    # What took no SIGTERM either was killed.
    if ran.rc == TIMED_OUT or (ran.rc == _KILLED and (row.latency or 0) >= timeout):
        remedy = "A slow model needs more: clients_run_timeout. Else see what the gateway and the engine log meanwhile."
        return replace(row, cause="timed_out", message=f"{program.title} did not end within {timeout} s: {said}", remedy=remedy)
    if ran.rc != 0:
        return replace(row, cause="program_failed", message=f"{program.title} ended with {ran.rc}: {said}")
    remedy = "The model has to call the program's tools: docs/clients.md says what it needs. Smaller models often fail at that."
    return replace(row, cause="nothing_written", message=f"{program.title} ended well, but wrote no {FILE_NAME}: {said}", remedy=remedy)
