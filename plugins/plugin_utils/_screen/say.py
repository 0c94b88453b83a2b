# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Lines for the person at the terminal, beside what Ansible shows of results.

A text of several lines as a task's result is one line of escaped text with most callbacks. So it is printed by itself, except where the
output is read by programs: there it would spoil the document, and the result has it.
"""

from __future__ import annotations

from ansible import constants
from ansible.utils.display import Display

#: Callbacks whose output is one document, or nothing.
_DOCUMENTS = ("json", "jsonl", "null")


def is_for_people(callback: str) -> bool:
    """Whether a callback of this name (C(stdout_callback)) writes lines for people to its output."""
    return callback.rpartition(".")[2] not in _DOCUMENTS


def is_read() -> bool:
    """Whether this run's output is for people."""
    return is_for_people(str(constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK")))


def say(text: str) -> None:
    """Print it, where somebody reads."""
    if is_read():
        Display().display(text)
