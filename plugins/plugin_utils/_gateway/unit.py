# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The gateway as one unit of C(container_units)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...module_utils._live_files import LIVE_FOLDER
from ...module_utils._rotation import ROTATION_FILE, declared
from .config import config_text
from .limits import memory_of
from .live import KEYS_FILE, LIVE_DIR, live_keys
from .plain import plain
from .urls import gateway_url
from .variables import GUARD_VARIABLES, STARTUP_HOOK_VARIABLE

CONFIG_DIR = "/etc/litellm"
CONTAINER_PORT = 4000
#: LiteLLM runs this when it starts, before it reads its configuration, and does not start when it fails.
STARTUP_HOOK = "gateway_hooks:install"
#: Of the authority of our own certificates, beside the configuration; CA of gateway_tls.py.
CA_FILE = "ca.pem"
#: In the folder of what changes while it runs: certificate and key in one file; OWN and PUBLIC of gateway_tls.py.
TLS_FILE, PUBLIC_TLS_FILE = "tls.pem", "public.pem"
#: Of the container, for others on its networks.
NAME = "litellm-gateway"
#: Networks on which Docker gives no names.
NO_NAMES = frozenset({"bridge", "default", "host", "none"})
#: SOCKET of gateway_handover.py.
HANDOVER_SOCKET = "/tmp/gateway-handover.sock"  # noqa: S108 -- in the container
#: Attempts after the first to reach a server: 1 + 2 + 4 seconds in all.
CONNECT_RETRIES = 2
#: Switches off every request LiteLLM makes to the outside on its own account, and what a gateway without a database cannot use.
BASE_ENVIRONMENT: Final[Mapping[str, str]] = {
    # Remembered for five minutes otherwise, while Docker hands the address of an engine that restarts to its neighbour: requests for
    # one model then go to another one. Containers' names are resolved on this host, in no time.
    "AIOHTTP_TTL_DNS_CACHE": "0",
    # The guard says how many requests there may be at once. With 500 to one engine, a client with as many would keep all others waiting.
    "AIOHTTP_CONNECTOR_LIMIT": "0",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "0",
    "DISABLE_ADMIN_UI": "true",
    "JSON_LOGS": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_MODE": "PRODUCTION",
    # glibc learns from large blocks that it should keep such ones, and holes of the size of whole requests then stay for good.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "NO_DOCS": "True",
    "NO_OPENAPI": "True",
    "NO_REDOC": "True",
}


def gateway_files(config: Mapping[str, Any], policy: Mapping[str, Any], plugins: Mapping[str, str] | None = None) -> dict[str, str]:
    """Everything that lies in C(/etc/litellm) of the container."""
    files = {"config.yaml": config_text(config), "policy.json": json.dumps(plain(policy), indent=2, sort_keys=True) + "\n"}
    files.update({name: text if text.endswith("\n") else text + "\n" for name, text in (plugins or {}).items()})
    return dict(sorted(files.items()))


@dataclass(frozen=True)
class Tls:
    """Certificates of this host's gateway, each with its key behind it, and the authority that signed C(own) and those of nodes."""

    own: str = field(default="", repr=False)
    #: The user's, for all names but those of the host itself.
    public: str = field(default="", repr=False)
    ca: str = ""

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any] | None) -> Tls:
        return cls(**{key: str(value) for key, value in (given or {}).items() if value})

    @property
    def files(self) -> dict[str, str]:
        return {CA_FILE: self.ca} if self.ca else {}

    @property
    def live_files(self) -> dict[str, str]:
        return {name: text for name, text in ((TLS_FILE, self.own), (PUBLIC_TLS_FILE, self.public)) if text}

    @property
    def arguments(self) -> list[str]:
        place = f"{LIVE_DIR}/{TLS_FILE}"
        return ["--ssl_certfile_path", place, "--ssl_keyfile_path", place] if self.own else []


def _variables_of_the_user(given: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (given or {}).items() if str(name) not in GUARD_VARIABLES}


def container_unit(  # noqa: PLR0913 -- a filter of role litellm: one for each of its variables
    config: Mapping[str, Any],
    policy: Mapping[str, Any],
    *,
    image: str,
    master_key: str,
    plugins: Mapping[str, str] | None = None,
    client_keys: Mapping[str, str] | None = None,
    environment: Mapping[str, Any] | None = None,
    secret_environment: Mapping[str, Any] | None = None,
    previous_keys: Mapping[str, Any] | None = None,
    client_limits: Mapping[str, Any] | None = None,
    tls: Mapping[str, Any] | None = None,
    pull: str = "missing",
    bind: str = "0.0.0.0",  # noqa: S104 -- the gateway is what clients talk to
    port: int = 8400,
    networks: Sequence[str] = ("inference", "inference_engines"),
    memory_limit: str = "",
    user: str = "",
    docker_arguments: Sequence[str] = (),
    arguments: Sequence[str] = (),
    start_timeout: int = 180,
    stop_timeout: int = 60,
    watchdog: int = 60,
    instances_dir: str = "/etc/gpu-inference/instances",
) -> dict[str, Any]:
    """The gateway as one unit of C(container_units)."""
    certificates = Tls.from_mapping(tls)
    files = {**gateway_files(config, policy, plugins), **certificates.files}
    live = live_keys(
        config,
        master_key=str(master_key),
        client_keys={str(name): str(key) for name, key in (client_keys or {}).items()},
        environment=_variables_of_the_user(secret_environment),
        previous=plain(previous_keys or {}),
        limits=client_limits,
    )
    publish = f"[{bind}]" if ":" in bind and not bind.startswith("[") else bind
    docker = [
        "--init",
        "--publish",
        f"{publish}:{int(port)}:{CONTAINER_PORT}",
        "--read-only",
        "--tmpfs",
        "/tmp",  # noqa: S108 -- in the container
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ]
    if "host" not in networks:
        # A host that is off answers nothing at all. The kernel would try for two minutes, and every first request would wait so long.
        docker += ["--sysctl", f"net.ipv4.tcp_syn_retries={CONNECT_RETRIES}"]
    if networks and not {networks[0]} & NO_NAMES:
        # The name is there also while two containers change theirs, and leads to the one that has the port and stays.
        docker += ["--network-alias", NAME]
    if memory_limit:
        docker += ["--memory", memory_of(policy) if memory_limit == "auto" else str(memory_limit)]
    if user:
        docker += ["--user", str(user)]
    for name in files:
        docker += ["--mount", f"type=bind,source={instances_dir}/litellm/gateway/{name},target={CONFIG_DIR}/{name},readonly"]
    # As a whole: of a file that is mounted alone the container would see the one that was replaced.
    docker += ["--mount", f"type=bind,source={instances_dir}/litellm/gateway/{LIVE_FOLDER},target={LIVE_DIR},readonly"]
    return {
        "kind": "litellm",
        "name": "gateway",
        "image": image,
        "pull": pull,
        "entrypoint": None,
        "command": ["--config", f"{CONFIG_DIR}/config.yaml", "--host", "0.0.0.0", "--port", str(CONTAINER_PORT)]  # noqa: S104
        + certificates.arguments
        + [str(argument) for argument in arguments],
        "docker_arguments": docker + [str(argument) for argument in docker_arguments],
        "networks": list(networks),
        "files": files,
        "environment": {
            **BASE_ENVIRONMENT,
            "HOME": "/tmp",  # noqa: S108 -- the only place that can be written
            "PYTHONPATH": CONFIG_DIR,
            "PYTHONDONTWRITEBYTECODE": "1",
            **live.placeholders,
            **_variables_of_the_user(environment),
            STARTUP_HOOK_VARIABLE: STARTUP_HOOK,
        },
        "secret_environment": dict(live.environment),
        "live_files": {ROTATION_FILE: declared(config).text},
        "secret_live_files": {KEYS_FILE: live.text, **certificates.live_files},
        "live_owner": str(user or "0"),
        "locks": [],
        "handover_socket": HANDOVER_SOCKET,
        "probe": {
            "base_url": f"{gateway_url(bind, port, tls=bool(certificates.own))}/v1",
            "health_path": "/health/readiness",
            # LiteLLM takes requests when it has loaded its models. Whether it lists them is for whoever has a key: the launcher has none.
            "level": "health",
            "capability": "chat",
            "modalities": ["text"],
            "model": None,
            "api_key_variable": None,
            **({"ca_path": f"{instances_dir}/litellm/gateway/{CA_FILE}"} if certificates.own else {}),
        },
        "start_timeout": int(start_timeout),
        "stop_timeout": int(stop_timeout),
        "watchdog": int(watchdog),
        "drop_page_cache": False,
        "pull_models": [],
    }
