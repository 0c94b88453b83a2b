# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What Ollama says, in its log and as the answer to a pull."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_OLLAMA = ("ollama",)
_PULL = "ollama/ollama, server/images.go, server/download.go"
_LLM = "ollama/ollama, llm and runner"

_NEWER = "This model needs a newer Ollama than the image has. Raise 'image' (or engine_version) of the model to a current release."
_NO_MODEL = (
    "Ollama's registry has no such model or tag. Correct 'source': the name and tag as on ollama.com/library, or hf.co/ORG/REPO:QUANT."
)
_PULL_CA = (
    "The certificate of Ollama's registry is not accepted inside the container. With an intercepting proxy, mount its CA and set "
    "SSL_CERT_FILE in the model's env."
)
_PULL_HTTP = "Ollama spoke TLS to a server that speaks plain http. Correct the address in 'source', or put TLS in front of that registry."
_DAMAGED = (
    "The downloaded model is damaged or incomplete. Delete it ('docker exec UNIT-CONTAINER ollama rm MODEL'), look at the disk, and "
    "start the unit again."
)
_LOAD_TIMEOUT = (
    "The model took longer to load than Ollama waits. Set OLLAMA_LOAD_TIMEOUT (for example 30m) in the model's env, look at the disk it is "
    "read from, or choose a smaller model."
)
_RIGHTS = (
    "Ollama may not write where it keeps its models. Look at owner and mode of inference_data_dir on the host and of every folder above, "
    "and at --user in container_extra_arguments."
)
_LACKS_LIBRARY = (
    "A program of Ollama could not be run: a shared library or the file itself is missing in the image, or is for another architecture. "
    "Use an unchanged released image for this platform."
)
_ON_CPU = (
    "Ollama found no GPU it can use and would compute on the CPU. Check 'nvidia-smi' on the host and in the container, the driver (550 "
    "or newer), then restart the unit."
)

RULES = (
    rule(
        Cause.BAD_MODEL,
        _PULL,
        r"pull model manifest: 412",
        r"(?:requires|needs) a (?:newer|more recent) version of Ollama",
        r"may require a newer version of [Oo]llama|(?:please )?(?:update|upgrade) (?:to the latest version of )?[Oo]llama",
        r"newer version of Ollama",
        r"unknown model architecture|unsupported (?:model )?architecture|error loading model architecture",
        r"this model is not supported by your version of Ollama",
        remedy=_NEWER,
        kinds=_OLLAMA,
    ),
    rule(
        Cause.BAD_MODEL,
        _PULL,
        r"pull model manifest: (?:file does not exist|40[0134](?!.*(?i:allow-?list|egress|blocked|policy)))",
        r"model ['\"]?[\w./:-]+['\"]? not found",
        r"(?:invalid model name|model name .*invalid|invalid (?:model )?(?:name|reference))",
        r"repository does not exist|manifest unknown|Repository is not GGUF|is not GGUF|The specified tag is not available|no GGUF",
        r"Invalid username or password",
        r"does not support (?:chat|generate|completion|embed\w*|thinking|tools|vision)",
        remedy=_NO_MODEL,
        kinds=_OLLAMA,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        _PULL,
        r"(?:pull|registry|manifests?|blobs?|lookup)\b.*(?:server gave HTTP response to HTTPS client|first record does not look like)",
        remedy=_PULL_HTTP,
        permanent=True,
        kinds=_OLLAMA,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        _PULL,
        r"(?:pull|registry|manifests?|blobs?)\b.*(?:x509: |failed to verify certificate)",
        remedy=_PULL_CA,
        permanent=True,
        kinds=_OLLAMA,
        applies=lambda match: "expired" not in match.string,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        _PULL,
        r"pull model manifest: (?:Get|Head|5\d\d|429|max retries|ssh|EOF|dial|context|unexpected|read|net|http)",
        r"max retries exceeded|(?:download|upload) stalled|stalled; retrying|part \d+ (?:stalled|attempt)",
        r"digest mismatch",
        r"(?:registry\.ollama\.ai|r2\.cloudflarestorage\.com|ollama\.com|hf\.co)\S*.*(?:timeout|refused|no such host|reset|EOF"
        r"|unreachable|certificate|bad gateway|50\d)",
        r"the stream ended early|unexpected EOF|connection reset by peer",
        r"HTTP 5\d\d",
        kinds=_OLLAMA,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        "Go, errors of package os",
        r"(?:mkdir|open|create|chmod|rename|write|stat) \S+: (?:permission denied|operation not permitted)",
        remedy=_RIGHTS,
        kinds=_OLLAMA,
    ),
    rule(
        Cause.TIMEOUT,
        _LLM,
        r"timed out waiting for (?:llama|the|model|runner)\S* (?:runner|server)?|(?:runner|llama-server) (?!GPU discovery).*timed? ?out",
        remedy=_LOAD_TIMEOUT,
        permanent=False,
        kinds=_OLLAMA,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _LLM,
        r"(?:runner|llama-server) .*(?:terminated|exited|running).*exit (?:status|code) 12[67]\b",
        r"(?:runner|llama-server)\b(?: binary)?\"?:? (?:not found|executable file not found|no such file|permission denied|exec format)",
        remedy=_LACKS_LIBRARY,
        kinds=_OLLAMA,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_MODEL,
        _LLM,
        r"tensor .* (?:not within the file bounds|has wrong shape|data is not within)|is not within the file bounds",
        r"wrong (?:number of tensors|shape)|missing tensor|invalid magic|invalid file magic|failed to read (?:magic|key-value)",
        r"unexpected end of file|model is corrupted|bad magic",
        r"(?:error loading model|unable to load model|failed to load model).*(?:corrupt|magic|truncat|bounds|hyperparameters|vocab"
        r"|tensor|key not found)",
        r"key not found in model|error loading model (?:hyperparameters|vocabulary)|unknown (?:pre-tokenizer|tokenizer)",
        remedy=_DAMAGED,
        kinds=_OLLAMA,
    ),
    rule(
        Cause.BAD_FLAG,
        "ollama/ollama, envconfig/config.go",
        r"invalid (?:port|duration|host|value|setting)\b.*OLLAMA_|OLLAMA_\w+.*(?:invalid|unsupported)|invalid environment variable",
        r"unknown (?:command|flag|shorthand)|Error: (?:unknown|accepts)",
        r"KV cache type .*(?:not supported|unsupported)|quantized KV cache requires flash attention",
        kinds=_OLLAMA,
    ),
    rule(
        Cause.GPU_LOST,
        "ollama/ollama, discover/gpu.go",
        r"msg=\"?(?:no (?:compatible )?GPUs? (?:were|was)? ?(?:discovered|detected)|unable to refresh free memory)",
        r"inference compute\" id=cpu",
        r"no nvidia devices detected|[Uu]nable to load (?:cudart|nvcuda|CUDA)|failed to (?:initialize|init) (?:CUDA|nvml)",
        r"cuda driver library (?:init failure|failed)|(?:nvml|cudart|cuda)\b[\w ]* init failure|failed to get device context",
        r"failure during (?:[\w-]+ )?GPU discovery|GPU discovery .*timed out",
        r"failed to finish (?:GPU )?discovery|error looking up nvidia GPU",
        remedy=_ON_CPU,
        kinds=_OLLAMA,
        rank=Rank.VAGUE,
        anywhere=True,
    ),
    rule(
        Cause.PARTLY_ON_CPU,
        "llama.cpp, load_tensors",
        r"offloaded (\d+)/(\d+) layers to GPU",
        kinds=_OLLAMA,
        rank=Rank.VAGUE,
        anywhere=True,
        applies=lambda match: match.group(1) is not None and int(match.group(1)) < int(match.group(2)),
    ),
    rule(
        Cause.BAD_MODEL,
        _LLM,
        r"(?:error loading model|unable to load model|failed to load model|llama runner process has terminated: error loading)",
        kinds=_OLLAMA,
        rank=Rank.WRAPPER,
    ),
)
