# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why an endpoint does not answer: the list of causes, a remedy for each, and the reader of engine logs.

Used by modules, by the controller and by the launcher on the node, so: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS_MISMATCH = "tls_mismatch"
    AUTH = "auth"
    NOT_OPENAI = "not_openai"
    WRONG_MODEL = "wrong_model"
    STALE_SERVER = "stale_server"
    UNIT_FAILED = "unit_failed"
    CRASH_LOOP = "crash_loop"
    OUT_OF_MEMORY = "out_of_memory"
    DOWNLOAD_FAILED = "download_failed"
    REGISTRY_TLS = "registry_tls"
    REGISTRY_DOWN = "registry_down"
    IMAGE_MISSING = "image_missing"
    BAD_FLAG = "bad_flag"
    BAD_MODEL = "bad_model"
    CONTEXT_TOO_LONG = "context_too_long"
    KV_CACHE_TOO_SMALL = "kv_cache_too_small"
    SHARED_MEMORY = "shared_memory"
    PORT_IN_USE = "port_in_use"
    GPU_LOST = "gpu_lost"
    RUNTIME_MISSING = "runtime_missing"
    PARTLY_ON_CPU = "partly_on_cpu"
    BAD_ANSWER = "bad_answer"
    DOCKER_DOWN = "docker_down"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return str(self.value)


REMEDIES: t.Mapping[Cause, str] = {
    Cause.DNS: "Correct the host name in the base URL, or make it resolvable where the probe runs (DNS, /etc/hosts; between "
    "containers: a common Docker network).",
    Cause.REFUSED: "Nothing listens on that address and port. Look at the unit (systemctl status, journalctl -u) and compare the "
    "port with the service's port; "
    "engines are published on 127.0.0.1 of their own host only.",
    Cause.TIMEOUT: "The address does not answer in time: look for a firewall, a wrong address or a hung server. If the model merely "
    "loads slowly, raise ready_timeout.",
    Cause.TLS_MISMATCH: "Change the scheme of the base URL: engines speak plain http unless a certificate was configured; "
    "if the certificate is the problem, install its CA on the host where the probe runs.",
    Cause.AUTH: "The key sent is not the key of this server. Compare api_key with the server's env file; after a key change the "
    "server must be restarted.",
    Cause.NOT_OPENAI: "The server answers, but there is no OpenAI API at this path. The base URL must end in the API's root, for vLLM, "
    "Ollama and LiteLLM in /v1.",
    Cause.WRONG_MODEL: "The server serves other models than the expected one. Correct the model name, or the port if two services were "
    "mixed up.",
    Cause.STALE_SERVER: "An older process still answers on this port. Find it with 'ss -ltnp' and 'docker ps' and stop it, then start "
    "the unit again.",
    Cause.UNIT_FAILED: "Read 'systemctl status' and 'journalctl -u' of the unit on its host.",
    Cause.CRASH_LOOP: "The unit dies again and again. Read the log lines of its first failure with 'journalctl -u', correct the cause, "
    "then 'systemctl reset-failed' and start the unit.",
    Cause.OUT_OF_MEMORY: "Give the service more memory or a smaller model or context: raise 'memory' of the service, lower max_model_len "
    "or max-num-seqs, or stop what else uses that GPU (nvidia-smi).",
    Cause.DOWNLOAD_FAILED: "The model could not be downloaded. Check the node's way to the hub (inference_proxy, DNS, firewall), "
    "the token, and the free space in inference_data_dir; or put the model on the node and give its absolute path as source.",
    Cause.REGISTRY_TLS: "The image registry's certificate is not accepted. Install its CA in /etc/docker/certs.d/<registry>/ca.crt, "
    "or list a plain-http registry under insecure-registries of the Docker daemon.",
    Cause.REGISTRY_DOWN: "The image registry cannot be reached. Check its address, the proxy of the Docker daemon, or use "
    "inference_registry_mirrors. An image that is already present is used without a pull.",
    Cause.IMAGE_MISSING: "The image or its tag does not exist for this platform, or the login is missing. Correct 'image' of the model, "
    "or run 'docker login' on the node.",
    Cause.BAD_FLAG: "The engine does not accept its arguments. Correct engine_args (or env) of the model; the log line names the argument.",
    Cause.BAD_MODEL: "The engine cannot find or use this model. Correct 'source' and 'revision' (hub id, or a path that exists on the "
    "node), set the Hugging Face token for a gated model, or use an engine version that supports it.",
    Cause.CONTEXT_TOO_LONG: "max_model_len is larger than the model allows. Lower it to the value named in the log line.",
    Cause.KV_CACHE_TOO_SMALL: "Too little memory remains for the KV cache. Raise 'memory' of the service, or lower max_model_len "
    "(the log line names the largest that fits) or max-num-seqs.",
    Cause.SHARED_MEMORY: "The container's /dev/shm is too small. Set shm_size of the service (for example 1g; tensor parallelism "
    "needs more).",
    Cause.PORT_IN_USE: "Another process holds this port. Find it with 'ss -ltnp' and stop it, or give the service another port.",
    Cause.GPU_LOST: "The container cannot use its GPU. Check 'nvidia-smi' on the host (reboot after a driver update), then restart "
    "the unit; see the kernel log for Xid errors.",
    Cause.RUNTIME_MISSING: "Docker cannot hand the GPU to a container. Install the NVIDIA driver and the NVIDIA Container Toolkit "
    "(role nvidia_container_toolkit) and check 'docker info' for the runtime nvidia.",
    Cause.PARTLY_ON_CPU: "The model does not fit into GPU memory and runs partly on the CPU. Choose a smaller model or quantisation, "
    "lower the context, or free the GPU.",
    Cause.BAD_ANSWER: "The server answers, but not with a usable result. Compare the capability with what the engine serves and read "
    "its log.",
    Cause.DOCKER_DOWN: "The Docker daemon is not reachable. Run 'systemctl status docker' and 'journalctl -u docker' on the host.",
    Cause.UNKNOWN: "Read the log lines and 'journalctl -u' of the unit on its host.",
}

#: The same start would fail the same way: such an instance is not restarted, and nobody waits for it.
PERMANENT: frozenset[Cause] = frozenset(
    {Cause.BAD_FLAG, Cause.BAD_MODEL, Cause.CONTEXT_TOO_LONG, Cause.KV_CACHE_TOO_SMALL, Cause.RUNTIME_MISSING},
)


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    message: str
    log_lines: tuple[str, ...] = ()
    remedy: str = ""
    permanent: bool = False


def diagnosis(cause: Cause, message: str, log_lines: t.Sequence[str] = (), remedy: str | None = None) -> Diagnosis:
    """A diagnosis with the remedy and permanence that belong to the cause."""
    return Diagnosis(cause, message, tuple(log_lines), remedy or REMEDIES[cause], cause in PERMANENT)


# --- secrets ---------------------------------------------------------------------------------------------------------

_HIDDEN = "********"
_SECRET_PATTERNS: tuple[tuple[t.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 " + _HIDDEN),
    (re.compile(r"\b(sk-|hf_)[A-Za-z0-9_-]{3,}"), r"\1" + _HIDDEN),
    (
        re.compile(
            r"(?i)(['\"]?\b[\w-]*(?:api[_-]?key|master[_-]?key|hf[_-]?token|hub[_-]?token|access[_-]?token|auth[_-]?token"
            r"|password|passwd|secret)\b['\"]?"
            r"\s*(?:[=:]|\s)\s*)(\[?['\"]?)(?!\*)([^\s'\",;&}\])]{4,})",
        ),
        r"\1\2" + _HIDDEN,
    ),
    (re.compile(r"(\w+://[^\s/:@]+:)[^\s/@]+@"), r"\1" + _HIDDEN + "@"),
)
# Words that follow "api key" in an ordinary sentence and are no secrets ("password incorrect", "api key is missing").
_KEY_ASSIGNED = re.compile(r"[=:]\s*\[?['\"]?$|--[\w-]+\s+\[?['\"]?$")


def redact(text: str, secrets: t.Iterable[str] = ()) -> str:
    """Take known secrets and all that looks like one out of a text."""
    for secret in sorted({s for s in secrets if s and len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    for number, (pattern, replacement) in enumerate(_SECRET_PATTERNS):
        if number == 2:
            text = pattern.sub(lambda m: m.group(1) + m.group(2) + _HIDDEN if _KEY_ASSIGNED.search(_before(m)) else m.group(0), text)
        else:
            text = pattern.sub(replacement, text)
    return text


def _before(match: t.Match[str]) -> str:
    return match.string[max(0, match.start() - 2) : match.start()] + match.group(1) + match.group(2)


# --- log lines -------------------------------------------------------------------------------------------------------

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PREFIX = re.compile(
    r"^\s*(?:\([A-Za-z_]+\d*(?: rank=\d+)? pid=\d+\)\s*|\[Stage-\d+\]\s*)*"
    r"(?:(?:ERROR|CRITICAL|WARNING|INFO|DEBUG)\s+\d\d-\d\d\s+\d\d:\d\d:\d\d(?:\.\d+)?\s*)?(?:\[?[\w./-]+\.py:\d+\]\s?)?",
)
_LEVEL = re.compile(
    r"^\s*(?:\([^)]*\)\s*|\[[^\]]*\]\s*)*(ERROR|CRITICAL|FATAL|WARNING|WARN|INFO|DEBUG)\b|\btime=\S+ level=(ERROR|WARN|INFO|DEBUG)\b",
)


def clean_line(line: str) -> str:
    """A log line as a person wants to read it: last state of a progress bar, no colours, no trailing blanks."""
    line = _ANSI.sub("", line).rstrip("\r\n")
    return line.rsplit("\r", 1)[-1].rstrip()


def _without_prefix(line: str) -> str:
    return _PREFIX.sub("", line, count=1).strip()


def _is_mere_notice(line: str) -> bool:
    match = _LEVEL.search(line)
    return bool(match) and (match.group(1) or match.group(2)) in ("WARNING", "WARN", "INFO", "DEBUG")  # type: ignore[union-attr]


@dataclass(frozen=True)
class _Rule:
    cause: Cause
    pattern: t.Pattern[str]
    rank: int = 0  # 0 says it all; 1 is used only when nothing says more
    kinds: tuple[str, ...] = ()  # () = every kind
    remedy: str | None = None
    applies: t.Callable[[t.Match[str]], bool] | None = None


def _rule(
    cause: Cause,
    pattern: str,
    rank: int = 0,
    kinds: tuple[str, ...] = (),
    remedy: str | None = None,
    applies: t.Callable[[t.Match[str]], bool] | None = None,
) -> _Rule:
    return _Rule(cause, re.compile(pattern), rank, kinds, remedy, applies)


_DRIVER_TOO_OLD = (
    "The NVIDIA driver of this host is too old for the image. Update the driver (CUDA 13 images need 580 or newer), "
    "or choose an image built for an older CUDA (for vLLM: a -cu129 tag)."
)
_COMPAT = (
    "The CUDA compatibility library in the image shadows the driver's own: do not set "
    "VLLM_ENABLE_CUDA_COMPATIBILITY, use a current image, reboot after a driver update."
)
_GATED = "The hub refuses access to this model: accept its licence with the account of the token, and set the Hugging Face token."
_DISK_FULL = "The disk is full. Free space in inference_data_dir or under Docker's data root, or move inference_data_dir to a larger disk."
_HUB_TLS = (
    "The hub's certificate is not accepted inside the container. With an intercepting proxy, mount its CA and set "
    "SSL_CERT_FILE and REQUESTS_CA_BUNDLE in the model's env."
)
_WEAK_KEY = (
    "LiteLLM refuses to start with an empty or well-known master key. Remove inference_gateway's own key to have one "
    "generated, or set a strong one."
)
_NO_NEIGHBOUR = (
    "Another process used or freed memory on the same GPU while this engine measured it. Start it again alone, or "
    "set kv-cache-memory-bytes in engine_args."
)
_ENTRYPOINT = (
    "The program to run does not exist in this image. Check 'image', and whether its entrypoint already is the "
    "engine (image_has_entrypoint)."
)
_GPU_ARCH = (
    "The image was not built for this GPU's compute capability. Choose an image that supports it (Jetson and "
    "Blackwell need their own builds)."
)

_RULES: tuple[_Rule, ...] = (
    # Docker: daemon
    _rule(
        Cause.DOCKER_DOWN,
        r"Cannot connect to the Docker daemon|[Ii]s the docker daemon running|error during connect:|dial unix \S*docker\.sock",
    ),
    # Docker: GPU hand-over
    _rule(
        Cause.RUNTIME_MISSING, r"unknown or invalid runtime name: nvidia|Unknown runtime specified nvidia|could not select device driver"
    ),
    _rule(Cause.RUNTIME_MISSING, r"unsatisfied condition: (?:cuda|driver|brand)|requirement error: ", remedy=_DRIVER_TOO_OLD),
    _rule(
        Cause.RUNTIME_MISSING, r"driver on your system is too old|driver version is insufficient for CUDA runtime", remedy=_DRIVER_TOO_OLD
    ),
    _rule(
        Cause.RUNTIME_MISSING,
        r"Error 80[34]:|unsupported display driver / cuda driver combination|forward compatibility was attempted on non supported HW",
        remedy=_COMPAT,
    ),
    _rule(Cause.RUNTIME_MISSING, r"no kernel image is available for execution", remedy=_GPU_ARCH),
    _rule(
        Cause.RUNTIME_MISSING,
        r"unresolvable CDI devices|CDI device injection failed|failed to create the automatic CDI modifier|ERROR_LIBRARY_NOT_FOUND",
    ),
    _rule(
        Cause.RUNTIME_MISSING,
        r"nvidia-container-cli: (?:initialization error|ldcache error|mount error)"
        r"|nvidia-container-runtime[^ ]*\": (?:executable file not found|stat)",
    ),
    _rule(Cause.RUNTIME_MISSING, r"invoking the NVIDIA Container Runtime Hook directly"),
    # Docker: image
    _rule(
        Cause.REGISTRY_TLS,
        r"x509: |tls: failed to verify certificate|server gave HTTP response to HTTPS client|remote error: tls:"
        r"|tls: first record does not look like a TLS handshake",
    ),
    _rule(
        Cause.IMAGE_MISSING,
        r"manifest unknown|manifest for \S+ not found|No such image|pull access denied|repository does not exist"
        r"|no matching manifest for|requested access to the resource is denied"
        r"|unauthorized: authentication required|failed to resolve reference \S+: .*not found|name unknown: ",
    ),
    _rule(
        Cause.BAD_MODEL,
        r"pull model manifest: (?:file does not exist|404|400)|model ['\"]?[\w./:-]+['\"]? not found, try pulling"
        r"|model ['\"][^'\"]+['\"] not found",
        kinds=("ollama",),
    ),
    _rule(
        Cause.DOWNLOAD_FAILED, r"pull model manifest: (?:Get|5\d\d|max retries)|max retries exceeded: |digest mismatch", kinds=("ollama",)
    ),
    _rule(
        Cause.REGISTRY_DOWN,
        r"(?:failed to do request|Error response from daemon|error pulling image|failed to resolve reference"
        r"|pinging container registry|Head |Get )\S* ?.*"
        r"(?:connection refused|no such host|i/o timeout|TLS handshake timeout|Client\.Timeout exceeded"
        r"|context deadline exceeded|no route to host|network is unreachable|server misbehaving|proxyconnect)",
    ),
    _rule(
        Cause.REGISTRY_DOWN,
        r"toomanyrequests|received unexpected HTTP status: (?:5\d\d|429)|unexpected status (?:code|from \S+ request to) .*(?:5\d\d|429)",
    ),
    # Port
    _rule(
        Cause.PORT_IN_USE,
        r"port is already allocated|[Aa]ddress already in use|address is already in use|failed to bind host port"
        r"|\[Errno 98\]|ports are not available",
    ),
    # Shared memory, before the full disk: both say "No space left on device"
    _rule(
        Cause.SHARED_MEMORY,
        r"Insufficient space in /dev/shm|[Ii]nsufficient shared memory|out of shared memory \(shm\)"
        r"|No space left on device.*(?:/dev/shm|/psm_|nccl-|torch_)|/dev/shm.*No space left on device"
        r"|unable to (?:open|allocate|mmap|write|resize) (?:\d+ bytes from |to )?(?:shared memory|file </torch_)"
        r"|creating shared memory segment|DataLoader worker .* Bus error",
    ),
    # Memory
    _rule(Cause.OUT_OF_MEMORY, r"Error in memory profiling", remedy=_NO_NEIGHBOUR),
    _rule(
        Cause.OUT_OF_MEMORY,
        r"(?:torch\.|torch\.cuda\.)?OutOfMemoryError|(?:CUDA|HIP) out of memory|CUDA error: out of memory"
        r"|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|cudaMalloc failed|CUBLAS_STATUS_ALLOC_FAILED"
        r"|Free memory on device .* is less than desired|NvMapMemAlloc\w*: ?\d* ?error 12|NvMapMemAllocInternalTagged"
        r"|unable to allocate (?:CUDA|backend|ROCm)\S* ?buffer|failed to allocate (?:CUDA|compute)"
        r"|model requires more (?:system|GPU) memory|llama runner (?:process has )?terminated\b.*signal: killed"
        r"|ggml_backend_cuda_buffer_type_alloc_buffer",
    ),
    _rule(
        Cause.OUT_OF_MEMORY,
        r"can't allocate memory|Cannot allocate memory|std::bad_alloc|^MemoryError\b|: MemoryError\b"
        r"|Out of memory: Killed process|oom-kill|terminated by signal 9 \(SIGKILL\)",
    ),
    # KV cache and context
    _rule(
        Cause.KV_CACHE_TOO_SMALL,
        r"To serve at least one request with the model's max seq len|No available memory for the cache blocks"
        r"|larger than the maximum number of tokens that can be stored in KV cache"
        r"|KV cache is needed, which is larger than the available"
        # vLLM's CPU build.
        r"|Available memory on node \d+ .* is less than requested memory for kv",
    ),
    _rule(
        Cause.CONTEXT_TOO_LONG,
        r"max_model_len \(\d+\) is greater than the derived max_model_len|max_model_len=?\S* .*(?:greater"
        r"|larger) than the (?:model's|derived|maximum)",
    ),
    # GPU
    _rule(
        Cause.GPU_LOST,
        r"NVML: Unknown Error|NVMLError_(?:Unknown|GpuIsLost|NotFound|DriverNotLoaded|LibRmVersionMismatch)|GPU is lost"
        r"|no CUDA-capable device|No CUDA GPUs are available|Found no NVIDIA driver"
        r"|Driver/library version mismatch|Failed to infer device type|CUDA driver initialization failed"
        r"|libcuda\.so\.1: cannot open|couldn't communicate with the NVIDIA driver"
        r"|device error: \S+: unknown device|cudaGetDeviceCount\(\)|CUDA error: |CUDA error \d+"
        r"|CUDA-capable device\(s\) is/are busy|cuInit\S* (?:failed|returned)|uncorrectable (?:ECC|NVLink) error",
    ),
    _rule(
        Cause.GPU_LOST,
        r"msg=\"?(?:no compatible GPUs were discovered|unable to refresh free memory)|inference compute\" id=cpu",
        rank=3,
        kinds=("ollama",),
    ),
    # Model
    _rule(Cause.BAD_MODEL, r"bind source path does not exist", kinds=("vllm",)),
    _rule(
        Cause.BAD_MODEL,
        r"GatedRepoError|gated repo|Access to model \S+ is restricted|Invalid credentials in Authorization header"
        r"|Invalid user token|awaiting a review from the repo",
        remedy=_GATED,
    ),
    _rule(
        Cause.BAD_MODEL,
        r"RepositoryNotFoundError|Repository Not Found for url|RevisionNotFoundError|Revision Not Found for url"
        r"|is not a valid git identifier|is not a local folder and is not a valid model identifier"
        r"|Repo id must (?:be in the form|use alphanumeric)|HFValidationError|does not appear to have a file named"
        r"|[Mm]odel architectures? .* (?:are|is) not supported|Cannot find any model weights"
        r"|does not recognize this architecture|cannot find weights|No such file or directory: '[^']*(?:config"
        r"|model\S*)\.(?:json|safetensors)|Model class .* (?:could not|cannot) be|safetensors_rust.SafetensorError"
        r"|unknown model architecture|unsupported model (?:format|architecture)|MetadataIncompleteBuffer|HeaderTooLarge",
    ),
    # Hub. Network faults outrank the general "Invalid repository ID" that vLLM wraps around them.
    _rule(Cause.DOWNLOAD_FAILED, r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError|SSL: WRONG_VERSION_NUMBER", remedy=_HUB_TLS),
    _rule(
        Cause.DOWNLOAD_FAILED,
        r"couldn't connect to 'https?://|We couldn't connect to|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|offline mode is enabled|outgoing traffic has been disabled|Max retries exceeded with url"
        r"|(?:httpx|httpcore|requests\.exceptions|urllib3\.exceptions)\.\w*(?:Error|Timeout|Refused)|NameResolutionError"
        r"|Temporary failure in name resolution|Name or service not known"
        r"|Failed to resolve 'huggingface|HfHubHTTPError|[45]\d\d (?:Client|Server) Error.*huggingface|IncompleteRead"
        r"|ChunkedEncodingError|Consistency check failed|cannot find the (?:requested|appropriate) .*snapshot",
    ),
    _rule(
        Cause.DOWNLOAD_FAILED,
        r"No space left on device|\[Errno 28\]|Disk quota exceeded|not enough (?:free )?disk space",
        remedy=_DISK_FULL,
    ),
    _rule(
        Cause.BAD_MODEL,
        r"Invalid repository ID or local directory specified|Can't load (?:the )?configuration (?:of|for)|Can't load tokenizer for",
        rank=1,
    ),
    # Arguments
    _rule(
        Cause.BAD_FLAG,
        r"[Mm]aster key.*(?:not set|unset|weak|blank|refus|insecure|must be)|(?:weak|unset|insecure"
        r"|default).{0,40}master.?key|LITELLM_DANGEROUSLY_PERMIT",
        kinds=("litellm",),
        remedy=_WEAK_KEY,
    ),
    _rule(
        Cause.BAD_FLAG,
        r"(?:^|\s)[\w./-]+(?: serve)?: error: |error: (?:unrecognized arguments|argument |ambiguous option"
        r"|the following arguments)|Error: (?:No such (?:option|command)|Invalid value for|Got unexpected extra)"
        r"|unknown (?:flag|shorthand flag): |invalid argument \".*\" for |unknown option ",
    ),
    _rule(
        Cause.BAD_FLAG,
        r"invalid reference format|invalid (?:containerPort|hostPort|mount config|publish|volume specification|memory)"
        r"|bind source path does not exist|requires at least \d argument",
    ),
    _rule(
        Cause.BAD_FLAG,
        r"executable file not found in \$PATH|exec: \".*\": .*no such file or directory|exec format error",
        remedy=_ENTRYPOINT,
        rank=1,
    ),
    _rule(
        Cause.BAD_FLAG,
        r"error setting rlimit",
        remedy="This host does not allow such a resource limit. Lower the --ulimit in container_extra_arguments.",
        rank=1,
    ),
    _rule(
        Cause.BAD_FLAG,
        r"(?:Unknown|Invalid|Unsupported|unsupported) (?:quantization|attention backend|kv.cache.dtype|dtype"
        r"|tool.?(?:call.?)?parser|reasoning.?parser|load.?format)|[Qq]uantization method .* (?:is not supported"
        r"|does not match)"
        r"|invalid tool call parser|invalid reasoning parser|(?:Tool|Reasoning) parser '?\S+'? not found"
        r"|is not a valid (?:AttentionBackendEnum|backend)|Unknown (?:vLLM )?environment"
        r"|max_num_batched_tokens \(\d+\) is smaller than|must be divisible by (?:the )?tensor"
        r"|Total number of attention heads .* must be divisible|World size .* is larger than the number of available"
        r"|Only YAML format is supported|yaml\.(?:scanner|parser)\.\w*Error|Config file not found|is not a valid YAML"
        r"|gpu_memory_utilization must be|GPU memory utilization must be",
    ),
    _rule(Cause.BAD_FLAG, r"validation errors? for \w+|TypeError: .*got an unexpected keyword argument", rank=1, kinds=("vllm",)),
    _rule(
        Cause.PARTLY_ON_CPU,
        r"offloaded (\d+)/(\d+) layers to GPU",
        rank=4,
        applies=lambda m: int(m.group(1)) < int(m.group(2)),
    ),
    # Whatever an engine calls an error, when nothing above fits: the first one, for the last one only says "see above".
    _rule(
        Cause.UNKNOWN,
        r"(?:ERROR.*|^|[\s.])(?:ValueError|RuntimeError|AssertionError|OSError|ImportError|ModuleNotFoundError|KeyError"
        r"|TypeError|NotImplementedError|Exception|FileNotFoundError|PermissionError"
        r"|AttributeError|EngineDeadError|panic|fatal error): ?(?!Engine core initialization failed|Engine process failed"
        r"|.*See root cause above)\S",
        rank=2,
    ),
    _rule(Cause.UNKNOWN, r"(?:^|\s)(?:ERROR|CRITICAL|FATAL|Error|level=ERROR|docker: )\b", rank=3),
)

_NOTICE_PENALTY = 5
_CONTEXT_AFTER = 3
_TAIL = 8
_LINE_LIMIT = 4000


def classify_log(kind: str, lines: t.Sequence[str], exit_code: int | None = None, oom_killed: bool = False) -> Diagnosis:
    """Say why an instance of this kind (vllm, ollama, litellm, ... or docker) died, from its last log lines.

    The first line that names a cause counts, because engines end with a line that only points back to it.
    Warnings and notices count only where no error says more: a retried download is not why a later allocation failed.
    """
    cleaned = [clean_line(line)[:_LINE_LIMIT] for line in lines]
    best: tuple[int, int, _Rule] | None = None
    for number, line in enumerate(cleaned):
        if not line:
            continue
        penalty = _NOTICE_PENALTY if _is_mere_notice(line) else 0
        for rule in _RULES:
            if penalty and rule.cause is Cause.UNKNOWN:
                continue
            if rule.kinds and kind not in rule.kinds:
                continue
            if best is not None and rule.rank + penalty >= best[0]:
                continue
            match = rule.pattern.search(line)
            if match and (rule.applies is None or rule.applies(match)):
                best = (rule.rank + penalty, number, rule)
    shown = tuple(redact(line) for line in _excerpt(cleaned, best[1] if best else None))
    told = _message(cleaned, best[1]) if best else ""
    if oom_killed and (best is None or best[2].cause is not Cause.OUT_OF_MEMORY):
        return diagnosis(
            Cause.OUT_OF_MEMORY,
            "The kernel killed the process because the container reached its memory limit (exit code %s)."
            % (137 if exit_code is None else exit_code),
            shown,
            "Raise host_memory of the service, on the CPU its memory, or choose a smaller model, context or cache in main memory.",
        )
    if exit_code == 2 and kind == "vllm" and (best is None or best[2].cause is Cause.UNKNOWN):
        return diagnosis(Cause.BAD_FLAG, told or "The engine refused its arguments (exit code 2).", shown)
    if exit_code == 3 and kind == "litellm" and (best is None or best[2].cause is Cause.UNKNOWN):
        return diagnosis(Cause.BAD_FLAG, told or "LiteLLM refused its configuration (exit code 3).", shown, _WEAK_KEY)
    if best is not None and (best[0] < _NOTICE_PENALTY or exit_code not in (0, 137, 143)):
        return diagnosis(best[2].cause, told, shown, best[2].remedy)
    if exit_code == 137:
        message = "The process was killed (exit code 137): by hand, by a stop that took too long, or by the kernel for want of memory."
        return diagnosis(Cause.UNKNOWN, message, shown, "See 'journalctl -k' for 'Out of memory', and 'journalctl -u' of the unit.")
    if exit_code == 0 and kind == "vllm":
        return diagnosis(Cause.UNKNOWN, "The engine ended by itself with exit code 0, which vLLM does when its engine process dies.", shown)
    if exit_code is None:
        return diagnosis(Cause.UNKNOWN, "The log names no known cause.", shown)
    return diagnosis(Cause.UNKNOWN, f"The process ended with exit code {exit_code}, and its log names no known cause.", shown)


def _message(cleaned: t.Sequence[str], number: int) -> str:
    text = _without_prefix(cleaned[number])
    # argparse and pydantic put the story on the next line
    if re.search(r"validation errors? for \w+$", text) and number + 1 < len(cleaned):
        text = text + ": " + " ".join(_without_prefix(line) for line in cleaned[number + 1 : number + 3]).strip()
    return redact(text)[:600]


def _excerpt(cleaned: t.Sequence[str], number: int | None) -> list[str]:
    """The telling line with the lines after it, then the end of the log."""
    present = [index for index, line in enumerate(cleaned) if line]
    chosen = set(present[-_TAIL:])
    if number is not None:
        chosen = set(present[-3:]) | {index for index in present if number - 1 <= index <= number + _CONTEXT_AFTER}
    return [cleaned[index][:500] for index in sorted(chosen)]
