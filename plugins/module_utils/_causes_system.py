# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the host says to any program: a port that is taken, a /dev/shm that is too small."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, rule  # type: ignore[import-not-found,no-redef]

_TAKEN = "Another process holds this port. Find it with 'ss -ltnp' and stop it, or give the service another port."

RULES = (
    rule(
        Cause.PORT_IN_USE,
        "Linux, errno EADDRINUSE; moby/moby, portallocator",
        r"port is already allocated",
        r"[Aa]ddress (?:is )?(?:already )?in use(?! for the requested ip)",
        r"[Ff]ailed to bind host port(?!.*cannot assign)",
        r"\[Errno 98\]",
        r"EADDRINUSE|Only one usage of each socket address|forbidden by its access permissions",
        r"[Pp]orts are not available",
        r"couldn't bind (?:HTTP )?server socket",
        r"bind: address already|[Pp]ort \d+ is (?:already )?(?:in use|taken|occupied|not available)",
        r"(?:[Uu]nable|[Ff]ailed) to bind (?!.*cannot assign).*(?:in use|port)",
        remedy=_TAKEN,
    ),
    # Before the full disk: both say "No space left on device".
    rule(
        Cause.SHARED_MEMORY,
        "vllm/distributed/device_communicators/shm_broadcast.py; pytorch, shm; NCCL",
        r"Insufficient space in /dev/shm",
        r"[Ii]nsufficient shared memory",
        r"out of shared memory \(shm\)",
        r"No space left on device.*(?:/dev/shm|/psm_|nccl-|torch_)",
        r"/dev/shm.*(?:No space left on device|too small|full)",  # noqa: S108 - the words of a message
        r"unable to (?:open|allocate|mmap|write|resize) (?:\d+ bytes from |to )?(?:shared memory|file </torch_)",
        r"creating shared memory segment",
        r"DataLoader worker .* Bus error",
        r"[Bb]us error|SIGBUS|[Ss]ignal 7\b|exit ?code:? -7\b",
        r"[Cc]all to posix_fallocate failed.*(?:shm|No space)|shm_open|shared memory (?:segment|object).*(?:fail|exhaust|No space)",
        r"increas\w+ (?:the )?(?:shm|shared memory)|--shm-size",
    ),
)
