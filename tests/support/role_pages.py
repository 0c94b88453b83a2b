# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the table of variables on each role's page from the role's argument spec: `make docs`.

All roles in one process: starting aar-doc is what takes its time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from aar_doc.cli import app

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "docs" / "role_variables.md.j2"


def write_tables(roles: Iterable[Path]) -> None:
    for role in roles:
        app(["--output-template", str(TEMPLATE), str(role), "markdown"], standalone_mode=False)
        page = role / "README.md"
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)), encoding="utf-8")


if __name__ == "__main__":
    write_tables(sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir()))
    sys.stdout.write("roles/*/README.md are up to date\n")
