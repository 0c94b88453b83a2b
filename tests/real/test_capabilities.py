# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plan says of compute capabilities is what vLLM's own classes say. Needs the test bed's images: `make real`."""

from __future__ import annotations

import json
from pathlib import Path

from support.containers import VLLM, docker_run_python

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_capability import ATTENTION_BACKENDS, QUANTIZATION_SINCE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_images import MIN_COMPUTE_CAPABILITY

CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (10, 3), (11, 0), (12, 0), (12, 1))

ASK = f"""
import ast, json, pathlib, vllm
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, get_quantization_config
from vllm.platforms.interface import DeviceCapability
needed = {{}}
for name in QUANTIZATION_METHODS:
    try:
        needed[name] = get_quantization_config(name).get_min_capability()
    except (ImportError, NotImplementedError):
        pass
# The classes of backends need CUDA to be imported: their functions alone are run.
backends = {{}}
root = pathlib.Path(vllm.__file__).parent / "v1/attention/backends"
for path in sorted(set(root.rglob("*.py")) - set(root.rglob("rocm*.py")) - set(root.rglob("prefill/*.py"))):
    for item in ast.parse(path.read_text()).body:
        parts = item.body if isinstance(item, ast.ClassDef) else ()
        functions = {{part.name: part for part in parts if isinstance(part, ast.FunctionDef)}}
        name, asked = (functions.get(which) for which in ("get_name", "supports_compute_capability"))
        if name is None or asked is None or not isinstance(name.body[-1], ast.Return) or not isinstance(name.body[-1].value, ast.Constant):
            continue
        asked.decorator_list = []
        names = {{"DeviceCapability": DeviceCapability}}
        exec(ast.unparse(asked), names)
        try:
            said = [names[asked.name](None, DeviceCapability(*pair)) for pair in {CAPABILITIES}]
        except NameError:  # of a module that a backend for other hardware imports
            continue
        backends[name.body[-1].value.value] = said
print(json.dumps({{"needed": needed, "backends": backends}}))
"""


def test_minimum_capabilities_are_those_of_the_pinned_vllm(tmp_path: Path) -> None:
    answer = json.loads(docker_run_python(VLLM, ASK, tmp_path).splitlines()[-1])
    image = 10 * MIN_COMPUTE_CAPABILITY[0] + MIN_COMPUTE_CAPABILITY[1]
    # Written in arguments, mxfp8 is a method of vLLM's own that packs 16-bit weights; only a checkpoint's mxfp8 is ModelOpt's.
    beyond = {name: value for name, value in answer["needed"].items() if value > image and name != "mxfp8"}
    assert beyond == {name: 10 * since[0] + since[1] for name, since in QUANTIZATION_SINCE.items()}
    for name, (first, end) in ATTENTION_BACKENDS.items():
        assert answer["backends"][name] == [first <= capability < end for capability in CAPABILITIES], name
