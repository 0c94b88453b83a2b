# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the LiteLLM gateway says when it does not start. uvicorn ends with 3 whatever kept it from starting: only the text tells."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_PROXY = "litellm/proxy/proxy_server.py, proxy_cli.py and auth/master_key_boot_check.py"
_LITELLM = ("litellm",)

_WEAK_KEY = (
    "LiteLLM refuses to start with an empty or well-known master key. Remove inference_gateway's own key to have one "
    "generated, or set a strong one."
)
_REDIS = (
    "The gateway cannot use its Redis. Check host, port and password in inference_gateway.redis (or in its settings), and that the "
    "gateway's host reaches it."
)
_REDIS_LOGIN = "Redis refuses the gateway's login. Correct the password (and user) in inference_gateway.redis."
_DATABASE = (
    "The gateway cannot use its database. Check database_url in inference_gateway.settings (host, port, user, password), and that the "
    "gateway's host reaches it; without one, leave it out."
)
_SERVICE = (
    "A service that the gateway's settings name does not answer: its database, Redis, a secret manager or a tracer. Check the address in "
    "inference_gateway.settings, and that the gateway's host reaches it."
)
_CONFIG = "LiteLLM cannot use its configuration. Correct inference_gateway.settings (and model entries); the line names what is wrong."
_CALLBACK = (
    "LiteLLM cannot load a callback, guardrail or custom module. Correct its name in inference_gateway.settings, and mount its file "
    "into the gateway's container."
)
_PACKAGE = (
    "The gateway's image lacks a Python package that a setting needs. Use LiteLLM's full image, or leave that setting out of "
    "inference_gateway.settings."
)
_FILE = "A file that the gateway's settings name does not exist in its container. Mount it, or correct the path."
_LICENSE = "This is a feature of LiteLLM's paid edition. Leave the setting out of inference_gateway.settings."
_COST_MAP = "LiteLLM could not fetch its list of prices and did not start. Set LITELLM_LOCAL_MODEL_COST_MAP=True, or use a newer image."
_BUSY_DATABASE = (
    "The gateway's database is there and takes no connection now: it has too many, or is just starting. Lower "
    "database_connection_pool_limit in inference_gateway.settings, or raise the database's own limit; it is tried again."
)
_DATABASE_PROXY = (
    "A proxy answers in place of LiteLLM's own database engine, which listens on 127.0.0.1. Put localhost and 127.0.0.1 into NO_PROXY of "
    "the gateway's environment."
)
_RIGHTS = (
    "The user of the gateway's container may not read or write this file. Leave out --user, use LiteLLM's image for other users "
    "(litellm-non_root), or correct owner and mode of what is mounted."
)
_ENGINE = (
    "LiteLLM's image lacks the database engine (Prisma), or this user cannot reach it. Use LiteLLM's image with a database "
    "(litellm-database) unchanged, or leave database_url out of inference_gateway.settings."
)
_MIGRATION = (
    "LiteLLM's database could not be brought to this version. Read the line, check the user's rights on the database, and that only one "
    "gateway migrates at a time."
)

RULES = (
    rule(
        Cause.BAD_FLAG,
        _PROXY,
        r"[Mm]aster key.*(?:not set|unset|weak|blank|refus|insecure|must be|is empty|publicly known)",
        r"(?:weak|unset|insecure|default|empty|no|publicly known).{0,40}master.?key",
        r"LiteLLM proxy refused to start",
        r"LITELLM_DANGEROUSLY_PERMIT|UnsafeMasterKeyError",
        kinds=_LITELLM,
        remedy=_WEAK_KEY,
    ),
    rule(
        Cause.AUTH,
        "redis-py, exceptions.py",
        r"redis\.exceptions\.(?:AuthenticationError|AuthorizationError|NoPermissionError)|\b(?:NOAUTH|WRONGPASS|NOPERM)\b",
        r"invalid username-password pair|AUTH .*called without any password",
        remedy=_REDIS_LOGIN,
        permanent=True,
        kinds=_LITELLM,
    ),
    rule(
        Cause.DNS,
        "redis-py, connection.py",
        r"(?:[Rr]edis|connecting to \S+:\d+).*(?:Name or service not known|Temporary failure in name resolution|No address"
        r" associated|Name does not resolve)",
        remedy=_REDIS,
        permanent=False,
        kinds=_LITELLM,
    ),
    rule(
        Cause.TIMEOUT,
        "redis-py, connection.py",
        r"redis\.exceptions\.TimeoutError|[Rr]edis.*(?:[Tt]imeout|timed out)|Timeout connecting to server",
        remedy=_REDIS,
        permanent=False,
        kinds=_LITELLM,
    ),
    rule(
        Cause.REFUSED,
        "redis-py, connection.py",
        r"redis\.exceptions\.(?:ConnectionError|BusyLoadingError|ClusterDownError|ResponseError|RedisError)",
        r"[Rr]edis.*(?:[Cc]onnection (?:refused|closed|reset|error)|unreachable|not reachable)|Error \d+ connecting to \S+:\d+",
        remedy=_REDIS,
        permanent=False,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "prisma, engine/_http.py",
        r"EngineRequestError: \d{3}: ?<",
        remedy=_DATABASE_PROXY,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "prisma, cli and generator",
        r"Unable to find Prisma binaries|prisma package not found|prisma generate",
        r"No such file or directory: '\S*(?:prisma|query-engine)\S*'",
        r"Target `bin` directory does not exist|query engine .*(?:not (?:be )?found|binary)|BinaryNotFoundError|ClientNotGenerated",
        remedy=_ENGINE,
        kinds=_LITELLM,
    ),
    rule(
        Cause.REFUSED,
        "PostgreSQL, errcodes of class 53 and 57; prisma, P2024 and P2037",
        r"too many (?:clients|connections|database connections)|remaining connection slots|\bP20(?:24|37)\b",
        r"database system is (?:starting up|shutting down|in recovery)|terminating connection due to",
        r"[Tt]imed out fetching a new connection from the (?:connection )?pool|QueuePool limit",
        remedy=_BUSY_DATABASE,
        permanent=False,
        kinds=_LITELLM,
    ),
    rule(
        Cause.REFUSED,
        "prisma, error codes P1xxx",
        r"Can't reach database server|\bP10(?:0[128]|17)\b|[Ss]erver (?:has )?closed the connection",
        r"[Dd]atabase.*(?:connection (?:refused|failed|closed)|unreachable|not reachable|timed out)",
        r"could not connect to (?:server|the database)|ConnectError: All connection attempts failed",
        r"[Nn]ot ?[Cc]onnected(?:Error| to the query engine)",
        r"Connection refused.*5432",
        r"Error (?:in connector|querying the database)|\b(?:EngineConnectionError|EngineRequestError|ClientNotConnectedError)\b",
        remedy=_DATABASE,
        permanent=False,
        kinds=_LITELLM,
    ),
    rule(
        Cause.AUTH,
        "prisma, error codes P1000 and P1010",
        r"Authentication failed against (?:the )?database|\bP1000\b|\bP1010\b|password authentication failed",
        r"was denied access on the database",
        remedy=_DATABASE,
        permanent=True,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "prisma migrate; litellm-proxy-extras",
        r"\bP30\d\d\b|migrate deploy|migrations? (?:failed|have failed)|[Ff]ailed to apply migration|db push' failed|push database changes",
        r"database schema is not (?:empty|up to date)|Error validating datasource|the URL must start with the protocol",
        remedy=_MIGRATION,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "litellm/litellm_core_utils/get_model_cost_map.py",
        r"model_prices_and_context_window.*(?:[Ee]rror|fail|not)|model cost map.*(?:[Ee]rror|fail)",
        remedy=_COST_MAP,
        rank=Rank.WRAPPER,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        _PROXY,
        r"[Ee]nterprise (?:feature|only|user|license)|[Pp]remium (?:user|feature)|LITELLM_LICENSE|not a premium user|license key",
        remedy=_LICENSE,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        _PROXY,
        r"Could not (?:import|find) .*(?:from|module)|get_instance_fn|[Ii]mport\w* .*custom_|No module named 'custom",
        r"custom_(?:auth|callbacks?|guardrail|sso|handler)\b.*(?:not|fail|error|import)",
        r"[Cc]allback.*(?:not found|invalid|could not|unknown|fail)|[Gg]uardrail.*(?:not|unknown|unsupported|invalid|fail|import)",
        r"spec_from_file_location",
        remedy=_CALLBACK,
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "Python import; litellm/proxy/proxy_cli.py",
        r"No module named '?|ImportError|ModuleNotFoundError|[Mm]issing dependency|(?:pip|uv pip) install|is not installed",
        r"cannot import name",
        remedy=_PACKAGE,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        _PROXY,
        r"FileNotFoundError|No such file or directory|[Cc]onfig file not found|IsADirectoryError|does not exist",
        r"Unable to open (?:certificate|key)",
        remedy=_FILE,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        "Linux, errno EACCES and EROFS",
        r"PermissionError|\[Errno (?:13|30)\]|[Pp]ermission denied|Read-only file system",
        remedy=_RIGHTS,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        "click, exceptions.py",
        r"Error: (?:No such (?:option|command)|Invalid value for|Got unexpected extra|Missing|Option)",
        kinds=_LITELLM,
    ),
    rule(
        Cause.BAD_FLAG,
        _PROXY,
        r"yaml\.(?:scanner|parser|reader|constructor|composer)\.\w*Error",
        r"Error: (?:while (?:parsing|scanning|constructing)|mapping values|found character|could not find expected|expected <)",
        r"while (?:parsing|scanning) a ",
        r"validation errors? for \w+|Field required|Input should be|Invalid (?:routing|router|strategy|config|value|model|cache)",
        r"Error (?:loading|reading|parsing|validating) config|Unable to load config|Failed to load config|Config file",
        r"Unmapped LLM provider|LLM Provider NOT provided|Exception: (?:Config|Missing|Invalid|No )",
        remedy=_CONFIG,
        kinds=_LITELLM,
    ),
    rule(
        Cause.DNS,
        "glibc, getaddrinfo",
        r"gaierror|Name or service not known|[Tt]emporary failure in name resolution|nodename nor servname|could not translate host name",
        remedy=_SERVICE,
        permanent=False,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.REFUSED,
        "httpx, sqlalchemy, psycopg",
        r"(?i:connection (?:refused|reset|closed|timed out)|could not connect|cannot connect|connection attempts failed)",
        r"\b(?:OperationalError|InterfaceError|ConnectError|ConnectTimeout|ConnectionRefusedError)\b",
        r"^(?:httpx2?|httpcore2?|aiohttp|asyncpg|psycopg2?|sqlalchemy)\.[\w.]*(?:Error|Timeout|Disconnected|Exception)\b",
        remedy=_SERVICE,
        permanent=False,
        kinds=_LITELLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        "litellm, start of the proxy",
        r"\brequires?\b|\b(?:not|is|be) set\b|(?:URL|KEY|TOKEN)\b.* set\b|[Mm]issing|[Ii]nvalid|\bmust\b|not (?:configured|supported|found)"
        r"|environment variable|[Uu]nknown|[Uu]nsupported",
        remedy=_CONFIG,
        kinds=_LITELLM,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.BAD_FLAG,
        "Python, errors of the settings' types",
        r"^(?:[\w.]*\.)?(?:ValueError|TypeError|KeyError|AttributeError|IndexError|AssertionError|ValidationError"
        r"|NotImplementedError|UnicodeDecodeError|Exception)\b",
        remedy=_CONFIG,
        kinds=_LITELLM,
        rank=Rank.FAMILY,
    ),
)
