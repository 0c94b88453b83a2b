# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate of the moment, with the real OpenSSL; that LiteLLM's server uses it so is for tests/real."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gateway_tls
import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.live import LIVE_DIR
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import CA_FILE, PUBLIC_TLS_FILE, TLS_FILE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.tls import LOCAL_NAMES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.certificates import Pair, make_authority, make_certificate

NOW = datetime.now(timezone.utc)
AUTHORITY = make_authority(NOW)


def certificate(*names: str) -> Pair:
    return make_certificate(AUTHORITY, names or LOCAL_NAMES, NOW)


def put(folder: Path, name: str, text: str) -> None:
    """At once, as a node does it."""
    (folder / "new").write_text(text)
    os.replace(folder / "new", folder / name)


def leaf(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.partition("\n-----BEGIN CERT")[0] + "\n")


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[int]:
    """As uvicorn has one: a certificate that was read when it started."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / gateway_tls.OWN)
    gateway_tls.Certificates(folder).watch(context)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


async def connect(port: int, name: str = "localhost", **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = ssl.create_default_context(cadata=AUTHORITY.certificate)
    for option, value in options.items():
        setattr(client, option, value)
    return await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)


def shown(writer: asyncio.StreamWriter) -> bytes:
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return bytes(found)


def test_names_are_those_of_the_unit() -> None:
    assert (gateway_tls.OWN, gateway_tls.PUBLIC, gateway_tls.CA.name, gateway_tls.FOLDER) == (TLS_FILE, PUBLIC_TLS_FILE, CA_FILE, LIVE_DIR)
    assert {name for name in LOCAL_NAMES if name.strip("0123456789.:")} == gateway_tls.LOCAL


def test_a_renewed_certificate_is_served_at_once_and_connections_go_on(tmp_path: Path) -> None:
    old, new = certificate(), certificate()

    async def renewed() -> None:
        put(tmp_path, "tls.pem", old.text)
        async with server(tmp_path) as port:
            reader, writer = await connect(port)
            assert shown(writer) == leaf(old)
            put(tmp_path, "tls.pem", new.text)
            for name in ("localhost", "127.0.0.1"):
                _reader, second = await connect(port, name)
                assert shown(second) == leaf(new)
                second.close()
            writer.write(b"still here\n")
            assert await reader.readline() == b"still here\n"
            writer.close()

    asyncio.run(renewed())


def test_who_asks_for_a_name_gets_the_users_certificate(tmp_path: Path) -> None:
    own, public = certificate(), certificate("llm.example")

    async def asked() -> None:
        put(tmp_path, "tls.pem", own.text)
        put(tmp_path, "public.pem", public.text)
        async with server(tmp_path) as port:
            for name, expected in (("llm.example", public), ("litellm-gateway", own), ("localhost", own), ("127.0.0.1", own)):
                _reader, writer = await connect(port, name)
                assert shown(writer) == leaf(expected)
                writer.close()
            (tmp_path / "public.pem").unlink()
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(port, "llm.example")

    asyncio.run(asked())


def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = certificate()

    async def broken() -> None:
        put(tmp_path, "tls.pem", own.text)
        async with server(tmp_path) as port:
            (await connect(port))[1].close()
            put(tmp_path, "tls.pem", own.certificate)
            with caplog.at_level(logging.ERROR):
                for _time in range(2):
                    _reader, writer = await connect(port)
                    assert shown(writer) == leaf(own)
                    writer.close()

    asyncio.run(broken())
    assert [record.getMessage() for record in caplog.records if record.name == "gateway"] == [
        "the certificate tls.pem cannot be read: SSLError"
    ]


def test_old_protocols_and_ciphers_are_not_spoken(tmp_path: Path) -> None:
    async def old() -> None:
        put(tmp_path, "tls.pem", certificate().text)
        async with server(tmp_path) as port:
            _reader, writer = await connect(port, maximum_version=ssl.TLSVersion.TLSv1_2)
            assert "GCM" in writer.get_extra_info("cipher")[0] or "CHACHA" in writer.get_extra_info("cipher")[0]
            writer.close()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect(port, minimum_version=0x0301, maximum_version=0x0302)

    asyncio.run(old())
