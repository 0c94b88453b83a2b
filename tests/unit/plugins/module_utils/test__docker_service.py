# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import (
    DockerService,
    NoAnswerError,
    Unit,
    dockerd_of,
    parse_info,
    parse_unit,
    telling_line,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran

SHOWN = """\
ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; start_time=[n/a] ; pid=0 }
Environment=
EnvironmentFiles=/etc/default/docker (ignore_errors=yes)
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
"""
ABSENT = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n"


def test_the_unit() -> None:
    files = {"/etc/default/docker": "# comment\nDOCKER_OPTS='--log-driver=journald'\n"}
    unit = parse_unit(SHOWN, lambda path: files.get(path, ""))
    assert unit == Unit("loaded", "active", "running", "enabled", "/usr/sbin/dockerd", ("-H", "fd://", "--log-driver=journald"))
    assert unit.loaded
    assert parse_unit(ABSENT, lambda _path: "") == Unit("not-found", "inactive", "dead", "", "", ())


def test_the_program_that_checks_a_file() -> None:
    unit = parse_unit(SHOWN, lambda _path: "")
    assert dockerd_of(unit, lambda _name: None) == ("/usr/sbin/dockerd", ("-H", "fd://"))
    wrapped = parse_unit(SHOWN.replace("/usr/sbin/dockerd", "/opt/start.sh"), lambda _path: "")
    assert dockerd_of(wrapped, lambda name: f"/usr/bin/{name}") == ("/usr/bin/dockerd", ())


def test_an_answer_that_is_none() -> None:
    assert parse_info("") == {}
    assert parse_info("[1]") == {}
    assert parse_info('{"ServerVersion": "26.1.5"}') == {"ServerVersion": "26.1.5"}


# What dockerd 26.1.5 wrote into the journal.
RELOADED = 'time="2026-11-27T00:14:40.4Z" level=info msg="Reloaded configuration: {\\"pidfile\\":\\"/var/run/docker.pid\\"}"'


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "Starting docker.service - Docker Application Container Engine...\n"
            'time="2026-11-27T00:10:01.1Z" level=info msg="Starting up"\n'
            "failed to start daemon: failed to set log opts: unknown log opt 'labels' for log driver local\n"
            "docker.service: Main process exited, code=exited, status=1/FAILURE\n"
            "docker.service: Failed with result 'exit-code'.\nFailed to start docker.service - Docker Application Container Engine.\n",
            "failed to start daemon: failed to set log opts: unknown log opt 'labels' for log driver local",
        ),
        (
            'time="2026-11-27T00:14:07.3Z" level=error msg="Error reconfiguring the daemon: invalid mirror: unsupported scheme \\"ftp\\" in \\"ftp://h\\""',
            'Error reconfiguring the daemon: invalid mirror: unsupported scheme "ftp" in "ftp://h"',
        ),
        (
            'time="x" level=error msg="unable to configure the Docker daemon with file /a.json: invalid size: \'abc\'"',
            "unable to configure the Docker daemon with file /a.json: invalid size: 'abc'",
        ),
        ('time="x" level=fatal msg="no space for https://user:secret@h/"\nlevel=error msg="other"', "no space for https://***@h/"),
        ("docker.service: Failed with result 'exit-code'.\n" + RELOADED, ""),
        ("", ""),
    ],
)
def test_the_line_that_tells(log: str, expected: str) -> None:
    assert telling_line(log) == expected


def test_a_long_line_is_cut() -> None:
    assert len(telling_line("failed to start daemon: " + "x" * 1000)) == 400


class Programs:
    """Answers by the beginning of a command; the clock goes on by what is slept."""

    def __init__(self, answers: dict[str, Ran]) -> None:
        self.answers = answers
        self.seconds = 0.0

    def run(self, argv: Sequence[str], _seconds: float, _text: str = "", /) -> Ran:
        words = " ".join(argv)
        return next((answer for beginning, answer in self.answers.items() if words.startswith(beginning)), Ran(0))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def service(self) -> DockerService:
        return DockerService(self.run, lambda: self.seconds, self.sleep, lambda: self.seconds, 20)


UP = Ran(0, '{"ServerVersion": "26.1.5"}')
DOWN = Ran(1, '{"ServerErrors": ["Cannot connect"]}')
FAILED = Ran(1, "", "Job for docker.service failed.\n")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"docker info": UP}, ""),
        ({"docker info": DOWN}, "it did not answer 20 s after its start"),
        ({"docker info": Ran(124)}, "it did not answer 20 s after its start"),
        ({"docker info": DOWN, "journalctl": Ran(0, 'level=fatal msg="no space"\n')}, "no space"),
        ({"systemctl restart": FAILED}, "Job for docker.service failed."),
        ({"systemctl restart": Ran(1)}, "exit code 1"),
        ({"systemctl restart": FAILED, "journalctl": Ran(0, "failed to start daemon: x\n")}, "failed to start daemon: x"),
        ({"systemctl restart": Ran(124)}, "it was not ready 20 s after its start"),
    ],
)
def test_a_restart(answers: dict[str, Ran], reason: str) -> None:
    assert Programs(answers).service().restart() == reason


@pytest.mark.parametrize(
    ("answers", "followed", "reason"),
    [
        ({"journalctl": Ran(0, RELOADED), "docker info": UP}, True, ""),
        (
            {"journalctl": Ran(0, 'level=error msg="Error reconfiguring the daemon: x"'), "docker info": UP},
            True,
            "Error reconfiguring the daemon: x",
        ),
        # Where the daemon's log goes elsewhere, only the daemon itself can tell.
        ({"docker info": UP}, True, ""),
        ({"docker info": UP}, False, "it does not follow its file 15 s after the reload"),
        ({"journalctl": Ran(0, RELOADED), "docker info": UP}, False, "it does not follow its file 15 s after the reload"),
        (
            {"systemctl reload": Ran(1, "", "docker.service is not active, cannot reload.\n")},
            True,
            "systemctl reload docker.service: docker.service is not active, cannot reload.",
        ),
    ],
)
def test_a_reload(answers: dict[str, Ran], followed: bool, reason: str) -> None:
    assert Programs(answers).service().reload(lambda info: followed and bool(info)) == reason


def test_a_daemon_that_takes_the_question_and_does_not_answer() -> None:
    with pytest.raises(NoAnswerError):
        Programs({"docker info": Ran(124)}).service().info()
