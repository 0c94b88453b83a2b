# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from socket import create_connection, create_server

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.authority import Authority
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.certificates import (
    HOST_LIFE,
    Pair,
    days_left,
    is_fresh,
    make_authority,
    make_certificate,
    troubles,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.store import SecretError

NOW = datetime.now(timezone.utc)
NAMES = ["llm.example", "192.0.2.10", "::1"]


def said(pair: Pair, name: str, now: datetime = NOW, key: str | None = None) -> list[str]:
    return [f"{what}: {message}" for what, message in troubles(pair.certificate, pair.key if key is None else key, name, now)]


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority(NOW)


@pytest.fixture(scope="module")
def pair(authority: Pair) -> Pair:
    return make_certificate(authority, NAMES, NOW)


@pytest.mark.parametrize(("name", "accepted"), [("llm.example", True), ("192.0.2.10", True), ("::1", True), ("other.example", False)])
def test_clients_accept_it_for_its_names_alone(tmp_path: Path, authority: Pair, pair: Pair, name: str, accepted: bool) -> None:
    """By OpenSSL, as strict as it can be told to be."""
    (tmp_path / "server.pem").write_text(pair.text)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=authority.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            try:
                with server.wrap_socket(listener.accept()[0], server_side=True) as connection:
                    connection.recv(1)
            except OSError:
                pass

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with create_connection(listener.getsockname()) as raw, client.wrap_socket(raw, server_hostname=name) as connection:
                assert connection.version() == "TLSv1.3"
                connection.send(b"x")
            assert accepted
        except ssl.SSLCertVerificationError:
            assert not accepted
        finally:
            thread.join()


def test_a_certificate_is_made_anew_in_the_last_third_of_its_life(authority: Pair, pair: Pair) -> None:
    life = HOST_LIFE + timedelta(days=1)
    assert is_fresh(pair, authority, NAMES, NOW)
    assert is_fresh(pair, authority, NAMES, NOW + HOST_LIFE - life / 3 - timedelta(hours=1))
    assert not is_fresh(pair, authority, NAMES, NOW + HOST_LIFE - life / 3 + timedelta(hours=1))


def test_a_certificate_is_made_anew_for_other_names_and_by_another_authority(authority: Pair, pair: Pair) -> None:
    assert is_fresh(pair, authority, list(reversed(NAMES)), NOW)
    assert not is_fresh(pair, authority, [*NAMES, "more.example"], NOW)
    assert not is_fresh(pair, authority, NAMES[:-1], NOW)
    assert not is_fresh(pair, make_authority(NOW), NAMES, NOW)
    assert not is_fresh(Pair(pair.certificate, make_certificate(authority, NAMES, NOW).key), authority, NAMES, NOW)


def test_no_certificate_outlives_its_authority() -> None:
    old = make_authority(NOW - timedelta(days=3600))
    assert days_left(make_certificate(old, NAMES, NOW).certificate, NOW) <= days_left(old.certificate, NOW) <= 52


def test_what_is_wrong_with_a_users_certificate(authority: Pair, pair: Pair) -> None:
    assert said(pair, "llm.example") == []
    assert said(make_certificate(authority, ["*.example.org"], NOW), "llm.example.org") == []
    (star,) = said(make_certificate(authority, ["*.example.org"], NOW), "a.b.example.org")
    assert star.startswith("certificate: is not for a.b.example.org, by which clients reach the gateway (its names: *.example.org)")
    (ended,) = said(pair, "llm.example", NOW + HOST_LIFE)
    assert ended.startswith("certificate: ended on 20")
    (early,) = said(pair, "llm.example", NOW - timedelta(days=9))
    assert early.startswith("certificate: begins on 20")
    (other,) = said(pair, "llm.example", key=make_certificate(authority, NAMES, NOW).key)
    assert other == "key: is not the key of that certificate; give the two that were made together"
    both = said(Pair("", ""), "llm.example")
    assert [line.split(":")[0] for line in both] == ["certificate", "key"]
    assert pair.key not in repr(pair)


def stored(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.pem")}


def test_they_are_made_once_and_kept_in_private_files(tmp_path: Path) -> None:
    store = tmp_path / "secrets"
    first = Authority(store)
    ca, certificates = first.certificates({"gw": NAMES, "n1": ["192.0.2.1"]})
    assert first.made == ["tls-authority.pem", "gw", "n1"]
    kept = stored(store)
    assert kept.pop("gateway-ca.pem") == ca
    assert sorted(kept) == ["tls-authority.pem", "tls/gw.pem", "tls/n1.pem"]
    assert {path.stat().st_mode & 0o777 for path in store.rglob("*.pem")} == {0o600}
    assert kept["tls/gw.pem"].strip() == certificates["gw"].strip()
    again = Authority(store)
    assert again.certificates({"gw": NAMES, "n1": ["192.0.2.1"]}) == (ca, certificates)
    assert again.made == []


def test_only_a_run_that_brings_them_to_the_hosts_makes_them_anew(tmp_path: Path) -> None:
    ca, before = Authority(tmp_path).certificates({"gw": NAMES})
    late = NOW + HOST_LIFE * 0.7
    assert Authority(tmp_path, renew=False, now=late).certificates({"gw": NAMES}) == (ca, before)
    assert Authority(tmp_path, write=False, now=late).certificates({"gw": NAMES})[1] != before
    assert stored(tmp_path)["tls/gw.pem"].strip() == before["gw"].strip(), "check mode writes nothing"
    renewing = Authority(tmp_path, now=late)
    same_ca, after = renewing.certificates({"gw": NAMES})
    assert (same_ca, renewing.made) == (ca, ["gw"])
    assert days_left(after["gw"], late) >= HOST_LIFE.days - 1


@pytest.mark.parametrize("file", ["tls-authority.pem", "tls/gw.pem"])
def test_a_damaged_file_is_told_without_what_is_in_it(tmp_path: Path, file: str) -> None:
    Authority(tmp_path).certificates({"gw": NAMES})
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.split("-----BEGIN PRIVATE")[0])
    with pytest.raises(SecretError) as caught:
        Authority(tmp_path).certificates({"gw": NAMES})
    assert str(tmp_path) in str(caught.value)
    assert "another one is made" in str(caught.value)
    assert "MII" not in str(caught.value)
