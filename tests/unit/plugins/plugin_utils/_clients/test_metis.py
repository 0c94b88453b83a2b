# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.metis import chunking


@pytest.mark.parametrize(
    ("context", "size", "overlap", "expected"),
    [
        (512, None, None, (448, 96)),  # the numbers of Metis' documentation
        (8192, None, None, (1024, 200)),
        (None, None, None, (1024, 200)),
        (512, 320, 64, (320, 64)),
        (512, 320, None, (320, 68)),
        (1, None, None, (1, 0)),
    ],
)
def test_chunking(context: int | None, size: int | None, overlap: int | None, expected: tuple[int, int]) -> None:
    assert chunking(context, size, overlap) == expected
