# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""systemd's notification socket (sd_notify(3))."""

from __future__ import annotations

import socket


class Notifier:
    """systemd's notification socket."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, **fields: str) -> None:
        if not self._address:
            return
        text = "\n".join("{}={}".format(key, value.replace("\n", " ")) for key, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
                client.connect(self._address)
                client.sendall(text.encode("utf-8"))
        except OSError:
            pass  # systemd restarts itself now and then; the next message gets through
