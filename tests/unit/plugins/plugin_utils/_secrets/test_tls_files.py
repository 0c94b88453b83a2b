# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the user's, read as Ansible itself reads them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.certificates import make_authority, make_certificate
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.store import SecretError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.tls_files import FilesOfTls, findings

NOW = datetime.now(timezone.utc)
AUTHORITY = make_authority(NOW)
PAIR = make_certificate(AUTHORITY, ["llm.example"], NOW)
SECRETS = [("default", VaultSecret(b"password"))]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    texts = {"certificate_file": PAIR.certificate, "key_file": PAIR.key, "ca_file": AUTHORITY.certificate}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def loader(*secrets: tuple[str, VaultSecret]) -> DataLoader:
    made = DataLoader()
    made.set_vault_secrets(list(secrets))
    return made


def told(files: dict[str, str], name: str = "llm.example", **options: datetime) -> list[str]:
    return [f"{variable}: {message}" for variable, _path, message in findings(files, name, loader(), **options)]


def test_files_that_will_do(files: dict[str, str]) -> None:
    assert told(files) == []
    read = FilesOfTls.read(files, loader())
    assert (read.pair, read.ca_file) == (PAIR.text, AUTHORITY.certificate)
    assert PAIR.key not in repr(read)
    assert FilesOfTls.read({}, loader()).pair == ""


def test_a_key_that_is_encrypted(files: dict[str, str]) -> None:
    Path(files["key_file"]).write_bytes(VaultLib(SECRETS).encrypt(PAIR.key.encode()))
    assert list(findings(files, "llm.example", loader(*SECRETS))) == []
    assert FilesOfTls.read(files, loader(*SECRETS)).pair == PAIR.text
    (without,) = told(files)
    assert without.startswith("inference_gateway.tls.key_file: cannot be decrypted (")
    assert without.endswith("); give the password of its vault")


def test_no_key_is_given_to_everybody(files: dict[str, str]) -> None:
    Path(files["ca_file"]).write_text(AUTHORITY.text)
    (found,) = told(files)
    assert found.startswith("inference_gateway.tls.ca_file: has a private key in it")
    assert AUTHORITY.key.split("\n")[1] not in found


def test_all_that_is_wrong_at_once(files: dict[str, str], tmp_path: Path) -> None:
    Path(files["key_file"]).write_text(make_certificate(AUTHORITY, ["llm.example"], NOW).key)
    Path(files["ca_file"]).write_text("nothing")
    found = told(files, "other.example", now=NOW + timedelta(days=1000))
    assert [line.split(": ")[0].rpartition(".")[2] for line in found] == ["key_file", "certificate_file", "certificate_file", "ca_file"]
    assert "is not the key of that certificate" in found[0]
    assert "ended on" in found[1]
    assert "is not for other.example, by which clients reach the gateway (its names: llm.example)" in found[2]


def test_files_that_cannot_be_read(files: dict[str, str], tmp_path: Path) -> None:
    files["certificate_file"] = str(tmp_path / "elsewhere")
    Path(files["key_file"]).write_bytes(b"\xff\xfe")
    assert told(files) == [
        "inference_gateway.tls.certificate_file: cannot be read on the controller: No such file or directory",
        "inference_gateway.tls.key_file: is no text; it must be PEM, -----BEGIN ...-----",
    ]
    with pytest.raises(SecretError, match=r"inference_gateway\.tls\.certificate_file = .*elsewhere: cannot be read"):
        FilesOfTls.read(files, loader())
