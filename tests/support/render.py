# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of a role, rendered by Ansible itself as the role does it.

In a process of its own: Ansible finds the collection's filters only if its loader comes before the first import of the collection,
and the tests have imported it long since.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def render(role: str, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """For each template and its variables, which go on top of the role's own, the text."""
    done = subprocess.run(
        [sys.executable, __file__, role], input=json.dumps(jobs), capture_output=True, text=True, check=False, env={"HOME": "/nonexistent"}
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    texts: list[str] = json.loads(done.stdout)
    return texts


def _trust(text: str) -> str:
    try:
        from ansible.template import trust_as_template
    except ImportError:  # before ansible-core 2.19 every text was a template
        return text
    trusted: str = trust_as_template(text)
    return trusted


def _trusted(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _trusted(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_trusted(value) for value in data]
    return _trust(data) if isinstance(data, str) else data


def _main(role: str) -> None:
    import yaml
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar

    init_plugin_loader([str(ROOT / "collections")])
    folder = ROOT / "roles" / role
    own: dict[str, Any] = {"ansible_managed": "Ansible managed", "role_path": str(folder)}
    for file in (folder / "defaults" / "main.yml", folder / "vars" / "main.yml"):
        if file.exists():
            own.update(_trusted(yaml.safe_load(file.read_text(encoding="utf-8"))))
    texts = []
    for template, variables in json.load(sys.stdin):
        templar = Templar(loader=DataLoader(), variables={**own, **variables})
        text = (folder / "templates" / template).read_text(encoding="utf-8")
        # As the module template does; in tasks backslashes are doubled.
        texts.append(str(templar.template(_trust(text), escape_backslashes=False)))
    json.dump(texts, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1])
