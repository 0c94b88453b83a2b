# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What llama.cpp says when llama-server does not start. It ends with 1 whatever it was: the text tells."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, Rank, rule
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_hub import FILTERED, REFUSED
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, Rank, rule  # type: ignore[import-not-found,no-redef]
    from _causes_hub import FILTERED, REFUSED  # type: ignore[import-not-found,no-redef]

_SERVER = ("llama_cpp",)
_ANY = ("llama_cpp", "ollama")
_SOURCE = "ggml-org/llama.cpp, common/arg.cpp, src/llama-model-loader.cpp, tools/server"

_NO_FILE = (
    "The GGUF file is not there. Correct 'source': an absolute path on the node, or a hub file; the path inside the container is the "
    "one the line names."
)
_NEWER = "This llama.cpp does not know the model's architecture or tokenizer. Use a newer image, or a GGUF made for this one."
_DAMAGED = (
    "The file is not a complete GGUF model: an unfinished download, a Git LFS placeholder, or another format. Fetch it again; of a split "
    "model all parts must be there."
)
_NO_BACKEND = (
    "This build of llama.cpp has no backend for the machine. Use the image for this processor and GPU (a tag with cuda for NVIDIA GPUs)."
)
_ASSERTION = (
    "This version of the engine cannot compute this model as it is set: one of its own checks failed. Use a newer image or another "
    "quantisation of the model, and leave out of its settings what is not the default (flash attention, type of the KV cache, batch size)."
)
_PROJECTOR = "The multimodal projector does not fit the model. Give the mmproj file that belongs to it."

_DOWNLOAD = "ggml-org/llama.cpp, common/download.cpp, hf-cache.cpp, http.h"
_STATUS = r"(?:\bGET failed \(|\b[Ss]tatus code(?: received)?: |HF API, response code: )"

RULES = (
    FILTERED,
    rule(
        Cause.BAD_MODEL,
        _DOWNLOAD,
        rf"{_STATUS}40[13]\b",
        r"model is private or does not exist; if you are accessing a gated model",
        remedy=REFUSED,
        kinds=_SERVER,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        _DOWNLOAD,
        rf"{_STATUS}(?:429|5\d\d|-1)\b|HTTPLIB failed",
        r"curl_easy_perform\(\) failed|llama_download_file: |common_download_file\w*: .*(?:fail|error)",
        kinds=_SERVER,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "ggml-org/llama.cpp, ggml/src/ggml-backend-reg.cpp",
        r"no (?:CPU |GPU )?backends? (?:found|are loaded|loaded)|failed to find ggml_backend_init|no usable backend",
        remedy=_NO_BACKEND,
        kinds=_ANY,
    ),
    rule(
        Cause.BAD_MODEL,
        _SOURCE,
        r"unknown model architecture",
        r"unknown (?:pre-tokenizer|tokenizer)(?: type)?",
        r"unsupported (?:model architecture|file type|gguf version|GGUF version|tensor type)|invalid ggml type",
        r"unknown type \S+ for tensor|requires a newer|[Mm]odel type \S+ (?:is )?not supported",
        remedy=_NEWER,
        kinds=_ANY,
    ),
    rule(
        Cause.BAD_MODEL,
        _SOURCE,
        r"failed to open GGUF file",
        r"gguf_init_from_file: failed to open",
        r"(?:failed to open|cannot open|unable to open) .*\.gguf",
        r"No such file or directory.*\.gguf|\.gguf.*No such file",
        r"no model (?:specified|provided)|error: (?:--model|model path) is required|model file .*(?:not found|does not exist)",
        r"\b(?:model|file)\b.* not found (?:on|in) (?:the )?(?:hub|repo|Hugging Face)|no GGUF files? found|error from HF API",
        remedy=_NO_FILE,
        kinds=_SERVER,
    ),
    rule(
        Cause.BAD_MODEL,
        _SOURCE,
        r"invalid magic characters",
        r"is not within the file bounds|model is corrupted or incomplete|file bounds",
        r"failed to read (?:magic|header|key-value|tensor|key)|gguf_init_from_\w+: (?:failed|invalid|tensor|key|this)",
        r"wrong (?:number of tensors|shape)|has wrong shape|missing tensor|tensor '\S+' (?:not found|has invalid)",
        r"key not found in model|error loading model (?:hyperparameters|vocabulary|architecture)|illegal split|invalid split",
        r"missing split|expected \d+ splits",
        remedy=_DAMAGED,
        kinds=_ANY,
    ),
    rule(
        Cause.BAD_MODEL,
        _SOURCE,
        r"mmproj|clip_(?:init|model_load)|mtmd_init|failed to load (?:CLIP|multimodal|clip)",
        remedy=_PROJECTOR,
        kinds=_SERVER,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        _SOURCE,
        r"error: invalid argument: |invalid argument: ",
        r"error while handling (?:argument|environment variable)",
        r"error: (?:unknown|unrecognized|missing|expected)|(?:unknown|invalid) (?:value|argument|option) (?:for|:)",
        r"expected value for argument|error parsing (?:argument|environment)",
        r"(?:unknown|unsupported|invalid|Unsupported) (?:cache type|pooling type|split mode|rope scaling|chat template|grammar"
        r"|reasoning format|buffer type|samplers?)",
        r"[Tt]emplate (?:supplied is not|is not supported|parsing failed|error)|chat template .*(?:not supported|parsing error|invalid)",
        r"V cache quantization requires flash|quantized V cache|KV cache type .*not supported",
        r"invalid device: |not built with|compiled without|option .* is not (?:supported|available)",
        r"n_(?:ctx|batch|ubatch|parallel|gpu_layers)\b.*(?:must|invalid|should|cannot)|tensor .* cannot run the operation",
        r"error: .*(?:cannot be used|must be|not supported|requires|incompatible)",
        r"(?:fail|unable|error)\w*\b.*\b(?:lora|LoRA|control vector|grammar|json[_ ]schema|draft model|speculative|slot save path"
        r"|api key file)",
        kinds=_SERVER,
    ),
    rule(
        Cause.CONTEXT_TOO_LONG,
        _SOURCE,
        r"n_ctx_\w+ \(\d+\) > n_ctx_train \(\d+\)(?!.*possible)",
        kinds=_SERVER,
        rank=Rank.VAGUE,
        anywhere=True,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "Vulkan, vk::Result; rocBLAS",
        r"Error(?:Extension|Feature|Layer)NotPresent|ErrorIncompatible\w+|Incompatible\w+Error|Error\w+NotSupported",
        r"\b(?:rocblas|hipblas)\w* error: |TensileLibrary",
        remedy=_NO_BACKEND,
        kinds=_ANY,
    ),
    rule(
        Cause.GPU_LOST,
        "llama.cpp, ggml-cuda.cu",
        r"\b(?:CUDA|ROCm|HIP|MUSA|SYCL) error\b",
        r"ggml_cuda_init: failed to initialize CUDA",
        r"failed to (?:initialize|init) (?:CUDA|cuda|ggml_cuda)|no (?:usable )?GPU found",
        r"ggml_backend_cuda_init: (?:error|invalid device)|\bvk::\w+|ErrorDeviceLost",
        kinds=_ANY,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_MODEL,
        "ggml-org/llama.cpp, ggml/src/ggml.c",
        r"GGML_ASSERT\(|GGML_ABORT|(?:fatal error|not implemented|unsupported op)\b.*ggml",
        r"ggml\S*: .*unsupported op|ggml\S*:\d+: fatal error",
        remedy=_ASSERTION,
        kinds=_ANY,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.KV_CACHE_TOO_SMALL,
        "llama.cpp, src/llama-kv-cache.cpp",
        r"failed to (?:allocate|create) .*(?:kv|KV) ?cache|llama_kv_cache\w*: failed",
        r"llama_init_from_model: failed to initialize the context|failed to create context with model",
        rank=Rank.WRAPPER,
        permanent=False,
        kinds=_ANY,
    ),
    rule(
        Cause.BAD_MODEL,
        _SOURCE,
        r"error loading model|failed to load model|unable to load model|llama_model_load: error",
        rank=Rank.WRAPPER,
        kinds=_SERVER,
    ),
)
