# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Which configurations of an instance have been ready on this host, by their config hash: kept beyond a reboot."""

from __future__ import annotations

import json
from pathlib import Path

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import read_json, write_atomically
except ImportError:  # on the node the files lie side by side
    from _node import read_json, write_atomically  # type: ignore[import-not-found,no-redef]

KEPT = 16  # configurations; who goes back and forth between two wants both


def read(path: Path) -> dict[str, float]:
    """When each configuration was last found ready, in seconds since the epoch, for people; empty where nothing is recorded."""
    found = (read_json(path) or {}).get("ready")
    if not isinstance(found, dict):
        return {}
    return {str(config_hash): float(at) for config_hash, at in found.items() if isinstance(at, (int, float))}


def record(path: Path, config_hash: str, now: float) -> None:
    """Notes that a configuration is ready. The last one stays the last, also where the clock was set back meanwhile."""
    known = {key: at for key, at in read(path).items() if key != config_hash}
    kept = dict([*known.items(), (config_hash, now)][-KEPT:])
    write_atomically(path, json.dumps({"ready": kept}, indent=1) + "\n")
