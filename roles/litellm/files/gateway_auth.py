# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LiteLLM ``custom_auth``: the master key may call everything, a client's key the inference routes only. No database needed."""

from __future__ import annotations

from fastapi import Request
from gateway_access import caller_of
from gateway_errors import RequestError
from gateway_hooks import KEYS, MARK
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """Who LiteLLM takes the caller for. What they may call was decided by the guard."""
    if not request.scope.get(MARK):
        raise ProxyException(message="The gateway's guard is not in place.", type="auth_error", param=None, code=503)
    try:
        caller = caller_of([(b"authorization", (api_key or "").encode("latin-1", "replace"))], KEYS)
    except RequestError as error:
        raise ProxyException(message=error.message, type="auth_error", param=None, code=error.status) from None
    if caller.client is None:
        return UserAPIKeyAuth(api_key="master", key_alias="master", user_id="master", user_role=LitellmUserRoles.PROXY_ADMIN)
    name = caller.client
    return UserAPIKeyAuth(api_key=f"client-{name}", key_alias=name, user_id=name, user_role=LitellmUserRoles.INTERNAL_USER)
