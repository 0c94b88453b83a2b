# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LiteLLM ``custom_auth``: the master key may call everything, a client's key the inference routes only. No database needed."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import Request
from gateway_access import client_may_call
from gateway_keys import Keys, strip_bearer
from gateway_policy import Policy
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

KEYS = Keys.from_environment(os.environ)
POLICY = Policy.load(Path(__file__).with_name("policy.json"))


def _refuse(message: str, code: int) -> ProxyException:
    return ProxyException(message=message, type="auth_error", param=None, code=code)


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    key = strip_bearer(api_key or "")
    if not key:
        raise _refuse("No API key. Send it as 'Authorization: Bearer <key>'.", 401)
    if KEYS.is_master(key):
        return UserAPIKeyAuth(api_key="master", key_alias="master", user_id="master", user_role=LitellmUserRoles.PROXY_ADMIN)
    client = KEYS.client_of(key)
    if client is None:
        raise _refuse("This API key is not known to the gateway.", 401)
    # What the server dispatches on; request.url is rebuilt from the Host header, which a client may forge.
    path = str(request.scope.get("path", ""))
    if not client_may_call(path, POLICY.client_routes):
        raise _refuse(f"The key of client {client!r} is for inference only; {path} needs the master key.", 403)
    return UserAPIKeyAuth(api_key=f"client-{client}", key_alias=client, user_id=client, user_role=LitellmUserRoles.INTERNAL_USER)
