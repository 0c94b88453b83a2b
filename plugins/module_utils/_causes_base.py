# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The causes of a failure, the remedy of each, and what a rule about log lines is made of."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from enum import Enum, IntEnum


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
    GROUP_ENDED = "group_ended"
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
    Cause.GROUP_ENDED: "All hosts of this model stop and start together. Look at the host that is named: 'systemctl status' and "
    "'journalctl -u' of the unit there.",
    Cause.DOCKER_DOWN: "The Docker daemon is not reachable. Run 'systemctl status docker' and 'journalctl -u docker' on the host.",
    Cause.UNKNOWN: "Read the log lines and 'journalctl -u' of the unit on its host.",
}

#: Only another configuration helps: such an instance is not restarted, and nobody waits for it. What may heal by itself (networks,
#: registries, memory of a neighbour, a GPU) is tried again. A rule may know better than its cause.
PERMANENT: frozenset[Cause] = frozenset(
    {
        Cause.BAD_FLAG,
        Cause.BAD_MODEL,
        Cause.CONTEXT_TOO_LONG,
        Cause.IMAGE_MISSING,
        Cause.KV_CACHE_TOO_SMALL,
        Cause.REGISTRY_TLS,
        Cause.RUNTIME_MISSING,
        Cause.SHARED_MEMORY,
    },
)


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    message: str
    log_lines: tuple[str, ...] = ()
    remedy: str = ""
    permanent: bool = False
    quoted: bool = False  # the message is a line of the log, not a sentence about it


def diagnosis(
    cause: Cause, message: str, log_lines: t.Sequence[str] = (), remedy: str | None = None, permanent: bool | None = None
) -> Diagnosis:
    """A diagnosis with the remedy and permanence that belong to the cause, where nothing says better."""
    return Diagnosis(cause, message, tuple(log_lines), remedy or REMEDIES[cause], cause in PERMANENT if permanent is None else permanent)


def or_else(found: Diagnosis, cause: Cause) -> Diagnosis:
    """The same diagnosis; where no rule names a cause, with the one that what was tried suggests."""
    return found if found.cause is not Cause.UNKNOWN else diagnosis(cause, found.message, found.log_lines)


class Rank(IntEnum):
    """How much a rule's words say. A lower one wins wherever its line stands; among equals the first line of the log."""

    CERTAIN = 0  # these words name the cause
    WRAPPER = 1  # programs say so around many causes: counts where nothing says more
    FAMILY = 2  # what kind of error it is, by its words
    STAGE = 3  # where in the program it was raised
    TYPE = 4  # what type it has
    VAGUE = 5  # an error, no more


@dataclass(frozen=True)
class Rule:
    cause: Cause
    pattern: t.Pattern[str]
    source: str  # where the words come from: a file of the program, or a public thread
    remedy: str | None = None  # None: that of the cause
    permanent: bool | None = None  # None: that of the cause
    kinds: frozenset[str] = frozenset()  # empty: every kind
    rank: Rank = Rank.CERTAIN
    anywhere: bool = False  # of rank FAMILY and above: also in a line that is no error
    applies: t.Callable[[t.Match[str]], bool] | None = field(default=None, compare=False)


#: Said by CUDA as by the container runtime.
DRIVER_TOO_OLD = (
    "The NVIDIA driver of this host is too old for the image. Update the driver (CUDA 13 images need 580 or newer), "
    "or choose an image built for an older CUDA (for vLLM: a -cu129 tag)."
)

#: Kinds that load a model: what is said of a hub, of weights and of GPUs means them.
ENGINES: frozenset[str] = frozenset({"vllm", "ollama", "llama_cpp"})


def rule(
    cause: Cause,
    source: str,
    *patterns: str,
    remedy: str | None = None,
    permanent: bool | None = None,
    kinds: t.Iterable[str] = (),
    rank: Rank = Rank.CERTAIN,
    anywhere: bool = False,
    applies: t.Callable[[t.Match[str]], bool] | None = None,
) -> Rule:
    """A rule whose words are any of these patterns."""
    return Rule(
        cause, re.compile("|".join(f"(?:{one})" for one in patterns)), source, remedy, permanent, frozenset(kinds), rank, anywhere, applies
    )
