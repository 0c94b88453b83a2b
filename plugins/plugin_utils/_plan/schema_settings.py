# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The small variables of a host: engine and platform, images, networks, addresses, folders."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from .._docker.networks import subnet_problem
from .._engines.registry import INTERCHANGEABLE
from .._platforms.registry import PLATFORMS
from .findings import (
    ADDRESS,
    SIZE_HINT,
    Fields,
    Report,
    Size,
    hint,
    is_http_address,
    parse_size,
)
from .grammar import (
    ANY_TEXT,
    IMAGE,
    IMAGE_EXPECTED,
    INTERFACE,
    INTERFACE_EXPECTED,
    NETWORK_EXPECTED,
    NETWORK_NAME,
    PATH,
    address_trouble,
    host_trouble,
    normal_path,
    volume_trouble,
)
from .keys import (
    SHARE,
    TEXT,
    Key,
    Keys,
    any_of,
    boolean,
    choice,
    integer,
    list_of,
    mapping_of,
    matching,
    maybe_text,
    text,
    with_reader,
)
from .model import Network, Settings
from .schema_rollout import ROLLOUT
from .tls import PROXY_TLS

_DEFAULTS = Settings()
_IMAGES = (*INTERCHANGEABLE, "litellm")
_IMAGE = matching(IMAGE)
#: An IP address as an editor knows one; IPv6 may be in brackets.
_ADDRESS = r"\[?[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*\]?"
_RESERVE = any_of(SHARE, {"const": 0}, {"const": "0"})


def _address(fields: Fields) -> str | None:
    text = fields.text("inference_address", pattern=ANY_TEXT, expected="an address or a host name, without a scheme or a port")
    trouble = host_trouble(text) if text else None
    if trouble:
        fields.add("inference_address", text, trouble)
    return None if trouble else text or None


def _cluster_address(fields: Fields) -> str | None:
    text = fields.text("inference_cluster_address", pattern=ANY_TEXT, expected="an IP address of the host")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    trouble = address_trouble(bare) if bare else None
    if trouble:
        fields.add("inference_cluster_address", text, trouble)
    return None if trouble else bare or None


def _data_dir(fields: Fields) -> str:
    path = fields.text("inference_data_dir", _DEFAULTS.data_dir, pattern=ANY_TEXT, expected="an absolute path")
    trouble = volume_trouble(path)
    if not trouble and normal_path(path) == "/":
        trouble = "must be an absolute path of a folder below the root"
    if trouble:
        fields.add("inference_data_dir", path, trouble)
    return _DEFAULTS.data_dir if trouble else path


def _dns(fields: Fields) -> tuple[str, ...]:
    dns = fields.texts("inference_dns", expected="an IP address")
    for position, address in enumerate(dns):
        trouble = address_trouble(address)
        if trouble:
            fields.add(f"inference_dns[{position}]", address, trouble)
    return dns


def _registry_mirrors(fields: Fields) -> tuple[str, ...]:
    expected = "an address such as https://mirror.example, without a user or password: every user of the host can read daemon.json"
    found = fields.texts("inference_registry_mirrors", pattern=ADDRESS, expected=expected)
    for position, address in enumerate(found):
        if not is_http_address(address):
            fields.add(f"inference_registry_mirrors[{position}]", address, f"must be {expected}")
    return found


class NetworkKeys(Keys):
    name = text(pattern=NETWORK_NAME, expected=NETWORK_EXPECTED)
    subnet = text(schema={"type": "string"})


def _read_network(fields: Fields, variable: str, default: Network) -> Network:
    if not fields.has(variable):
        return default
    inner = NetworkKeys.fields(fields.data[variable], variable, fields.report)
    name = NetworkKeys.name.read(inner) or default.name
    subnet = NetworkKeys.subnet.read(inner) or default.subnet
    problem = subnet_problem(subnet)
    if problem:
        inner.add("subnet", subnet, problem)
        subnet = default.subnet
    return Network(name, subnet)


def _network(default: Network) -> Key[Network]:
    return Key(lambda fields, name: _read_network(fields, name, default), NetworkKeys.schema())


def _reserve(fields: Fields) -> dict[str, Size]:
    raw = fields.data.get("inference_gpu_reserve")
    if raw is None:
        return {}
    entries = {str(key): value for key, value in raw.items()} if isinstance(raw, Mapping) else {"": raw}
    reserve: dict[str, Size] = {}
    for key, value in entries.items():
        nothing = value in (0, "0") and not isinstance(value, bool)
        size = Size("0", mib=0.0) if nothing else parse_size(value)
        where = f"inference_gpu_reserve.{key}" if key else "inference_gpu_reserve"
        if size is None or (size.fraction is not None and size.fraction >= 1):
            fields.add(where, value, f"{SIZE_HINT}; or a mapping of GPU index to such sizes")
        else:
            reserve[key] = size
    return reserve


def _images(fields: Fields) -> dict[str, dict[str, str]]:
    raw = fields.mapping("inference_images")
    images: dict[str, dict[str, str]] = {}
    for engine, value in raw.items():
        where = f"inference_images.{engine}"
        if engine not in _IMAGES:
            fields.add(where, value, f"unknown engine.{hint(engine, _IMAGES) or ' Known are: ' + ', '.join(_IMAGES) + '.'}")
            continue
        entries = value if isinstance(value, Mapping) else {"": value}
        for platform, image in entries.items():
            inner = f"{where}.{platform}" if platform else where
            if platform and platform not in PLATFORMS:
                fields.add(inner, image, f"unknown platform; known are: {', '.join(PLATFORMS)}")
            elif not isinstance(image, str) or not re.fullmatch(IMAGE, image):
                fields.add(inner, image, f"must be {IMAGE_EXPECTED}")
            else:
                images.setdefault(engine, {})[str(platform)] = image
    return images


def _no_proxy(fields: Fields) -> str:
    if isinstance(fields.data.get("no_proxy"), (list, tuple)):
        return ",".join(fields.texts("no_proxy"))
    return fields.text("no_proxy")


class ProxyKeys(Keys):
    http = text()
    https = text()
    no_proxy = with_reader(any_of(list_of({"type": "string"}), TEXT), _no_proxy)


def _proxy(fields: Fields) -> dict[str, str]:
    if not fields.has("inference_proxy"):
        return {}
    inner = ProxyKeys.fields(fields.data["inference_proxy"], "inference_proxy", fields.report)
    values = {name: key.read(inner) for name, key in ProxyKeys.all().items()}
    for key, value in values.items():
        if not re.fullmatch(r"[!-~]*", value):
            # Without the value: an address may hold a password, and in this one it cannot be told where.
            inner.add(
                key,
                None,
                "has a blank, a line break or another character that an address cannot have; write http://proxy.example:3128, and special "
                "characters of a user's name or password as %XX",
            )
            values[key] = ""
    return {key: value for key, value in values.items() if value}


class MetricsKeys(Keys):
    textfile_directory = text(required=True, pattern=PATH, expected="the folder of node_exporter's textfile collector")
    exporter_port = integer(1, 65535, what="a port number")


def _metrics(fields: Fields) -> dict[str, Any]:
    if not fields.has("inference_metrics"):
        return {}
    inner = MetricsKeys.fields(fields.data["inference_metrics"], "inference_metrics", fields.report)
    directory, port = MetricsKeys.textfile_directory.read(inner), MetricsKeys.exporter_port.read(inner)
    return {"textfile_directory": directory, **({"exporter_port": port} if port else {})}


class SettingsKeys(Keys):
    """In the order in which they are read; each is a variable of its own."""

    inference_engine = choice(("auto", *INTERCHANGEABLE), _DEFAULTS.engine)
    inference_platform = choice(("auto", *PLATFORMS), _DEFAULTS.platform)
    inference_platform_expected = choice((*PLATFORMS, "auto"), "auto")
    inference_address = with_reader({"type": "string"}, _address)
    inference_cluster_address = with_reader(matching(_ADDRESS), _cluster_address)
    inference_cluster_interface = maybe_text(pattern=INTERFACE, expected=INTERFACE_EXPECTED)
    inference_gpu_access = choice(("runtime", "cdi"), _DEFAULTS.gpu_access)
    inference_gpu_reserve = with_reader(any_of(_RESERVE, mapping_of(_RESERVE)), _reserve)
    inference_data_dir = with_reader({"type": "string", "pattern": "^/"}, _data_dir)
    inference_allow_floating_tags = boolean(False)
    inference_images = with_reader(mapping_of(any_of(_IMAGE, mapping_of(_IMAGE, "|".join(PLATFORMS))), "|".join(_IMAGES)), _images)
    inference_dns = with_reader(list_of({"type": "string"}), _dns)
    inference_registry_mirrors = with_reader(list_of(matching(ADDRESS)), _registry_mirrors)
    inference_proxy = with_reader(ProxyKeys.schema(), _proxy)
    inference_node_proxy_tls = PROXY_TLS
    inference_network = _network(_DEFAULTS.network)
    inference_engines_network = _network(_DEFAULTS.engines_network)
    inference_metrics = with_reader(MetricsKeys.schema(), _metrics)
    inference_rollout = ROLLOUT


def parse_settings(raw: Any, report: Report) -> Settings:
    keys = SettingsKeys
    fields = keys.fields(raw, "", report)
    expected = keys.inference_platform_expected.read(fields)
    network = keys.inference_network.read(fields)
    engines_network = keys.inference_engines_network.read(fields)
    if network.name == engines_network.name:
        fields.add("inference_engines_network.name", network.name, "must differ from the name of inference_network")
    elif ipaddress.ip_network(network.subnet).overlaps(ipaddress.ip_network(engines_network.subnet)):
        fields.add(
            "inference_engines_network.subnet",
            engines_network.subnet,
            f"overlaps inference_network.subnet {network.subnet}; choose another",
        )
    return Settings(
        engine=keys.inference_engine.read(fields),
        platform=keys.inference_platform.read(fields),
        platform_expected=None if expected == "auto" else expected,
        address=keys.inference_address.read(fields),
        gpu_access=keys.inference_gpu_access.read(fields),
        gpu_reserve=keys.inference_gpu_reserve.read(fields),
        data_dir=keys.inference_data_dir.read(fields),
        allow_floating_tags=keys.inference_allow_floating_tags.read(fields),
        images=keys.inference_images.read(fields),
        dns=keys.inference_dns.read(fields),
        registry_mirrors=keys.inference_registry_mirrors.read(fields),
        proxy=keys.inference_proxy.read(fields),
        node_proxy_tls=keys.inference_node_proxy_tls.read(fields),
        network=network,
        engines_network=engines_network,
        metrics=keys.inference_metrics.read(fields),
        rollout=keys.inference_rollout.read(fields),
        cluster_address=keys.inference_cluster_address.read(fields),
        cluster_interface=keys.inference_cluster_interface.read(fields),
    )
