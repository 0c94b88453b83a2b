# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The proxy of a node, an nginx that is a unit of its own: whether it takes a configuration, what of it runs, and what it needs."""

from __future__ import annotations

import os
import tempfile
import typing as t
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd

NGINX = "/usr/sbin/nginx"
#: How often it is looked, and how many seconds apart, whether a proxy that was told to listens on its ports.
LOOKS, PAUSE = 6, 1.0

Action = t.Literal["none", "start", "reload", "restart"]


class ProxyError(Exception):
    """Why there is no such proxy, for people."""


@dataclass(frozen=True)
class NodeProxy:
    """C(unit): its name. C(runtime): its folder below /run. C(listen): addresses with ports, as ss prints them."""

    unit: str
    runtime: str
    listen: Collection[str]
    run: Run
    sleep: Callable[[float], None]

    def test(self, configuration: str, folder: str) -> None:
        """Raises ProxyError where nginx would not take it."""
        # It tries its temporary folders even in a test, and before the first start they are not there.
        os.makedirs(self.runtime, mode=0o755, exist_ok=True)
        handle, path = tempfile.mkstemp(suffix=".conf", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(configuration)
            ran = self.run([NGINX, "-t", "-q", "-c", path], 60)
        finally:
            os.unlink(path)
        if ran.rc:
            said = (ran.err.strip() or ran.out.strip()).replace(path, "nginx.conf")
            raise ProxyError(f"nginx would not take the new configuration, so the old one was left in its place: {said}")

    def wanted_action(self, rewritten: bool) -> Action:
        """C(rewritten): whether its unit is another one now. systemd itself knows of one that was written by a run that was killed."""
        shown = Systemd(self.run).show([self.unit], ["ActiveState", "NeedDaemonReload"])[self.unit]
        if rewritten or shown.get("NeedDaemonReload") == "yes":
            return "restart"
        if shown.get("ActiveState") not in {"active", "reloading"}:
            return "start"
        # Whatever this run has written: one that was killed leaves a proxy that does not know what is written. And a reload that cannot
        # have a port keeps the old configuration, of which only the journal tells.
        return "reload" if not self._knows_its_files() or self.closed() else "none"

    def starts_at_boot(self) -> bool:
        return Systemd(self.run).call("--quiet", "is-enabled", self.unit).rc == 0

    def _knows_its_files(self) -> bool:
        ran = self.run(["sha256sum", "--check", "--status", f"{self.runtime}/loaded.sha256"], 60)
        if ran.rc not in {0, 1}:
            raise ProxyError(f"what the proxy runs cannot be compared with its files: {ran.err.strip()}")
        return ran.rc == 0

    def closed(self) -> list[str]:
        """Where it should listen and does not."""
        ran = self.run(["ss", "-Hltnp"], 60)
        if ran.rc:
            raise ProxyError(f"it cannot be seen on which ports the proxy listens: {ran.err.strip()}")
        found = {line.split()[3] for line in ran.out.split("\n") if '"nginx"' in line}
        return [address for address in self.listen if address not in found]

    def carry_out(self, action: Action) -> None:
        """Raises SystemdError, and ProxyError where the proxy does not listen in the end."""
        systemd = Systemd(self.run)
        if action == "restart":
            systemd.do("daemon-reload")
        systemd.do(action, self.unit)
        closed: list[str] = []
        for look in range(LOOKS):
            if look:
                self.sleep(PAUSE)
            closed = self.closed()
            if not closed:
                return
        raise ProxyError(
            f"The proxy does not listen on {', '.join(closed)}. Another program may have that port (`ss -ltnp`), or the address is not one "
            f"of this node (node_proxy_listen_address). See `journalctl -u {self.unit}`."
        )
