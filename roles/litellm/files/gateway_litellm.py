# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway's rules have to know of the LiteLLM they run in, taken from LiteLLM itself when it has started."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import time
import typing as t
from urllib.parse import urlsplit

from gateway_errors import RequestError
from gateway_exit import CURRENT, Destinations, Origin
from gateway_models import Models
from gateway_places import identity

LOG = logging.getLogger("gateway")
#: What LiteLLM would load with the first request that needs it, up to a second each in which nobody is served.
LATE = (
    "litellm.litellm_core_utils.default_encoding",
    "litellm.llms.anthropic.chat.guardrail_translation.handler",
    "litellm.proxy.mcp_server.auth.user_api_key_auth_mcp",
    "litellm.proxy.mcp_server.mcp_server_manager",
    # OpenAI's client, for text completions.
    "openai.resources",
)
#: LiteLLM's functions behind the inference routes; what they take and no API has is a setting of LiteLLM's.
FUNCTIONS = ("acompletion", "atext_completion", "aembedding", "arerank", "atranscription", "aresponses")


def signatures() -> dict[str, set[str]]:
    """Name of a function -> its parameters."""
    import litellm

    functions: dict[str, t.Any] = {name: getattr(litellm, name) for name in FUNCTIONS}
    functions["anthropic"] = litellm.anthropic.messages.acreate
    return {name: set(inspect.signature(inspect.unwrap(function)).parameters) for name, function in functions.items()}


def steering_names() -> frozenset[str]:
    """Every name that LiteLLM has for parameters of its own, from all of its lists."""
    import litellm
    from litellm.proxy import litellm_pre_call_utils, route_llm_request
    from litellm.proxy.auth import auth_utils
    from litellm.types.router import GenericLiteLLMParams
    from litellm.types.utils import all_litellm_params

    names: set[str] = set(all_litellm_params)
    names.update(GenericLiteLLMParams.model_fields, inspect.signature(litellm.Router.__init__).parameters)
    for parameters in signatures().values():
        names |= parameters
    # Private ones: a release that renames them still has the lists above, and a test that misses them.
    names.update(getattr(auth_utils, "_BANNED_REQUEST_BODY_PARAMS", ()))
    names.update(getattr(litellm_pre_call_utils, "_UNTRUSTED_ROOT_CONTROL_FIELDS", ()))
    names.update(getattr(route_llm_request, "GATED_MOCK_PARAM_NAMES", ()))
    return frozenset(names)


def models() -> Models:
    """The models that LiteLLM has loaded, by every name."""
    from litellm.proxy import proxy_server

    router = proxy_server.llm_router
    return Models() if router is None else Models.from_deployments(router.get_model_list() or ())


def aliases() -> dict[str, str]:
    """Further names of models -> their own."""
    from litellm.proxy import proxy_server

    found = getattr(proxy_server.llm_router, "model_group_alias", None) or {}
    return {str(name): str(target.get("model") if isinstance(target, dict) else target) for name, target in found.items()}


def log_tokens(logged: t.Callable[[int, int], None]) -> None:
    """Have LiteLLM say how many tokens each request and its answer had: it asks engines for those of a stream, whatever the client asks.

    Called in the context of the request, and only when its answer is done or broken off.
    """
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    class Tokens(CustomLogger):
        async def async_log_success_event(self, kwargs: t.Any, response_obj: t.Any, start_time: t.Any, end_time: t.Any) -> None:
            found = kwargs.get("standard_logging_object") or {}
            logged(int(found.get("prompt_tokens") or 0), int(found.get("completion_tokens") or 0))

    litellm.logging_callback_manager.add_litellm_async_success_callback(Tokens())


def _origin(url: str) -> Origin | None:
    try:
        parsed = urlsplit(url)
        port = parsed.port or {"http": 80, "https": 443}.get(parsed.scheme, 0)
    except ValueError:
        return None
    return (parsed.scheme, parsed.hostname, port) if parsed.hostname else None


def _deployments() -> list[t.Any]:
    from litellm.proxy import proxy_server

    router = proxy_server.llm_router
    return list(router.get_model_list() or ()) if router is not None else []


def _engines() -> list[tuple[str, str]]:
    """Name and address of each backend."""
    return [(identity(deployment), str((deployment.get("litellm_params") or {}).get("api_base") or "")) for deployment in _deployments()]


def _raw_routes() -> list[tuple[str, str]]:
    """Path and target of each raw route."""
    from litellm.proxy import proxy_server

    entries = proxy_server.general_settings.get("pass_through_endpoints") or ()
    found = [(entry if isinstance(entry, dict) else vars(entry)) for entry in entries]
    return [(str(entry.get("path") or ""), str(entry.get("target") or "")) for entry in found]


def behind_raw_routes() -> dict[str, frozenset[str]]:
    """Path of a raw route -> the backends on the server that it leads to."""
    engines = [(name, _origin(url)) for name, url in _engines()]
    return {
        path.rstrip("/"): frozenset(name for name, origin in engines if origin is not None and origin == _origin(target))
        for path, target in _raw_routes()
    }


def destinations() -> Destinations:
    """Where LiteLLM's configuration leads: its engines, and the targets of raw routes."""
    import litellm

    origins = [_origin(url) for _name, url in (*_engines(), *_raw_routes())]
    everybody = (*litellm.callbacks, *litellm.success_callback, *litellm.failure_callback)
    callbacks = {callback for callback in everybody if isinstance(callback, str)}
    complete = bool(origins) and None not in origins and not callbacks - {"prometheus", "cache"}
    return Destinations(frozenset(origin for origin in origins if origin is not None), complete)


def filter_backends(choose: t.Callable[[str, list[t.Any], t.Mapping[str, t.Any]], t.Awaitable[list[t.Any]]]) -> None:
    """Have somebody look at the backends of a request that are up, before LiteLLM chooses one of what is left."""
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    class Filter(CustomLogger):
        async def async_filter_deployments(
            self, model: str, healthy_deployments: list[t.Any], messages: t.Any, request_kwargs: t.Any = None, **_rest: t.Any
        ) -> list[t.Any]:
            try:
                return await choose(model, healthy_deployments, request_kwargs or {})
            except RequestError as error:
                state = CURRENT.get()
                if state is not None:
                    state.unserved = error
                # For LiteLLM a reason to ask another model, if it has been told one.
                raise litellm.ServiceUnavailableError(error.message, llm_provider="", model=model) from error

    litellm.callbacks.append(Filter())


def revive(model: str, out: t.Collection[str]) -> None:
    """Forget that backends of a model were ill, but for those that are out: since they were, they may have come back."""
    from litellm.proxy import proxy_server

    own_name = aliases().get(model, model)
    names = [identity(one) for one in _deployments() if one.get("model_name") == own_name and identity(one) not in out]
    if not names:
        return
    try:
        health = proxy_server.llm_router.health()
        health.health_checks.set_deployment_health_states(
            {name: {"is_healthy": True, "timestamp": time.time(), "reason": ""} for name in names}
        )
        for name in names:
            health.cooldowns.cooldown_store.evict_local(name)
    except (AttributeError, TypeError) as error:
        LOG.warning("This release of LiteLLM is not known: it asks backends that came back after its next check only (%s)", error)


def falls_back(model: str) -> bool:
    """Whether another model takes over where this one has no backend that answers."""
    from litellm.proxy import proxy_server

    return any(model in entry or "*" in entry for entry in getattr(proxy_server.llm_router, "fallbacks", None) or ())


def load(paths: t.Iterable[str]) -> None:
    """Have loaded before the first request what LiteLLM loads only with it."""
    for name in LATE:
        try:
            importlib.import_module(name)
        except ImportError as error:
            LOG.warning("This release of LiteLLM is not known: a first request may take a second longer (%s)", error)
    for path in paths:
        _leads_somewhere(path, "POST")


def _leads_somewhere(path: str, method: str) -> bool:
    """FastAPI prepares a router's routes when a path is first looked for in them: half a second."""
    from litellm.proxy.proxy_server import app
    from starlette.routing import Match

    scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] != Match.NONE for route in app.router.routes)


def serves(path: str) -> bool:
    """Whether LiteLLM has a route for this path, whatever the method, or would load one."""
    with contextlib.suppress(ImportError, AttributeError):
        from litellm.proxy import _lazy_features

        if any(feature.matches(path) for feature in _lazy_features.LAZY_FEATURES):
            return True
    return _leads_somewhere(path, "GET")
