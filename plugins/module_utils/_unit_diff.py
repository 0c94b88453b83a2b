# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Before and after of an instance's files, as a person may read it."""

from __future__ import annotations

import json

from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, SERVICE_FILE
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Folder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted

HIDDEN = "<hidden>"


def diff_of(wanted: Wanted, folder: Folder) -> list[dict[str, str]]:
    """Before and after of what differs, without any secret."""
    result = []
    names = folder.differing(wanted.files)
    for name in names + folder.surplus(wanted.files):
        before, after = folder.texts.get(name, ""), wanted.files.get(name, "")
        if name == ENV_FILE:
            before, after = hide_secrets(before, after, wanted.secret_names, old_secret_names(folder))
        header = f"{folder.path}/{name}"
        result.append({"before_header": header, "after_header": header, "before": before, "after": after})
    return result


def old_secret_names(folder: Folder) -> frozenset[str] | None:
    """Which variables were secret; None: it isn't known, so all of them."""
    try:
        return frozenset(json.loads(folder.texts[SERVICE_FILE])["secret_names"])
    except (KeyError, ValueError, TypeError):
        return None


def hide_secrets(before: str, after: str, new: frozenset[str], old: frozenset[str] | None) -> tuple[str, str]:
    def pairs(text: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)

    was, will = pairs(before), pairs(after)

    def shown(name: str, value: str, mark: str) -> str:
        return HIDDEN + mark if name in new or name in (old or ()) else value

    first = "".join(f"{name}={HIDDEN if old is None else shown(name, value, '')}\n" for name, value in was.items())
    second = "".join(
        f"{name}={shown(name, value, ' (changed)' if name in was and was[name] != value else '')}\n" for name, value in will.items()
    )
    return first, second
