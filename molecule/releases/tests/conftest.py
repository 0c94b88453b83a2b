# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every test begins with a node on which all is ready; what was measured, and a table of all changes, stand at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asked import ROWS, table
from full_count import leave_out
from one_gpu_node import journal_of_a_failure, sound_node, told_at_the_end

__all__ = ["journal_of_a_failure", "sound_node", "told_at_the_end"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The full count takes an hour."""
    leave_out("test_all_changes.py", "LLMOPS_ALL_CHANGES", config, items)


@pytest.fixture(scope="session", autouse=True)
def table_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + table() if ROWS else "")
