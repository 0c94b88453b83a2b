# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What may be shown of an inventory. A value is shown only where its place is known to hold nothing secret, whatever its type is.

A list of places that hold secrets would miss every misspelt key and every value that has the wrong form. So it is the other way round:
SHOWN names the places whose values help to understand a mistake. And even there nothing is shown that looks like a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = r"(?:api_?key|apikey|key|token|pass|passwd|password|passphrase|pwd|secret|credential|authorization|auth|bearer|cookie)s?"
#: AWS_SECRET_ACCESS_KEY, hfToken, redis.pass; not max_tokens, tokenizer, key_variable, keyword.
_SECRET_NAME = re.compile(rf"(?:^|[_.\s-]){_WORDS}$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_SECRET = re.compile(r"(?:^|[_-])(?:max|min|num|n|bos|eos|pad|stop|batched)(?:[_-][a-z]+)*[_-]tokens?$|_key_variable$", re.IGNORECASE)

#: Names that certainly mean a secret, of which vLLM's bos_token or image_token are none.
_SURE_NAME = re.compile(
    r"(?:^|[_.-])(?:(?:api|master|access|secret|private|signing|encryption|auth)[_-]?key|secret|password|passwd|passphrase|credentials?|authorization"
    r"|(?:hf|hub|auth|access|api|bearer|refresh|session|security)[_-]?token|webhook(?:[_-]url)?)$|^token$",
    re.IGNORECASE,
)

#: Names of fields whose single values are shown. A field of the same name below OPAQUE is not.
_SHOWN = """
adapters alias aliases allow_data allowed_domains ansible_host bind cache capability command connections container_extra_arguments
container_port data_parallel_size default_fallbacks device digest dimension drop_page_cache enabled engine engine_version fallbacks gateways
gpu_memory_utilization gpus health_check_interval health_path host_memory hosts image image_has_entrypoint image_packages inventory_hostname
kv_cache_memory location max_images max_input_tokens max_model_len max_tokens media memory method methods modalities mode model model_name
models mounts name networks order passthrough path pipeline_parallel_size platform port provider pull read_only ready_timeout required
revision served_name shm_size size source speaks start_timeout sticky_sessions stop_timeout stream_timeout subnet target_path temperature
tensor_parallel_size timeout ttl type weight
inference_address inference_allow_floating_tags inference_cluster_address inference_cluster_interface inference_data_dir
inference_dns inference_engine inference_gpu_access
inference_gpu_reserve inference_node_proxy_tls inference_platform inference_platform_expected
tls certificate_file key_file ca_file
audio contains cosine exact nearer prompt says than vector word_error_rate
base_url public_url target inference_registry_mirrors
"""
SHOWN = frozenset(_SHOWN.split())
#: Below these every field has a name of the user's choice that is no secret, and a single value that is shown.
NAMED = frozenset({"adapters", "inference_images", "inference_model_aliases", "inference_gpu_reserve", "inference_hardware", "on_platform"})
#: The same, but for fields whose name says that they are secret.
FREE = frozenset({"engine_args", "request_defaults"})
#: Below these nothing is shown.
OPAQUE = frozenset({"env", "environment", "settings", "client_keys", "variables", "headers", "redis", "inference_proxy"})
#: Of a client beside its key.
LIMITS = frozenset({"models", "parallel", "requests_per_minute", "tokens_per_minute"})
#: Long texts of random letters here are digests and commits.
_DIGESTS = frozenset({"digest", "revision"})

_CREDENTIALS = re.compile(r"//[^/\s]*@|^[^/\s@:]+:[^/\s@]+@")
_QUERY = re.compile(r"://[^\s]*[?#]")
_ASSIGNED = re.compile(r"([A-Za-z][\w.-]*)['\"]?\s*[=:]")
_SCHEME = re.compile(r"\b(?:bearer|basic)\s+\S", re.IGNORECASE)
_TOKEN = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9]|\bhf_(?=[A-Za-z0-9]*[A-Z0-9])[A-Za-z0-9]{3}|\bgh[opsur]_|\bgithub_pat_|\bglpat-"
    r"|\bxox[abprs]-|\bAKIA[A-Z0-9]|\beyJ|\bnvapi-|-----BEGIN|\$ANSIBLE_VAULT"
)
_RANDOM = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}(?![A-Za-z0-9])")
_NAME = re.compile(r"[A-Za-z0-9_-]*(?:\[\d+\])*")
_PLAIN_NAME = re.compile(r"[^\x00-\x1f=\"'{};,<>]*")
_CREDENTIALS_OF_ADDRESS = re.compile(rf"://[^/\s?#]*@|^[^/\s@:]+:[^/\s@]+@|[?&](?:[\w.-]*[_.-])?{_WORDS}=", re.IGNORECASE)
_MASKED = re.compile(r"//[^/\s@]*@")


def is_secret_name(name: str) -> bool:
    """Whether a field, setting, flag or variable of this name holds a secret."""
    return bool(_SECRET_NAME.search(_CAMEL.sub("_", name))) and not _NOT_SECRET.search(name)


def present(value: Any) -> bool | None:
    """Whether a secret is given, never which: false for what is no text, which is refused."""
    if value is None or value == "":
        return None
    return isinstance(value, str)


def has_credentials(text: str) -> bool:
    """Whether an address has a user, a password, or a query, which may be a key."""
    return bool(_CREDENTIALS.search(text) or _QUERY.search(text))


def looks_secret(text: str, *, digest: bool = False) -> bool:
    """Whether a text may be a secret, or hold one. C(digest): long random texts are expected."""
    found = has_credentials(text) or any(map(is_secret_name, _ASSIGNED.findall(text))) or _SCHEME.search(text) or _TOKEN.search(text)
    return bool(found or (not digest and _RANDOM.search(text)))


def secrets_in(node: Any, path: str, *, tokens: bool = True) -> Iterator[tuple[str, str]]:
    """Where settings that are written into a configuration file hold a secret, and what it is.

    Without C(tokens), a name such as C(image_token) means none: a model's tokens are words.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            inner = f"{path}.{key}"
            named = _SURE_NAME.search(str(key)) or (tokens and re.search(r"[_-]token$", str(key), re.IGNORECASE))
            if named and _holds_text(value):
                yield inner, "is a secret"
            else:
                yield from secrets_in(value, inner, tokens=tokens)
    elif isinstance(node, (list, tuple)):
        for position, value in enumerate(node):
            yield from secrets_in(value, f"{path}[{position}]", tokens=tokens)
    elif isinstance(node, str) and _CREDENTIALS_OF_ADDRESS.search(node):
        yield path, "is an address with a user, a password or a key in it"
    elif isinstance(node, str) and (_SCHEME.search(node) or _TOKEN.search(node)) and "os.environ/" not in node:
        yield path, "is a secret, or holds one"


def _holds_text(value: Any) -> bool:
    """Whether something is said here itself: no switch, no name of a variable, no path of a file."""
    if value is None or isinstance(value, bool) or value == "":
        return False
    return not (isinstance(value, str) and ("os.environ/" in value or value.startswith("/")))


#: Stands in the plan for a value of C(env) that may be secret; behind it where the inventory says it.
_REFERENCE = "secret-of:"


def is_secret_variable(name: str, value: Any) -> bool:
    """Whether a variable of C(env) is for the container alone. Switches such as C(true) are none, whatever their name is."""
    if not isinstance(value, str) or re.search(r"[\x00\r\n]", value):
        return False
    return looks_secret(value) or (is_secret_name(name) and len(value) >= 6)


def reference(path: str) -> str:
    return _REFERENCE + path


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_REFERENCE)


#: Variables whose entries have a C(env).
WITH_ENV = ("inference_models", "inference_services", "inference_multinode_services")


def secret_env(variable: str, value: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What may be secret in the C(env) of models and services: its reference, its name, and the mapping that has it."""
    places: list[tuple[str, Any]] = []
    if variable == "inference_models" and isinstance(value, dict):
        for name, model in value.items():
            if isinstance(model, dict):
                places.append((f"{variable}.{name}", model))
                platforms = model.get("on_platform")
                if isinstance(platforms, dict):
                    places += [(f"{variable}.{name}.on_platform.{platform}", variant) for platform, variant in platforms.items()]
    elif isinstance(value, list):
        places = [(f"{variable}[{position}]", service) for position, service in enumerate(value)]
    for path, place in places:
        env = place.get("env") if isinstance(place, dict) else None
        if isinstance(env, dict):
            for name in [name for name in env if is_secret_variable(str(name), env[name])]:
                yield reference(f"{path}.env.{name}"), name, env


def _parts(path: str) -> list[str]:
    """The names in a path such as C(inference_services[0].env.A (host n)), without positions and hosts."""
    return re.sub(r"\[\d+\]", "", path.split(" (", 1)[0]).split(".")


def may_be_shown(path: str) -> bool:
    """Whether the place is known to hold no secret."""
    parts = _parts(path)
    above, leaf = parts[:-1], parts[-1]
    if "client_keys" in parts[:-2] and leaf in LIMITS:
        return True
    if OPAQUE.intersection(parts):
        return False
    if FREE.intersection(above):
        return not any(map(is_secret_name, parts))
    return leaf in SHOWN or bool(NAMED.intersection(above))


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple, set)):
        return f"a list of {len(value)}"
    return "a text" if isinstance(value, (str, bytes)) else "a number" if isinstance(value, (int, float)) else "a value"


def shown(value: Any, path: str) -> str | None:
    """A value as one short line, or its kind where it is not to be shown. None where there is nothing."""
    if value is None:
        return None
    if isinstance(value, bool) or value in ("", [], {}):
        return json.dumps(value)
    items = value if isinstance(value, (list, tuple)) else [value]
    digest = _parts(path)[-1] in _DIGESTS
    plain = all(isinstance(item, (str, int, float)) and not looks_secret(str(item), digest=digest) for item in items)
    if not plain or not may_be_shown(path):
        return f"({_kind(value)}, not shown)"
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= 80 else line[:77] + "..."


def shown_path(path: str) -> str:
    """A path whose parts are names. What is none, such as a key C(HF_TOKEN=...), is a mistake that may hold a secret."""
    place, host, rest = path.partition(" (")
    kept: list[str] = []
    for part in place.split("."):
        form = _NAME if OPAQUE.intersection(kept) else _PLAIN_NAME
        if not form.fullmatch(part) or looks_secret(part):
            kept.append("(a name, not shown)")
            break
        kept.append(part)
    return ".".join(kept) + host + rest


def without_credentials(text: str) -> str:
    """A text that is to be shown as a whole, without what certainly is a secret."""
    text = _MASKED.sub("//***@", text)
    return re.sub(rf"(?:{_TOKEN.pattern})[A-Za-z0-9._~+/=-]*", "***", text)
