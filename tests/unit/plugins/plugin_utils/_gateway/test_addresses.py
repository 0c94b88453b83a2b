# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.addresses import AddressError, resolved

NAMES = {"gateway": ["192.0.2.10", "2001:db8::10"], "local": ["fe80::1%eth0"]}


def look_up(name: str) -> list[str]:
    if name not in NAMES:
        raise OSError("Name or service not known")
    return NAMES[name]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], []),
        (["192.0.2.10"], ["192.0.2.10"]),
        (["192.0.2.10", " 192.0.2.9 ", "192.0.2.10"], ["192.0.2.9", "192.0.2.10"]),
        (["192.0.2.10/24"], ["192.0.2.0/24"]),
        (["[2001:db8::0010]"], ["2001:db8::10"]),
        (["2001:db8::1", "10.0.0.1"], ["10.0.0.1", "2001:db8::1"]),
        (["gateway", "192.0.2.10"], ["192.0.2.10", "2001:db8::10"]),
        (["local"], ["fe80::1"]),
    ],
)
def test_resolved(addresses: list[str], expected: list[str]) -> None:
    assert resolved(addresses, look_up) == expected


@pytest.mark.parametrize("address", ["nobody", "", "192.0.2.300"])
def test_names_without_an_address_are_refused(address: str) -> None:
    with pytest.raises(AddressError) as failure:
        resolved([address], look_up)
    assert f"{address!r} is not an IP address or network" in str(failure.value)
    assert "Name or service not known" in str(failure.value)
