# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resolved_addresses
short_description: IP addresses of hosts
version_added: 0.9.0
description:
  - Keeps IP addresses and networks as they are, and looks host names up on the controller.
  - For programs that compare a client's address and so can't take a name.
options:
  _input:
    description: Addresses, networks in CIDR notation, and host names.
    type: list
    elements: str
    required: true
author:
  - llmops.gpu_inference contributors (@llmops)
"""

EXAMPLES = r"""
- name: Show the addresses of two gateways
  ansible.builtin.debug:
    msg: "{{ ['192.0.2.10', 'gateway.example.org'] | llmops.gpu_inference.resolved_addresses }}"
"""

RETURN = r"""
_value:
  description: Addresses and networks, sorted, each once.
  type: list
  elements: str
"""

import socket
from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.addresses import AddressError, Resolver, resolved


def _look_up(name: str) -> Iterable[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


def resolved_addresses(addresses: list[str], look_up: Resolver = _look_up) -> list[str]:
    try:
        return resolved(addresses, look_up)
    except AddressError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"resolved_addresses": resolved_addresses}
