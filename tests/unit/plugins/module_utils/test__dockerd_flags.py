# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._dockerd_flags import flagged_keys, unit_flags, value_of, without

DEBIAN_UNIT = (
    "ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS ; "
    "ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
)


@pytest.mark.parametrize(
    ("exec_start", "environment", "flags"),
    [
        (DEBIAN_UNIT, "", ("-H", "fd://", "--containerd=/run/containerd/containerd.sock")),
        (
            DEBIAN_UNIT,
            'DOCKER_OPTS="--dns 10.0.0.2 -D"\n# comment',
            ("-H", "fd://", "--containerd=/run/containerd/containerd.sock", "--dns", "10.0.0.2", "-D"),
        ),
        ("ExecStart=/usr/bin/dockerd --bip=${BIP} 'a b'", "BIP=10.1.0.1/24", ("--bip=10.1.0.1/24", "a b")),
        ("/usr/bin/dockerd", "", ()),
        ("/usr/bin/dockerd $OPTS", 'OPTS=--label "x', ("--label", '"x')),
        ("/usr/bin/dockerd $OPTS", "OPTS=a\u2028b", ("a\u2028b",)),
    ],
)
def test_unit_flags(exec_start: str, environment: str, flags: tuple[str, ...]) -> None:
    assert unit_flags(exec_start, environment) == flags


def test_flagged_keys() -> None:
    flags = ["-H", "fd://", "--log-opt=max-size=1m", "--log-opt=max-file=2", "--http-proxy=http://p", "-D", "--default-runtime", "nvidia"]
    assert flagged_keys(flags) == {
        "hosts": "-H",
        "log-opts": "--log-opt",
        "proxies.http-proxy": "--http-proxy",
        "debug": "-D",
        "default-runtime": "--default-runtime",
    }


@pytest.mark.parametrize("flags", [["-D", "--config-file", "/a.json", "-H", "fd://"], ["-D", "--config-file=/a.json", "-H", "fd://"]])
def test_one_flag_alone(flags: list[str]) -> None:
    assert value_of(flags, "--config-file") == "/a.json"
    assert without(flags, "--config-file") == ["-D", "-H", "fd://"]
    assert value_of(["-D"], "--config-file") is None
