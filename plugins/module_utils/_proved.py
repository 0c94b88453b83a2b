# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What an instance served with before a change: kept beside its files until the change has proved itself.

A host that goes down before that comes up with what was kept, without anybody's help. That it went down is known by a mark that does not
outlive a boot, since /run does not: whoever kills the run that made the change, or the engine, finds the mark there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import SERVICE_FILE, Instance, Paths, read_json
except ImportError:  # on the node the files lie side by side
    from _node import SERVICE_FILE, Instance, Paths, read_json  # type: ignore[import-not-found,no-redef]

FOLDER = ".proved"


def _kept(paths: Paths, instance: Instance) -> Path:
    return paths.folder(instance.kind, instance.name) / FOLDER


def _temporary(kept: Path) -> Path:
    return kept.with_name(kept.name + ".tmp")


def _mark(paths: Paths, instance: Instance) -> Path:
    return paths.runtime / "unproved" / f"{instance.kind}@{instance.name}"


def keep(paths: Paths, instance: Instance, names: Iterable[str]) -> None:
    """Copies these files of the instance's folder, which are about to be replaced, with their modes."""
    forget(paths, instance)
    kept = _kept(paths, instance)
    temporary = _temporary(kept)
    temporary.mkdir(mode=0o700)
    for name in names:
        shutil.copy2(kept.parent / name, temporary / name)
        _to_disk(temporary / name)
    mark = _mark(paths, instance)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    os.rename(temporary, kept)
    _to_disk(kept.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget(paths: Paths, instance: Instance) -> None:
    """The change has proved itself, or is none any more."""
    kept = _kept(paths, instance)
    temporary = _temporary(kept)
    with contextlib.suppress(FileNotFoundError):
        os.rename(kept, temporary)  # at once: half of it must not be put back
    shutil.rmtree(temporary, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        _mark(paths, instance).unlink()


def put_back(paths: Paths, instance: Instance) -> bool:
    """After a boot: whether the instance's files are again those that were kept. Who was stopped on the way goes on."""
    kept, folder = _kept(paths, instance), paths.folder(instance.kind, instance.name)
    service = read_json(kept / SERVICE_FILE)
    if service is None or _mark(paths, instance).exists():
        return False
    new = read_json(folder / SERVICE_FILE) or {}
    surplus = {str(name) for name in new.get("files") or ()} - {str(name) for name in service.get("files") or ()}
    for name in surplus:
        with contextlib.suppress(FileNotFoundError):
            (folder / os.path.basename(name)).unlink()
    # service.json last, as it says whether there is something to put back.
    for name in sorted(os.listdir(kept), key=lambda name: name == SERVICE_FILE):
        with contextlib.suppress(FileNotFoundError):
            os.replace(kept / name, folder / name)
    _to_disk(folder)
    shutil.rmtree(kept, ignore_errors=True)
    return True
