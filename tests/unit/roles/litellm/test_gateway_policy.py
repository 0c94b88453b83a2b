# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

from gateway_policy import Policy


def test_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    assert Policy.load(path) == Policy()
    path.write_text(
        json.dumps(
            {
                "max_images": {"chat": 2},
                "media": {"allow_data": False, "allowed_domains": ["A.example"]},
                "client_routes": ["/x"],
                "raw": {"/x": 3},
                "sticky_sessions": True,
            }
        )
    )
    assert Policy.load(path) == Policy({"chat": 2}, False, ("a.example",), ("/x",), {"/x": 3}, True)
