# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.authority import ALONE, Authority
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.given import GivenSecrets
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.keys import shared_keys
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.served import Reached, missing_hosts
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.store import Secret, SecretError, SecretStore
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.tls_files import FilesOfTls


class ActionModule(ActionBase):
    """Controller half of the documentation in plugins/modules/secrets.py; nothing of it runs on a node."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        hosts: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "path", "required": True},
                "engine_hosts": hosts,
                "gateway_host": {"type": "str"},
                "rotate": hosts,
                "pending": {"type": "bool", "default": False},
                "tls": {"type": "dict"},
                "served": {"type": "dict", "options": {"engines": hosts, "gateways": hosts, "clients": hosts}},
            }
        )
        variables: Mapping[str, Any] = task_vars or {}
        rotate = [name for name in args["rotate"] if name]
        store = SecretStore(Path(args["directory"]), write=not self._task.check_mode, rotate=rotate, pending=args["pending"])
        given = GivenSecrets(variables.get("hostvars", {}))
        keys = _Keys(store, given, args["engine_hosts"], args["gateway_host"])
        keys.tls, made = self._tls(args, given.problems)
        problems = given.problems + _unknown(rotate, keys.names)
        if problems:
            raise AnsibleActionFail("Unusable keys:\n" + "\n".join(f"- {problem}" for problem in dict.fromkeys(problems)))
        warnings: list[str] = []
        changed = bool(store.created or made)
        if args["served"] is not None:
            reached = Reached(*(frozenset(args["served"][group]) for group in ("engines", "gateways", "clients")))
            for secret in keys.unserved:
                missing = missing_hosts(secret.name, variables.get("groups") or {}, reached)
                if missing:
                    if secret.previous is not None:
                        warnings.append(f"{secret.name}: the old key is kept until site.yml has reached {', '.join(missing)} too")
                    continue
                try:
                    changed = store.record(secret) or changed
                except OSError as error:
                    # The hosts serve, and with keys of the user's own nothing else needs the folder.
                    warnings.append(
                        f"{secret.name}: that the hosts serve with it could not be kept in {store.directory} ({error.strerror}); "
                        "check inference_secrets_dir"
                    )
                keys.settle(secret)
        # Hidden here and not by the task's no_log: a failure above has to stay readable. And no fact, which a cache would keep.
        return {"changed": changed, "secrets": keys.result(), "warnings": warnings, "_ansible_no_log": True}

    def _tls(self, args: Mapping[str, Any], problems: list[str]) -> tuple[dict[str, Any], list[str]]:
        """What hosts need of certificates, and for whom one was made; files of the user were looked at by the plan."""
        part = args["tls"]
        if not part:
            return {}, []
        authority = Authority(Path(args["directory"]), write=not self._task.check_mode, renew=args["pending"])
        try:
            ca, certificates = authority.certificates(part["hosts"])
            files = FilesOfTls.read(part["files"], self._loader)
        except SecretError as error:
            problems.append(str(error))
            return {}, []
        gateways = {host: {"own": certificates[host], "public": files.pair} for host in part["gateways"]}
        return {
            "ca": ca,
            # What clients have to be told of; empty where everybody knows the authority.
            "clients_ca": files.ca_file if files.pair else ca if gateways else "",
            "ca_file": part["files"].get("ca_file", "") if files.pair else str(Path(args["directory"]) / ALONE) if gateways else "",
            "gateways": gateways,
            "proxies": {host: certificates[host] for host in part["proxies"]},
        }, authority.made


def _unknown(rotate: list[str], names: list[str]) -> list[str]:
    known = {"all", *names, *(name.split("/")[0] for name in names)}
    return [
        f"inference_rotate: {name!r} is not a key of this deployment; its keys are {', '.join(sorted(known))}"
        for name in rotate
        if name not in known
    ]


class _Keys:
    """Every key of a deployment."""

    def __init__(self, store: SecretStore, given: GivenSecrets, engine_hosts: list[str], gateway: str | None) -> None:
        self._store = store
        self._given = given
        self._gateway = gateway
        self._secrets: dict[str, Secret] = {}
        self.names: list[str] = []
        self.tls: Mapping[str, Any] = {}
        for host in engine_hosts:
            self._get(f"inference_engine_key of {host}", "engine_keys", host, given=given.of_host(host, "inference_engine_key"))
        if gateway:
            self._get("inference_master_key", "master_key", given=given.of_host(gateway, "inference_master_key"), prefix="sk-")
            for name, own in given.client_keys(gateway).items():
                self._get(f"inference_gateway.client_keys.{name}", "client_keys", name, given=own, prefix="sk-")
        self._rest = {
            # Somebody else's servers have somebody else's keys: never generated, never judged.
            "external_keys": given.external_keys(gateway) if gateway else {},
            "redis_password": given.redis_password(gateway) if gateway else None,
            "huggingface_tokens": {host: token for host in engine_hosts if (token := given.of_host(host, "inference_huggingface_token"))},
            "environments": {host: found for host in engine_hosts if (found := given.environment(host))},
        }
        clients = {name: secret.key for name, secret in self._of("client_keys").items()}
        for name, trouble in shared_keys(self._master.key if self._master else None, clients).items():
            given.problems.append(f"inference_gateway.client_keys.{name}: {trouble}; null has one of its own generated")

    def _get(self, variable: str, *path: str, given: str | None, prefix: str = "") -> None:
        self.names.append("/".join(path))
        try:
            secret = self._store.get(variable, *path, given=given, prefix=prefix)
        except SecretError as error:
            self._given.problems.append(str(error))
        else:
            self._secrets[secret.name] = secret

    def _of(self, kind: str) -> dict[str, Secret]:
        return {name.partition("/")[2]: secret for name, secret in self._secrets.items() if name.startswith(f"{kind}/")}

    @property
    def _master(self) -> Secret | None:
        return self._secrets.get("master_key")

    @property
    def unserved(self) -> list[Secret]:
        return [secret for secret in self._secrets.values() if not secret.served]

    def settle(self, secret: Secret) -> None:
        self._secrets[secret.name] = Secret(secret.name, secret.key, secret.given, None, True)

    def result(self) -> dict[str, Any]:
        engines, clients = self._of("engine_keys"), self._of("client_keys")
        return {
            "master_key": self._master.key if self._master else None,
            "engine_keys": {host: secret.key for host, secret in engines.items()},
            "client_keys": {name: secret.key for name, secret in clients.items()},
            **self._rest,
            **({"tls": self.tls} if self.tls else {}),
            "previous": {
                "master_key": self._master.previous.digest if self._master and self._master.previous else None,
                "client_keys": {name: secret.previous.digest for name, secret in clients.items() if secret.previous},
                "engine_keys": {host: one.previous.key for host, one in engines.items() if one.previous and one.previous.key},
            },
            "changing": sorted(name for name, secret in self._secrets.items() if secret.previous),
            "unserved": sorted(secret.name for secret in self.unserved),
            "files": {name: str(self._store.directory / name) for name, secret in self._secrets.items() if not secret.given},
        }
