# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a GPU's compute capability says of number formats, before a model is downloaded.

From vLLM 0.32: get_min_capability of each method in model_executor/layers/quantization (config/vllm.py compares it), supported_dtypes
and check_if_supports_dtype in platforms/cuda.py, supports_compute_capability and the FP8 check of the backends in v1/attention. The image
itself asks for 7.5, so methods that ask for no more are not listed. The model's own config.json is on the hub: of what it says only the
name of the source gives a hint, and that is a doubt and no trouble.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .vllm_flags import settings

Capability = tuple[int, int]

_NO_END: Capability = (99, 0)
#: The major of 10.0 (B200) and 10.3 (B300).
_BLACKWELL_OF_DATA_CENTRES = 10
#: Methods of quantization that ask for more than the image does.
QUANTIZATION_SINCE: Mapping[str, Capability] = {
    "experts_int8": (8, 0),
    "fbgemm_fp8": (8, 0),
    "fp_quant": (10, 0),
    "gpt_oss_mxfp4": (8, 0),
    "modelopt": (8, 0),
    "modelopt_mxfp8": (8, 0),
    "mxfp4": (8, 0),
}
#: Attention backends, with the capabilities that they run on: from the first, up to but without the second.
ATTENTION_BACKENDS: Mapping[str, tuple[Capability, Capability]] = {
    "FLASH_ATTN": ((8, 0), _NO_END),
    "FLASHINFER": ((8, 0), (12, 2)),
    "CUTLASS_MLA": ((10, 0), (11, 0)),
    "FLASHINFER_MLA": ((10, 0), (11, 0)),
    "FLASHMLA": ((9, 0), (11, 0)),
    "FLASH_ATTN_MLA": ((9, 0), (10, 0)),
    "TOKENSPEED_MLA": ((10, 0), (11, 0)),
}
BFLOAT16_SINCE: Capability = (8, 0)
#: Cores that compute with the format; older GPUs unpack it to 16 bits (vLLM's Marlin kernels).
NATIVE_FP8: Capability = (8, 9)
NATIVE_FP4: Capability = (10, 0)

_KV_SINCE = re.compile(r"fp8|nvfp4|bfloat16", re.IGNORECASE)


def text(capability: Capability) -> str:
    return ".".join(map(str, capability))


def capability_troubles(arguments: Mapping[str, Any], capability: Capability) -> Iterator[tuple[str, str]]:
    """Arguments that a GPU of this capability cannot fulfil, each with what it needs and what to write instead."""
    dtype = str(arguments.get("dtype") or "").lower()
    if dtype == "bfloat16" and capability < BFLOAT16_SINCE:
        yield "dtype", "bfloat16 needs 8.0; write half, or leave it out, and vLLM takes float16"
    method = str(arguments.get("quantization") or "").lower()
    needed = QUANTIZATION_SINCE.get(method)
    if needed is not None and capability < needed:
        yield "quantization", f"{method} needs {text(needed)}; use a model in another format (AWQ, GPTQ), or another GPU"
    elif method == "nvfp4_per_token" and capability[0] != _BLACKWELL_OF_DATA_CENTRES:
        yield "quantization", "nvfp4_per_token needs 10.0 or 10.3; leave it out for a model that is quantized already"
    cache = str(arguments.get("kv-cache-dtype") or "").lower()
    backend = attention_backend(arguments)
    if _KV_SINCE.match(cache) and capability < BFLOAT16_SINCE:
        yield "kv-cache-dtype", f"{cache} needs 8.0; leave it out"
    elif cache.startswith("fp8") and backend == "TRITON_ATTN" and capability < NATIVE_FP8:
        yield "kv-cache-dtype", f"{cache} with the attention backend TRITON_ATTN needs 8.9; use FLASHINFER, or leave it out"
    if backend in ATTENTION_BACKENDS:
        first, end = ATTENTION_BACKENDS[backend]
        if not first <= capability < end:
            key = "attention-backend" if arguments.get("attention-backend") else "attention-config.backend"
            yield (
                (key if key in arguments else "attention-config"),
                f"{backend} runs on {_range(first, end)}; leave it out, and vLLM chooses one",
            )


def attention_backend(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("attention-backend") or settings(arguments, "attention-config").get("backend") or "").upper()


def _range(first: Capability, end: Capability) -> str:
    if end == _NO_END:
        return f"{text(first)} and newer"
    return (
        f"{first[0]}.x" if end == (first[0] + 1, 0) else f"{text(first)} to {text((end[0] - 1, 9) if not end[1] else (end[0], end[1] - 1))}"
    )


def capability_doubt(source: str, arguments: Mapping[str, Any], capability: Capability) -> str | None:
    """What the name of a source makes one expect on a GPU of this capability. Whoever names the quantization himself knows."""
    if arguments.get("quantization"):
        return None
    name = source.rstrip("/").rpartition("/")[2].lower()
    if re.search(r"mxfp4|gpt-oss", name) and capability < QUANTIZATION_SINCE["mxfp4"]:
        return "MXFP4, for which vLLM needs 8.0: the engine will not start"
    if source.lower().startswith("nvidia/") and "fp8" in name and capability < QUANTIZATION_SINCE["modelopt"]:
        return "FP8 of NVIDIA's Model Optimizer, for which vLLM needs 8.0: the engine will not start"
    if re.search(r"nvfp4|[-_.]fp4", name) and capability < NATIVE_FP4:
        return f"FP4, with which GPUs compute from {text(NATIVE_FP4)} on: vLLM unpacks the weights, which saves memory and no time"
    if re.search(r"fp8", name) and capability < NATIVE_FP8:
        return f"FP8, with which GPUs compute from {text(NATIVE_FP8)} on: vLLM unpacks the weights, which saves memory and no time"
    return None
