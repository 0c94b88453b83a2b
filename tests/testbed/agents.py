# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coding agents that tests/clients/package.json pins, from npm into build/clients."""

from __future__ import annotations

import shutil

from testbed import engine, settings
from testbed.shell import run, say

PINS = settings.REPOSITORY / "tests" / "clients" / "package.json"
FOLDER = settings.REPOSITORY / "build" / "clients"
_MODULES = FOLDER / "node_modules"
PROGRAMS = {
    "claude": _MODULES / "@anthropic-ai/claude-code/bin/claude.exe",
    "codex": _MODULES / "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
    "opencode": _MODULES / "opencode-ai/bin/opencode.exe",
}
"""The programs themselves, which need no Node.js."""

#: Scripts of packages do not run by themselves: these two put the program of this machine in its place.
_SCRIPTS = (("@anthropic-ai/claude-code", "install.cjs"), ("opencode-ai", "postinstall.mjs"))


def ensure() -> None:
    """Fetch them unless these very versions are there."""
    mark = FOLDER / "package.json"
    if mark.exists() and mark.read_bytes() == PINS.read_bytes() and all(program.exists() for program in PROGRAMS.values()):
        say("agents: they are there")
        return
    if shutil.which("npm") is None:
        engine.install_packages(["nodejs", "npm"])
    shutil.rmtree(_MODULES, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copy(PINS, mark)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    seconds = run(["npm", "install", "--prefix", str(FOLDER), *options], step="npm install")
    for package, script in _SCRIPTS:
        run(["node", script], step=script, cwd=_MODULES / package)
    say(f"agents: fetched in {seconds:.0f} s")
