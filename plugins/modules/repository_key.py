#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_key
short_description: Install the signing key of a package repository after comparing its fingerprint
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Takes an OpenPGP key from a URL, a file, or a text, and writes it to a file for C(Signed-By) or C(gpgkey).
  - Only when every primary key in it has an expected fingerprint. One more key in the same file would be trusted as well.
  - The fingerprint is computed by the module. The node needs no GnuPG.
  - A file that is there already and holds expected keys only is left alone, and nothing is fetched.
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is fetched, so a wrong fingerprint behind O(url) is not predicted.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  dest:
    description: The file to write. The key is always written in its armoured form, so the name should end with C(.asc).
    type: path
    required: true
  url:
    description: Where the key is; C(http), C(https), C(ftp), or C(file).
    type: str
  content:
    description: The armoured key itself, for nodes that can reach no such URL. Wins over O(url).
    type: str
  fingerprints:
    description: The full fingerprints, of which the key must have one. Blanks and colons do not matter.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait for O(url).
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Install the key of Docker's own repository
  llmops.gpu_inference.repository_key:
    url: https://download.docker.com/linux/debian/gpg
    dest: /etc/apt/keyrings/docker.asc
    fingerprints: [9DC858229FC7DD38854AE2D88D81803C0EBFCD88]
"""

RETURN = r"""
fingerprints:
  description: The fingerprints of the keys in the file.
  returned: when the key is known
  type: list
  elements: str
"""

import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

from ansible_collections.llmops.gpu_inference.plugins.module_utils._openpgp import (
    KeyFormatError,
    armored,
    normal_fingerprint,
    primary_fingerprints,
)


def _present(path: str) -> tuple[str, ...]:
    try:
        with open(path, "rb") as file:
            return primary_fingerprints(file.read())
    except (OSError, KeyFormatError):
        return ()


def _fetch(module: AnsibleModule) -> tuple[bytes, str]:
    if module.params["content"]:
        return module.params["content"].encode("utf-8"), "the given text"
    url = module.params["url"]
    response, info = fetch_url(module, url, timeout=module.params["timeout"])
    # A file:// answer has no status; fetch_url says 200 or, on failure, -1.
    if info.get("status") not in (200, None) or response is None:
        module.fail_json(msg=f"Cannot fetch the repository key from {url}: {info.get('msg')}. Is a mirror or a proxy needed here?")
    return t.cast(bytes, response.read()), url


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "url": {"type": "str"},
            "content": {"type": "str", "no_log": False},
            "fingerprints": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 30},
        },
        required_one_of=[("url", "content")],
        supports_check_mode=True,
    )
    dest = module.params["dest"]
    try:
        expected = {normal_fingerprint(text) for text in module.params["fingerprints"]}
    except KeyFormatError as error:
        module.fail_json(msg=f"fingerprints: {error}.")
    present = _present(dest)
    if present and expected.issuperset(present):
        changed = module.set_fs_attributes_if_different({**module.load_file_common_arguments({"path": dest}), "mode": "0644"}, False)
        module.exit_json(changed=changed, fingerprints=list(present))

    diff = {"before": "\n".join(present) + "\n" if present else "", "before_header": dest, "after_header": dest}
    if module.check_mode and not module.params["content"]:
        module.exit_json(changed=True, diff={**diff, "after": "(to be fetched)\n"})

    data, source = _fetch(module)
    try:
        found = primary_fingerprints(data)
        text = armored(data)
    except KeyFormatError as error:
        module.fail_json(msg=f"What came from {source} is not a usable key: {error}. Nothing was installed. It starts with {data[:60]!r}.")
    if not expected.issuperset(found):
        module.fail_json(
            msg=f"The key from {source} has the fingerprint {', '.join(found)}, expected {' or '.join(sorted(expected))}. "
            f"Nothing was installed. "
            f"Either this is not the publisher's key, or the repository has a key of its own (a mirror that signs itself): "
            f"then set the expected fingerprint to one that its owner confirms.",
            fingerprints=list(found),
        )
    if not module.check_mode:
        os.makedirs(os.path.dirname(dest), mode=0o755, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        module.atomic_move(name, dest)
        os.chmod(dest, 0o644)
    module.exit_json(changed=True, fingerprints=list(found), diff={**diff, "after": "\n".join(found) + "\n"})


if __name__ == "__main__":
    main()
