# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker Engine on the controller: used as it is where one answers, else installed from Debian and started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from testbed import settings
from testbed.shell import BedError, capture, run, say, succeeds, tail

_FOLDER = settings.STATE / "engine"
_DATA = _FOLDER / "data"
_PIDFILE = _FOLDER / "dockerd.pid"
_LOG = _FOLDER / "dockerd.log"
_STOP_MARK = _FOLDER / "stop-command"
"""How to stop an engine that runs as a service because of the bed."""
_BRIDGE_MARK = _FOLDER / "made-docker0"
_BRIDGE = Path("/sys/class/net/docker0")
_SOCKET = Path("/var/run/docker.sock")
_START_SECONDS = 60
_STOP_SECONDS = 60


def is_root() -> bool:
    return os.geteuid() == 0


def with_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def answers() -> bool:
    return succeeds(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)


def version() -> str:
    return capture(["docker", "version", "--format", "{{.Server.Version}}"])


def start_arguments() -> list[str]:
    """An engine with a data folder of its own, so that removing the bed's folder removes all of it."""
    return ["dockerd", "--data-root", str(_DATA), "--pidfile", str(_PIDFILE), "--log-level", "warn"]


def missing_programs() -> list[str]:
    return [name for name in ("docker", "dockerd", "iptables") if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]


def ensure() -> None:
    if answers():
        say(f"engine: Docker Engine {version()} answers")
        return
    if not is_root():
        if _SOCKET.exists() and not os.access(_SOCKET, os.W_OK):
            raise BedError(
                f"Docker Engine runs, but {_SOCKET} is closed to you. "
                "Either `sudo usermod -aG docker $USER` and log in again, or run this with sudo."
            )
        install = "sudo apt-get install -y docker.io iptables && " if missing_programs() else ""
        start = "sudo systemctl start docker" if with_systemd() else f"sudo python3 {settings.HERE / 'bed.py'} engine"
        raise BedError(f"No Docker Engine answers, and starting one needs root. Run: {install}{start}")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    if not _BRIDGE.exists():
        _BRIDGE_MARK.touch()
    if missing_programs():
        install_packages(["docker.io", "iptables"])
        if answers():  # Debian starts what it installs
            _STOP_MARK.write_text(
                "systemctl stop docker.service docker.socket containerd.service" if with_systemd() else "service docker stop"
            )
    if not answers():
        _start()
    say(f"engine: Docker Engine {version()} is up")


#: Asked by packages whether they may start what they bring; 101 means no.
_POLICY = Path("/usr/sbin/policy-rc.d")


def ensure_programs() -> None:
    """An SSH client, a Redis, nginx and Prometheus for the tests of what they are told: without services, and nginx's page on port 80."""
    needed = {"nginx": "nginx", "redis-server": "redis-server", "ssh": "openssh-client", "promtool": "prometheus"}
    missing = [needed[program] for program in needed if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is None]
    if not missing:
        return
    ours = is_root() and not _POLICY.exists()
    try:
        if ours:
            _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
            _POLICY.chmod(0o755)
        install_packages(missing)
    finally:
        if ours:
            _POLICY.unlink()
    for package in ("nginx", "redis-server", "prometheus"):
        if package in missing and with_systemd():
            capture(["systemctl", "disable", f"{package}.service"], check=False)


def install_packages(packages: list[str]) -> None:
    """Install Debian packages on the controller."""
    if shutil.which("apt-get") is None:
        raise BedError(f"Please install {', '.join(packages)}; only apt-get is known here, and this system has none.")
    if not is_root():
        raise BedError(f"Missing packages. Run: sudo apt-get install -y {' '.join(packages)}")
    say(f"engine: installing {', '.join(packages)}")
    run(["apt-get", "-qq", "update"], step="apt-get update")
    if "docker.io" in packages and succeeds(["apt-cache", "show", "docker-cli"]):
        packages = [*packages, "docker-cli"]  # newer Debian releases have the command in a package of its own
    run(
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages],
        step="apt-get install",
        environment={"DEBIAN_FRONTEND": "noninteractive"},
    )


def _start() -> None:
    if with_systemd():
        say("engine: systemctl start docker")
        capture(["systemctl", "start", "docker"])
        _STOP_MARK.write_text("systemctl stop docker.service docker.socket")
        _wait(None)
        return
    if _PIDFILE.exists() and _our_process() is None:
        _PIDFILE.unlink()
    try:
        _start_dockerd()
    except BedError:
        if _our_process() is not None:
            raise
        # The first containerd after a kill clears up and is too late for dockerd; the second one is in time.
        _start_dockerd()


def _start_dockerd() -> None:
    say(f"engine: starting dockerd (log: {_LOG})")
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    with _LOG.open("ab") as log:
        process = subprocess.Popen(
            start_arguments(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PATH": path},
        )
    _wait(process)


def _wait(process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not answers():
        if process is not None and process.poll() is not None:
            raise BedError(f"dockerd ended with {process.returncode}. The end of {_LOG}:\n{tail(_LOG)}")
        if time.monotonic() > deadline:
            where = "journalctl -u docker" if process is None else str(_LOG)
            raise BedError(f"Docker Engine did not answer within {_START_SECONDS} s; see {where}.\n{tail(_LOG)}")
        time.sleep(0.5)


def _our_process() -> int | None:
    """The id of the dockerd that this bed started, when it still runs."""
    try:
        pid = int(_PIDFILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(_PIDFILE).encode() in command else None


def wake() -> None:
    """Start the bed's dockerd once more where it was killed: only itself knows the bridges and rules that it left behind."""
    if not _DATA.exists() or answers() or not is_root() or with_systemd() or missing_programs():
        return
    try:
        _start()
    except BedError as error:
        say(f"clean: the engine that was killed does not start any more; its bridges may be left: {error}")


def stop() -> None:
    """Stop the engine if this bed started it."""
    pid = _our_process()
    if pid is not None:
        say(f"clean: stopping the dockerd started by the bed (process {pid})")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _our_process() is not None:
            if time.monotonic() > deadline:
                raise BedError(f"dockerd (process {pid}) did not stop within {_STOP_SECONDS} s; see {_LOG}")
            time.sleep(0.2)
    if not answers():
        # dockerd mounts its data onto itself, and leaves that where something was in use when it ended. Mostly there is nothing to do.
        capture(["umount", "--lazy", str(_DATA)], check=False)
    if _STOP_MARK.exists():
        command = _STOP_MARK.read_text()
        say(f"clean: {command} (it runs because of the bed)")
        capture(command.split(), check=False)
        _STOP_MARK.unlink()
    if _BRIDGE_MARK.exists() and not answers():
        capture(["ip", "link", "delete", "docker0"], check=False)  # dockerd leaves it behind
        _BRIDGE_MARK.unlink()
