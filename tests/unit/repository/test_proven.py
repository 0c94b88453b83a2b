# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edits of `make mutations` still fit the code, and their page is in step. That the tests fail without the code is seen there."""

from __future__ import annotations

import pytest
from mutations.feature import Feature
from mutations.features import FEATURES, PAGE, page_with_tables
from support.repository import ROOT


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.promise)
def test_the_edit_fits(feature: Feature) -> None:
    assert (ROOT / feature.file).read_text(encoding="utf-8").count(feature.old) == 1
    file, _colons, name = feature.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_a_promise_is_made_once() -> None:
    assert len({feature.promise for feature in FEATURES}) == len(FEATURES)


def test_the_page_is_in_step() -> None:
    """Otherwise: make docs."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_tables(page)
