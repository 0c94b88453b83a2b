#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_files
author: llmops.gpu_inference contributors (@llmops)
version_added: 0.9.0
short_description: Writes and removes the files that client programs read to reach the gateway
description:
  - Writes files that hold a key, and takes out again what left the list.
  - A file is written beside its place, parsed back, and renamed over it, so a reader never sees half a file or wider permissions.
  - A file of somebody else that stands in the place of one of ours is renamed to C(<path>.<time>~) first.
  - Entries of others in a list of connections and in a file of settings stay as they are.
  - A file whose entries of others stay must belong to the O(files[].owner) already, who gets what is in it.
  - Where a setting of somebody else gives way to one of ours for the first time, the file as it was is kept as C(<path>.<time>~).
  - What was written is remembered in a manifest without secrets. A file that left the list is removed when the manifest names it and it
    still starts with the marker of this collection; of a list of connections or a file of settings only what this module wrote is removed.
options:
  files:
    description: The files, as the filter P(llmops.gpu_inference.client_files#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. A leading C(~) is the home directory of the user who writes.
        type: path
        required: true
      content:
        description: The text. Unless it is O(files[].merge=none), the document with our entries or settings alone.
        type: str
        required: true
      merge:
        description:
          - With V(none) the whole file is ours.
          - With V(connections) it is a JSON object whose list C(connections) holds entries of others too, and only those with our ids are.
          - With V(json) it is a JSON object of settings, of which only the given ones are ours.
          - With V(toml) it is a TOML file, of which only the given settings are ours, one a line and before all tables.
          - With V(whole) the whole file is ours, and its text has no room for a word that says so.
        type: str
        choices: [none, connections, json, toml, whole]
        default: none
      beside_those_of_the_host:
        description: Whether the certificates of the authorities that the host trusts follow the text.
        type: bool
        default: false
      owner:
        description: Name of the owner. Without it, an existing file keeps its owner.
        type: str
      group:
        description: Name of the group. Without it, an existing file keeps its group.
        type: str
      mode:
        description: Permissions, as four octal digits.
        type: str
        default: "0600"
      directory_mode:
        description: Permissions of folders that have to be made for the file; they get its owner and group.
        type: str
        default: "0755"
  manifest:
    description: Where the list of written files is kept.
    type: path
    required: true
  prune:
    description: Whether files that the manifest lists and O(files) does not are removed.
    type: bool
    default: true
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The files hold keys, so their text is never shown.
  idempotent:
    support: full
seealso:
  - plugin: llmops.gpu_inference.client_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write an OpenAI environment file
  llmops.gpu_inference.client_files:
    manifest: /etc/gpu-inference/clients.json
    files:
      - path: /srv/app/openai.env
        owner: app
        group: app
        content: "{{ app_environment }}"
"""

RETURN = r"""
written:
  description: Paths that were written or would be.
  type: list
  elements: str
  returned: always
removed:
  description: Paths that were deleted, or out of which our entries were taken.
  type: list
  elements: str
  returned: always
backups:
  description: Names under which files of others are kept that stood in the way, or in which a setting gave way.
  type: list
  elements: str
  returned: always
"""

import contextlib
import grp
import os
import pwd
import stat
import tempfile
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._client_merge import FORMS, plan_removal
from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import (
    ClientFileError,
    Record,
    dump_manifest,
    is_ours,
    parse_manifest,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import keep_attributes

#: Where distributions keep the certificates of the authorities that they trust, in one file.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


def authorities() -> str:
    for path in AUTHORITIES:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    return ""


class Writer:
    """Brings the files of one host in line with the list."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.check_mode: bool = module.check_mode
        self.files: list[dict[str, Any]] = module.params["files"]
        self.manifest: str = module.params["manifest"]
        self.prune: bool = module.params["prune"]
        self.written: list[str] = []
        self.removed: list[str] = []
        self.backups: list[str] = []
        #: Files in which a setting of somebody else gives way to one of ours.
        self.giving_way: set[str] = set()
        self.manifest_changed = False

    def run(self) -> dict[str, Any]:
        manifest_text = self.read(self.manifest)
        known = parse_manifest(manifest_text, self.manifest)
        wanted: dict[str, Record] = {}
        texts: dict[str, str] = {}
        for entry in self.files:
            texts[entry["path"]], wanted[entry["path"]] = self.desired(entry, known.get(entry["path"]))
        # Remembered before written: a run that is killed in between leaves nothing behind that the next cannot take out.
        self.remember(manifest_text, {**known, **wanted})
        for entry in self.files:
            if self.write(entry, texts[entry["path"]]):
                self.written.append(entry["path"])
        left = {path: record for path, record in known.items() if path not in wanted}
        if self.prune:
            left = {path: record for path, record in left.items() if not self.take_out(record)}
        self.remember(self.read(self.manifest), {**left, **wanted})
        return {
            "changed": bool(self.written or self.removed or self.manifest_changed),
            "written": self.written,
            "removed": self.removed,
            "backups": self.backups,
        }

    def desired(self, entry: dict[str, Any], known: Record | None) -> tuple[str, Record]:
        path: str = entry["path"]
        found = self.look(path)
        present = found[0] if found else None
        created = known.created if known else present is None
        if entry["merge"] != "none" and found is not None:
            self.check_owner(entry, found[1])
        if entry["merge"] == "none":
            text = entry["content"] + (authorities() if entry["beside_those_of_the_host"] else "")
            return text, Record(path, "none", created=created)
        ours = known.ids if known and known.merge == entry["merge"] else ()
        text, ids, gave_way = FORMS[entry["merge"]].merge(present, entry["content"], ours, path)
        if gave_way:
            self.giving_way.add(path)
        return text, Record(path, entry["merge"], ids=ids, created=created)

    def check_owner(self, entry: dict[str, Any], status: os.stat_result) -> None:
        """What is in a file goes to the owner of its entry. By a link in its place a user could have that of any file."""
        uid, _gid = self.ids(entry)
        if uid is not None and status.st_uid != uid:
            raise ClientFileError(
                f"{entry['path']} belongs to the user with the id {status.st_uid}, and not to {entry['owner']}, who would get what "
                "is in it, so nothing was written. Give the file to its owner first, or leave owner out."
            )

    def write(self, entry: dict[str, Any], text: str) -> bool:
        path: str = entry["path"]
        present = self.read(path)
        uid, gid = self.ids(entry)
        mode = int(entry["mode"], 8)
        if present == text and not os.path.islink(path):
            status = os.stat(path)
            same = stat.S_IMODE(status.st_mode) == mode and uid in (None, status.st_uid) and gid in (None, status.st_gid)
            if same:
                return False
        if self.check_mode:
            return True
        self.make_folder(os.path.dirname(path), int(entry["directory_mode"], 8), uid, gid)
        like = path
        if present is not None:
            status = os.stat(path)
            uid = status.st_uid if uid is None else uid
            gid = status.st_gid if gid is None else gid
            backup = f"{path}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
            if entry["merge"] == "none" and not is_ours(present):
                os.rename(path, backup)
                self.backups.append(backup)
                like = backup
            elif path in self.giving_way:
                os.link(path, backup, follow_symlinks=False)
                self.backups.append(backup)
        self.replace(path, text, mode, uid, gid, like)
        return True

    def take_out(self, record: Record) -> bool:
        """Remove our part of a file; False where it stays and must be remembered."""
        found = self.look(record.path)
        removal = plan_removal(record, found[0] if found else None)
        if removal.action == "keep":
            self.module.warn(removal.reason or "")
            return True  # not ours any more: forget it
        if removal.action == "forget":
            return True
        self.removed.append(record.path)
        if self.check_mode:
            return True
        if removal.action == "delete":
            os.unlink(record.path)
        elif found is not None:
            status = found[1]
            self.replace(record.path, removal.text or "", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        return True

    def remember(self, present: str | None, records: dict[str, Record]) -> None:
        text = dump_manifest(records) if records else None
        if text == present:
            return
        self.manifest_changed = True
        if self.check_mode:
            return
        if text is None:
            os.unlink(self.manifest)
            return
        self.make_folder(os.path.dirname(self.manifest), 0o700, None, None)
        self.replace(self.manifest, text, 0o600, None, None)

    def replace(self, path: str, text: str, mode: int, uid: int | None, gid: int | None, like: str = "") -> None:
        """Write beside the place, check, rename. The temporary file is born 0600 in a folder that only its owner may write."""
        handle, temporary = tempfile.mkstemp(prefix=".gpu-inference-", dir=os.path.dirname(path))
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
                # A container that has the file mounted may have given it its own SELinux label.
                keep_attributes(like or path, temporary)
                os.fchown(stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid)
                os.fchmod(stream.fileno(), mode)
            with open(temporary, encoding="utf-8", newline="") as stream:
                back = stream.read()
            if back != text:
                raise ClientFileError(f"{path}: what was written beside it reads back differently; the file was left as it was")
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def make_folder(self, folder: str, mode: int, uid: int | None, gid: int | None) -> None:
        missing = []
        while folder and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            os.mkdir(path, mode)
            os.chmod(path, mode)
            os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)

    def ids(self, entry: dict[str, Any]) -> tuple[int | None, int | None]:
        try:
            uid = None if entry["owner"] is None else pwd.getpwnam(entry["owner"]).pw_uid
            gid = None if entry["group"] is None else grp.getgrnam(entry["group"]).gr_gid
        except KeyError as error:
            if self.check_mode:
                return None, None  # an earlier task of a real run may make the user
            raise ClientFileError(f"{entry['path']}: {error.args[0]}; create the user or group, or give another owner or group") from None
        return uid, gid

    def read(self, path: str) -> str | None:
        found = self.look(path)
        return found[0] if found else None

    @staticmethod
    def look(path: str) -> tuple[str, os.stat_result] | None:
        """The text, and whose the file is that it was read from."""
        try:
            with open(path, encoding="utf-8", newline="") as stream:
                return stream.read(), os.fstat(stream.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ClientFileError(f"{path} cannot be read: {error.strerror}.") from None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True, "no_log": True},
                    "merge": {"type": "str", "choices": ["none", *FORMS], "default": "none"},
                    "beside_those_of_the_host": {"type": "bool", "default": False},
                    "owner": {"type": "str"},
                    "group": {"type": "str"},
                    "mode": {"type": "str", "default": "0600"},
                    "directory_mode": {"type": "str", "default": "0755"},
                },
            },
            "manifest": {"type": "path", "required": True},
            "prune": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**Writer(module).run())
    except ClientFileError as error:
        module.fail_json(msg=str(error))
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(msg=f"a client file could not be written: {error}")


if __name__ == "__main__":
    main()
