# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing in the repository belongs to somebody: no keys, no tokens, no paths or servers of one developer's machine."""

from __future__ import annotations

import re

import pytest
from support.repository import ROOT, tracked_files

FORBIDDEN = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE[ ]KEY-----",
    # Played keys say so: they count up, or have no digit at all. Played accounts are called user.
    "a token": r"\b(?:sk-|hf_|ghp_|glpat-|AKIA|xox[bp]-)(?![\w-]*01234567)(?=[\w-]*[0-9])[\w-]{16,}",
    "a password in a URL": r"\b[a-z]+://(?!user:)[^/\s:@\"'{}<>]+:[^/\s:@\"'{}<>$]+@[a-z0-9]",
    "a path of one machine": r"(?<![\w.}])/(?:home/(?!user\b)\w|Users/\w|work/\w|root/\w|opt/(?:wheels|pypi)\b)",
    "a package registry": r"(?i)\b(?:pypi[.]|files[.]pythonhosted|registry[.]npmjs|artifactory[.]|nexus[.-])",
}
BINARY = {".wav", ".png", ".gpg"}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked_files()
        if path.suffix not in BINARY
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_generated_keys_are_not_committed() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked_files()]
    assert [name for name in names if ".secrets/" in name or name.endswith((".pem", ".key", ".retry"))] == []


@pytest.mark.parametrize(
    ("what", "text", "caught"),
    [
        ("a private key", "-----BEGIN OPENSSH PRIVATE" + " KEY-----", True),
        ("a token", "key: sk-" + "9f8A7bQ2" * 3, True),
        ("a token", "key: hf_" + "QwErTy42" * 4, True),
        ("a token", "key: sk-client-0123456789abcdef", False),
        ("a token", "Bearer sk-wrong-key-wrong-key", False),
        ("a password in a URL", "https://me:" + "secret@example.org/x", True),
        ("a password in a URL", "https://example.org:8443/a@b", False),
        ("a path of one machine", "cd /home/" + "alice/src", True),
        ("a path of one machine", "-v /home/user/.cache:/root/.cache", False),
        ("a package registry", "--index-url https://pypi" + ".example.org/simple", True),
    ],
)
def test_the_patterns_themselves(what: str, text: str, caught: bool) -> None:
    assert bool(re.search(FORBIDDEN[what], text)) is caught
