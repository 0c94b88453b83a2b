# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection promises, and for each promise the edit that breaks it with the test that notices: one table for each topic.

test_features.py tries them all; docs/proven.md has them as tables: `make docs`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from mutations.feature import Feature  # noqa: E402 - the folder above becomes importable first
from mutations.tables import changes, gateway, hardware, host, planning, readiness, secrecy  # noqa: E402

PAGE = ROOT / "docs" / "proven.md"
SECTIONS = {
    "The gateway": gateway.FEATURES,
    "Secrets": secrecy.FEATURES,
    "The host's own": host.FEATURES,
    "What a host is": hardware.FEATURES,
    "A change leaves no less than before": changes.FEATURES,
    "Readiness and causes": readiness.FEATURES,
    "The plan": planning.FEATURES,
}
FEATURES = [feature for features in SECTIONS.values() for feature in features]


def table(features: Iterable[Feature]) -> str:
    lines = ["| feature | taken out | the test that failed | what it said |", "| --- | --- | --- | --- |"]
    for one in features:
        file, _colons, name = one.test.partition("::")
        test = f"[`{name or Path(file).stem}`](../{file})"
        told = one.told.replace("|", "\\|")
        lines.append(f"| {one.promise} | {one.removed} (`{one.file}`) | {test} | `{told}` |")
    return "\n".join(lines) + "\n"


def page_with_tables(page: str) -> str:
    tables = "\n".join(f"## {title}\n\n{table(features)}" for title, features in SECTIONS.items())
    begin, end = "<!-- BEGIN_FEATURES -->\n", "<!-- END_FEATURES -->"
    before, after = page.partition(begin)[0], page.partition(end)[2]
    return f"{before}{begin}\n{tables}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write("docs/proven.md is up to date\n")
