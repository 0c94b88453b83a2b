# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Has LiteLLM itself load a configuration, in a throw-away container of the image that is to serve it.

``check_config.py CONFIG EXPECTED``; EXPECTED is a JSON file with ``names`` and ``count``. The last line of the output is a JSON object with
``ok``, ``problems``, ``names``, ``count`` and ``version``; the exit status is 0 when the configuration may replace the running one, else 1.

LiteLLM's loader finds broken YAML, missing packages and plug-ins that do not load. It does not mind an unknown provider (the model is
dropped), an alias or fallback to a model that does not exist, or a misspelt setting. Those are looked for here.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import inspect
import io
import json
import re
import sys
import typing as t
from pathlib import Path


def run_loader(config: str) -> tuple[int, str]:
    """``litellm --validate_config``, in this process: importing LiteLLM a second time would double the wait."""
    from litellm.proxy.proxy_cli import run_server

    output = io.StringIO()
    status: t.Any = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            status = run_server.main(args=["--config", config, "--validate_config"], standalone_mode=False)
        except SystemExit as stop:
            status = stop.code
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
            status = 1
    return int(status or 0), output.getvalue()


def loader_reason(output: str) -> str:
    """The line that says why, out of everything the loader prints."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.split("\n")]
    lines = [line for line in lines if line]
    for index, line in enumerate(lines):
        if "config validation failed" in line:
            return " ".join(lines[index : index + 6])
    return lines[-1] if lines else "it said nothing"


def loader_count(output: str) -> int | None:
    match = re.search(r"config OK \((\d+) models\)", output)
    return int(match.group(1)) if match else None


def similar(key: str, known: t.Iterable[str]) -> str | None:
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.8)
    return close[0] if close else None


def unknown_keys(section: str, keys: t.Iterable[str], known: t.Collection[str], *, strict: bool) -> list[str]:
    """Settings LiteLLM would ignore without a word. Not ``strict``: only what resembles a real name, as the list may not be complete."""
    problems: list[str] = []
    for key in keys:
        if key in known:
            continue
        meant = similar(key, known)
        if meant is not None:
            problems.append(f"{section}.{key} is not a setting of this LiteLLM; {meant} is")
        elif strict:
            problems.append(f"{section}.{key} is not a setting of this LiteLLM")
    return problems


def names_read(sources: t.Iterable[Path], pattern: str) -> set[str]:
    """Names of settings in LiteLLM's own source: its declared ones are only a part of those it reads."""
    return {name for source in sources for name in re.findall(pattern, source.read_text(encoding="utf-8", errors="replace"))}


def setting_problems(config: t.Mapping[str, t.Any], module: t.AbstractSet[str]) -> list[str]:
    import litellm
    from litellm.proxy._types import ConfigGeneralSettings

    proxy = Path(str(litellm.__file__)).parent / "proxy"
    router = set(inspect.signature(litellm.Router.__init__).parameters) - {"self"}
    general = set(ConfigGeneralSettings.model_fields) | names_read(proxy.rglob("*.py"), r"general_settings(?:\.get\(|\[)\s*\"(\w+)\"")
    module = module | names_read([proxy / "proxy_server.py"], r"(?:litellm_settings(?:\.get\(|\[)\s*|\bkey == )\"(\w+)\"")
    return [
        *unknown_keys("router_settings", config.get("router_settings") or {}, router, strict=True),
        *unknown_keys("general_settings", config.get("general_settings") or {}, general, strict=False),
        *unknown_keys("litellm_settings", config.get("litellm_settings") or {}, module, strict=False),
    ]


def target_problems(config: t.Mapping[str, t.Any]) -> list[str]:
    """Aliases and fallbacks that lead nowhere."""
    router = config.get("router_settings") or {}
    models = {entry.get("model_name") for entry in config.get("model_list") or ()}
    aliases = router.get("model_group_alias") or {}
    reachable = models | set(aliases)
    problems: list[str] = []
    for alias, target in aliases.items():
        name = target.get("model") if isinstance(target, dict) else target
        if name not in models:
            problems.append(f"router_settings.model_group_alias.{alias} points to {name!r}, which is not a model_name")
    for setting in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for entry in router.get(setting) or ():
            for source, targets in entry.items():
                for name in (source, *targets):
                    if name not in reachable and name != "*":
                        problems.append(f"router_settings.{setting} names {name!r}, which is not a model_name")
    for name in router.get("default_fallbacks") or ():
        if name not in reachable:
            problems.append(f"router_settings.default_fallbacks names {name!r}, which is not a model_name")
    return problems


def loaded_names(config: t.Mapping[str, t.Any]) -> list[str]:
    """The names LiteLLM's own router makes of the file."""
    import litellm

    aliases = (config.get("router_settings") or {}).get("model_group_alias") or {}
    router = litellm.Router(model_list=config.get("model_list") or [], model_group_alias=aliases, ignore_invalid_deployments=True)
    return sorted(set(router.get_model_names()))


def compare(expected: t.Mapping[str, t.Any], names: t.Sequence[str], count: int | None) -> list[str]:
    problems: list[str] = []
    missing = sorted(set(expected.get("names") or ()) - set(names))
    surplus = sorted(set(names) - set(expected.get("names") or ()))
    if missing:
        problems.append(f"LiteLLM does not serve {', '.join(missing)}: check the provider in front of the model's name")
    if surplus:
        problems.append(f"LiteLLM serves {', '.join(surplus)}, which nobody asked for")
    if not missing and not surplus and count is not None and count != expected.get("count"):
        problems.append(f"LiteLLM loads {count} deployments, aliases included, where {expected.get('count')} were expected")
    return problems


def shape_problems(config: t.Any) -> list[str]:
    """What LiteLLM would answer with the bare name of a missing key."""
    if not isinstance(config, dict) or not isinstance(config.get("model_list"), list):
        return ["the configuration has no model_list"]
    problems: list[str] = []
    for index, entry in enumerate(config["model_list"]):
        parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not entry.get("model_name"):
            problems.append(f"model_list[{index}] has no model_name")
        elif not isinstance(parameters, dict) or not parameters.get("model"):
            problems.append(f"model_list[{index}] ({entry['model_name']}) has no litellm_params.model")
    return problems


def check(config_path: str, expected_path: str) -> dict[str, t.Any]:
    import litellm
    import yaml

    # The loader sets whatever it reads as an attribute of the module, misspelt names too: look before it runs.
    module = {name for name in vars(litellm) if not name.startswith("_")}
    try:
        shape = shape_problems(yaml.safe_load(Path(config_path).read_text(encoding="utf-8")))
    except yaml.YAMLError:
        shape = []  # the loader says it better
    if shape:
        return {"ok": False, "problems": shape, "names": [], "count": None}
    status, output = run_loader(config_path)
    if status != 0:
        return {"ok": False, "problems": [f"LiteLLM refuses it: {loader_reason(output)}"], "names": [], "count": None}
    config = yaml.safe_load(Path(config_path).read_text(encoding="utf-8"))
    expected = json.loads(Path(expected_path).read_text(encoding="utf-8"))
    count = loader_count(output)
    with contextlib.redirect_stdout(io.StringIO()):
        names = loaded_names(config)
    problems = [*target_problems(config), *setting_problems(config, module), *compare(expected, names, count)]
    return {"ok": not problems, "problems": problems, "names": names, "count": count}


def main(arguments: t.Sequence[str]) -> int:
    result = check(arguments[0], arguments[1])
    result["version"] = importlib.metadata.version("litellm")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
