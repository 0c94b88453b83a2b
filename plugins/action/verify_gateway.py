# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

SAMPLES = Path(__file__).resolve().parents[2] / "playbooks" / "files" / "samples"
MODEL_KEYS = ("name", "capability", "modalities", "aliases", "dimension", "required")
PASSTHROUGH_KEYS = ("path", "model", "upstream_model")
MODULE_OPTIONS = ("base_url", "api_key", "ca", "models", "passthrough", "parallel", "timeout", "container")


class ActionModule(ActionBase):
    """Controller half of the module verify_gateway: reads the samples, which only the controller has."""

    _VALID_ARGS = frozenset({*MODULE_OPTIONS, "image", "audio"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {key: self._task.args[key] for key in MODULE_OPTIONS if self._task.args.get(key) is not None}
        image, audio = self._task.args.get("image"), self._task.args.get("audio")
        names = _upstream_names(arguments.get("models"))
        if isinstance(arguments.get("passthrough"), list):
            arguments["passthrough"] = [
                {"upstream_model": names.get(entry.get("model")), **entry} for entry in arguments["passthrough"] if entry.get("model")
            ]
        if isinstance(arguments.get("models"), list):
            arguments["models"] = [
                {"required": _is_required(model), **model} if isinstance(model, dict) else model for model in arguments["models"]
            ]
        # The plan says more about a model and a path than the requests need.
        for option, keys in (("models", MODEL_KEYS), ("passthrough", PASSTHROUGH_KEYS)):
            if isinstance(arguments.get(option), list):
                arguments[option] = [
                    {key: entry[key] for key in keys if entry.get(key) is not None} if isinstance(entry, dict) else entry
                    for entry in arguments[option]
                ]
        arguments.update(
            image_content=self._read("image", image, "text.png"),
            audio_content=self._read("audio", audio, "speech.wav"),
            shipped=not image and not audio,
        )
        try:
            result.update(
                self._execute_module(module_name="llmops.gpu_inference.verify_gateway", module_args=arguments, task_vars=task_vars)
            )
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        # The samples say nothing in the output, and are long.
        given = result.get("invocation", {}).get("module_args", {})
        for key in ("image_content", "audio_content"):
            given.pop(key, None)
        return result

    def _read(self, option: str, path: str | None, shipped: str) -> str:
        source = Path(path).expanduser() if path else SAMPLES / shipped
        try:
            return base64.b64encode(source.read_bytes()).decode()
        except OSError as error:
            raise AnsibleActionFail(f"{option}: {source} cannot be read on the controller: {error.strerror}") from error


def _is_required(model: Mapping[str, Any]) -> bool:
    """Whether somebody who must be there serves it: one of our engines, or an external server that is `required`."""
    backends = model.get("backends") or []
    return not backends or any(backend.get("health", True) for backend in backends)


def _upstream_names(models: Any) -> dict[str, str]:
    """By model, the name that its first engine knows it by: a forwarded request carries that one."""
    if not isinstance(models, list):
        return {}
    return {model["name"]: model["backends"][0]["model"] for model in models if isinstance(model, dict) and model.get("backends")}
