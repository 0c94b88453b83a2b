# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.filter.docker_daemon_config import docker_daemon_config


@pytest.mark.parametrize(
    ("existing", "encoding"), [('{"debug": true}', "text"), (base64.b64encode(b'{"debug": true}').decode(), "base64"), (None, "base64")]
)
def test_text_or_base64_or_no_file(existing: str | None, encoding: str) -> None:
    result = docker_daemon_config(existing, {"mtu": 1400}, encoding=encoding)
    assert result["errors"] == []
    assert result["document"]["mtu"] == 1400
    assert result["action"] == "restart"


def test_a_file_that_is_no_text_is_left_alone() -> None:
    result = docker_daemon_config(base64.b64encode(b"\xff\xfe").decode(), {"mtu": 1400}, encoding="base64")
    assert "is not UTF-8 text" in result["errors"][0]
    assert result["changed_keys"] == []


def test_flags_of_the_unit_are_read() -> None:
    result = docker_daemon_config("{}", {"hosts": []}, exec_start="ExecStart=/usr/bin/dockerd $OPTS", environment="OPTS=-H fd://")
    assert "by the flag -H of docker.service" in result["errors"][0]


@pytest.mark.parametrize(("wanted", "options"), [([], {}), ({}, {"defaults": "x"}), ({}, {"encoding": "hex"})])
def test_wrong_arguments(wanted: t.Any, options: dict[str, t.Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="docker_daemon_config"):
        docker_daemon_config(None, wanted, **options)
