# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A daemon.json in every form that people have it, and configurations that Docker does not come up with."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

DAEMON_JSON = "/etc/docker/daemon.json"
JOURNAL = "/etc/gpu-inference/docker-change.json"


@pytest.fixture(name="bystander")
def _bystander(node: Any) -> Any:
    """A container that must not notice anything, though Docker has no restart policy for it."""
    node.sh(
        "docker image inspect bystander >/dev/null 2>&1 || tar --create --dereference --absolute-names --transform='s,^/,,' /bin/sleep "
        "/lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2 | docker import - bystander"
    )
    node.sh("docker run --detach --name bystander --network none bystander /bin/sleep infinity")
    yield lambda: node.sh("docker inspect --format '{{.State.Running}} {{.State.StartedAt}}' bystander")
    node.sh("docker rm --force bystander")


def test_the_engine_came_with_its_client_though_apt_was_in_trouble(node: Any) -> None:
    assert "does not have a Release file" in node.host.run("apt-get update -qq").stderr
    assert node.docker_runs()
    assert node.sh("dpkg-query --show --showformat '${db:Status-Status}' docker-cli") == "installed"


def test_a_configuration_that_passes_the_check_and_does_not_start(node: Any, good: str, bystander: Any) -> None:
    node.sh(f"chmod 640 {DAEMON_JSON}")
    before = bystander()
    rc, said = node.role("docker", docker_daemon_config={"log-driver": "local", "log-opts": {"labels": "app"}})
    assert rc != 0
    assert "unknown log opt 'labels' for log driver local" in said
    assert "The old configuration was put back, and Docker runs with it again." in said
    assert node.host.file(DAEMON_JSON).content_string == good
    assert node.host.file(DAEMON_JSON).mode == 0o640
    assert node.docker_runs()
    assert bystander() == before
    assert not node.host.file(JOURNAL).exists
    assert node.sh("ls /etc/docker") == "daemon.json"


def test_containers_survive_though_live_restore_comes_with_the_change(node: Any, good: str, bystander: Any) -> None:
    node.write(json.dumps({key: value for key, value in json.loads(good).items() if key != "live-restore"}))
    node.sh("systemctl reset-failed docker.service docker.socket; systemctl restart docker.service; docker start bystander")
    before = bystander()
    done = node.module("docker_daemon", wanted={"live-restore": True, "storage-driver": "nonsense"})
    assert "driver not supported: nonsense" in done["msg"]
    assert bystander() == before
    done = node.module("docker_daemon", wanted={"live-restore": True, "mtu": 1400})
    assert done["action"] == "restart"
    assert bystander() == before


def test_log_options_without_a_driver_keep_theirs(node: Any, good: str) -> None:
    document = {key: value for key, value in json.loads(good).items() if key != "log-driver"}
    node.write(json.dumps({**document, "log-opts": {"max-size": "10m", "labels": "app"}}))
    rc, said = node.role("docker")
    assert rc == 0, said
    after = json.loads(node.host.file(DAEMON_JSON).content_string)
    assert after["log-opts"] == {"max-size": "10m", "labels": "app"}
    assert "log-driver" not in after
    assert node.docker_runs()


def test_a_link_is_written_where_it_leads(node: Any, good: str) -> None:
    node.sh(f"mkdir -p /opt/site && mv {DAEMON_JSON} /opt/site/docker.json && ln -s /opt/site/docker.json {DAEMON_JSON}")
    node.sh("chown daemon:daemon /opt/site/docker.json && chmod 640 /opt/site/docker.json")
    done = node.module("docker_daemon", wanted={"debug": True})
    assert (done["failed"], done["file"]) == (False, "/opt/site/docker.json")
    assert node.host.file(DAEMON_JSON).is_symlink
    written = node.host.file("/opt/site/docker.json")
    assert (written.user, written.group, written.mode) == ("daemon", "daemon", 0o640)
    assert json.loads(written.content_string) == {**json.loads(good), "debug": True}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (f"rm {DAEMON_JSON}; ln -s /opt/none.json {DAEMON_JSON}", "is a link to /opt/none.json, which does not exist"),
        (f"rm {DAEMON_JSON}; ln -s daemon.json {DAEMON_JSON}", "is a link that leads back to itself"),
        (f"rm {DAEMON_JSON}; mkdir {DAEMON_JSON}", "is a directory"),
        (f"echo '{{,}}' > {DAEMON_JSON}", "is not valid JSON"),
        ("mount --bind /etc/docker /etc/docker && mount -o remount,ro,bind /etc/docker", "The file system is read-only."),
    ],
)
def test_what_cannot_be_written_is_told_and_left(node: Any, good: str, made: str, words: str) -> None:
    node.sh(made)
    listed = node.sh("ls -l /etc/docker")
    done = node.module("docker_daemon", wanted={"debug": True})
    after = node.sh("ls -l /etc/docker")
    node.host.run("mountpoint -q /etc/docker && umount /etc/docker")
    assert done["failed"]
    assert words in done["msg"]
    assert after == listed
    assert node.docker_runs()


@pytest.mark.parametrize("text", ["", "\n", "null", "\ufeff{}", '\ufeff{"debug": true}'])
def test_what_docker_takes_for_a_file_is_one(node: Any, good: str, text: str) -> None:
    node.write(text)
    assert node.sh(f"dockerd --validate --config-file={DAEMON_JSON} 2>&1") == "configuration OK"
    done = node.module("docker_daemon", wanted=json.loads(good))
    assert not done["failed"], done
    assert json.loads(node.host.file(DAEMON_JSON).content_string) == {**({"debug": True} if "debug" in text else {}), **json.loads(good)}


def test_a_file_elsewhere_is_the_one_that_counts(node: Any, good: str) -> None:
    drop_in = "/etc/systemd/system/docker.service.d/elsewhere.conf"
    node.write(good, "/etc/docker/site.json")
    node.sh("mkdir -p /etc/systemd/system/docker.service.d")
    command = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --config-file=/etc/docker/site.json --log-level=warn"
    node.write(f"[Service]\nExecStart=\nExecStart={command}\n", drop_in)
    node.sh("systemctl daemon-reload; systemctl restart docker.service")
    try:
        done = node.module("docker_daemon", wanted={"debug": True}, defaults={"log-level": "info"})
        assert (done["failed"], done["file"], done["changed_keys"]) == (False, "/etc/docker/site.json", ["debug"])
        refused = node.module("docker_daemon", wanted={"log-level": "info"})
        assert "by the flag --log-level of docker.service" in refused["msg"]
    finally:
        node.sh(f"rm -f {drop_in} /etc/docker/site.json*; systemctl daemon-reload")


def test_a_drop_in_that_docker_does_not_start_with_goes_again(node: Any, good: str) -> None:
    folder = "/etc/systemd/system/docker.service.d"
    done = node.module("docker_daemon", environment={"DOCKER_TMPDIR": "/proc/nowhere"})
    assert "Docker did not start with" in done["msg"]
    assert "The old configuration was put back, and Docker runs with it again." in done["msg"]
    assert not node.host.file(f"{folder}/gpu-inference.env").exists
    assert not node.host.file(f"{folder}/gpu-inference.conf").exists


def test_a_run_that_was_killed_is_taken_back_by_the_next(node: Any, good: str) -> None:
    # Time enough to kill it: the daemon takes long to start.
    drop_in = "/etc/systemd/system/docker.service.d/slow.conf"
    node.sh("mkdir -p /etc/systemd/system/docker.service.d")
    node.write("[Service]\nExecStartPre=/bin/sleep 15\n", drop_in)
    node.sh("systemctl daemon-reload")
    running = node.start("docker_daemon", {"wanted": {"storage-driver": "nonsense"}})
    deadline = time.monotonic() + 60
    while not node.host.file(JOURNAL).exists and time.monotonic() < deadline:
        time.sleep(0.05)
    # With pipelining the module is the Python that reads it from its standard input.
    node.host.run("pkill -KILL -x 'python3.*'")
    running.communicate(timeout=60)
    node.sh(f"rm {drop_in}; systemctl daemon-reload")
    assert node.host.file(JOURNAL).exists, "it was not killed in time"
    assert "nonsense" in node.host.file(DAEMON_JSON).content_string
    done = node.module("docker_daemon", wanted={})
    assert "Docker runs with it again" in done["msg"]
    assert node.host.file(DAEMON_JSON).content_string == good
    assert node.docker_runs()
    assert not node.module("docker_daemon", wanted={})["changed"]


def test_a_docker_that_hangs_holds_nobody_up(node: Any, good: str) -> None:
    began = time.monotonic()
    node.sh("kill -STOP $(pidof dockerd)")
    try:
        _rc, said = node.role("docker")
        rc, _said = node.role("network", network_networks=[{"name": "inference", "subnet": "10.89.16.0/24"}])
    finally:
        node.sh("kill -CONT $(pidof dockerd)")
    assert "does not answer docker info within 30 s" in said
    assert "systemctl restart docker.service" in said
    assert rc != 0
    assert time.monotonic() - began < 180


def test_a_docker_that_is_broken_already_is_told_as_such(node: Any, good: str) -> None:
    node.write(json.dumps({**json.loads(good), "storage-driver": "nonsense"}))
    node.host.run("systemctl restart docker.service")
    done = node.module("docker_daemon", wanted={"debug": True})
    assert "driver not supported: nonsense" in done["msg"]
    assert "It did not run before this run either." in done["msg"]
    assert "debug" not in node.host.file(DAEMON_JSON).content_string
