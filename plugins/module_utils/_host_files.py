# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Folders and files that are ours on a host, kept as declared by a module; in check mode what would change is only counted."""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t
from collections.abc import Mapping

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _files


class Module(t.Protocol):
    """What is needed of AnsibleModule."""

    check_mode: bool
    params: dict[str, t.Any]
    tmpdir: str

    def atomic_move(self, src: str, dest: str) -> None: ...
    def load_file_common_arguments(self, params: dict[str, t.Any]) -> dict[str, t.Any]: ...
    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool: ...


class HostFiles:
    def __init__(self, module: Module, owner: str | None) -> None:
        self.module = module
        self.changed = False
        self.diff: list[dict[str, str]] = []
        self._owner = owner

    def _attributes(self, path: str, mode: str) -> None:
        wanted = self.module.load_file_common_arguments({"path": path, "owner": self._owner, "group": self._owner, "mode": mode})
        self.changed = self.module.set_fs_attributes_if_different(wanted, self.changed)

    def _differs(self, path: str, before: str, after: str) -> None:
        self.changed = True
        self.diff.append({"before": before, "after": after, "before_header": path, "after_header": path})

    def folder(self, path: str, mode: str = "0755") -> None:
        if not os.path.isdir(path):
            self.changed = True
            if self.module.check_mode:
                return
            os.makedirs(path, mode=0o755)
        self._attributes(path, mode)

    def files(self, wanted: Mapping[str, str], mode: str = "0644", secret: bool = False) -> list[str]:
        """Those that were written or would be. C(secret): what stands in them is not told."""
        found = different(wanted)
        for path, before in found.items():
            texts = ("", "(written; its content is not shown)\n") if secret else (before or "", wanted[path])
            self._differs(path, *texts)
            if not self.module.check_mode:
                handle, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
                with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                    file.write(wanted[path])
                self.module.atomic_move(temporary, path)
        for path in wanted:
            if os.path.exists(path):
                self._attributes(path, mode)
        return list(found)

    def remove(self, path: str) -> None:
        """A file, or a folder with all that is in it."""
        if not os.path.lexists(path):
            return
        self._differs(path, "(present)\n", "")
        if self.module.check_mode:
            return
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def different(wanted: Mapping[str, str]) -> dict[str, str | None]:
    """What stands in those files that do not hold what is wanted; None where there is none."""
    present = {path: _files.read(path) for path in wanted}
    wrong = {path: found for path, found in present.items() if found != wanted[path].encode()}
    return {path: None if found is None else found.decode("utf-8", "replace") for path, found in wrong.items()}
