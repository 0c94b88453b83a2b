# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every flag of vLLM, and every group of flags that its recipes give: our file means what the command line means.

The judge is vLLM's own parser: what it makes of a command line is compared with what it makes of the file that is rendered from
C(engine_args). Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.containers import VLLM, docker_run_python

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_arguments import RESERVED_ENGINE_ARGS, read_engine_args
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_flags import (
    COMMA_LISTS,
    JSON_LISTS,
    SHORT_FORMS,
    WITHOUT_NEGATION,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Fields, Report

RECIPES: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "recipes.yml").read_text(encoding="utf-8"))
GROUPS = [(source, line) for source, lines in RECIPES.items() for line in lines]
PARSE = """
import contextlib, io, json, re, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser(prog="vllm")
serve = parser.add_subparsers(dest="subparser").add_parser("serve")
make_arg_parser(serve)
def parse(words):
    said = io.StringIO()
    sys.argv = ["vllm", "serve", *words]
    try:
        with contextlib.redirect_stderr(said):
            found = vars(parser.parse_args(["serve", *words]))
    except SystemExit:
        return {"error": said.getvalue()[-300:]}
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}
    texts = {key: repr(value) for key, value in found.items() if key not in ("config", "model", "model_tag")}
    return {key: re.sub(r"engine_id='[0-9a-f-]{36}'", "engine_id='random'", text) for key, text in texts.items()}
cases = json.load(open("cases.json"))
answers = []
for number, case in enumerate(cases):
    with open("file.yaml", "w") as file:
        file.write(case["file"])
    line, file = parse(["model", *case["words"]]), parse(["--config", "file.yaml"])
    differs = {key: [line.get(key), file.get(key)] for key in {*line, *file} if line.get(key) != file.get(key)}
    answers.append({"error": line.get("error"), "differs": differs})
options = [
    {"names": action.option_strings, "kind": type(action).__name__, "many": action.nargs == "+", "json": action.type is json.loads,
     "choices": [str(choice) for choice in action.choices or ()], "list": isinstance(action.default, list)}
    for action in serve._actions if action.option_strings
]
print(json.dumps({"answers": answers, "options": options}))
"""  # fmt: skip


#: Words of a command line, and what a user may write for them.
FORMS: list[tuple[list[str], list[dict[str, Any]]]] = [
    (
        ["--speculative-config", '{"method": "ngram", "num_speculative_tokens": 3, "enforce_eager": false}'],
        [
            {"-sc.method": "ngram", "speculative-config.num_speculative_tokens": 3, "speculative-config.enforce_eager": False},
            {"--speculative_config.method": "ngram", "-sc.num_speculative_tokens": "3", "sc.enforce_eager": "false"},
            {"speculative-config": {"method": "ngram"}, "speculative_config.num_speculative_tokens": 3, "-sc.enforce_eager": False},
            {"speculative_config": '{"method": "ngram", "num_speculative_tokens": 3}', "speculative-config.enforce_eager": False},
        ],
    ),
    (
        ["-cc.cudagraph_capture_sizes", "[1, 2]", "-cc.pass_config.fuse_allreduce_rms", "true"],
        [
            {"-cc.cudagraph_capture_sizes": [1, 2], "-cc.pass_config.fuse_allreduce_rms": True},
            {"compilation-config": {"cudagraph_capture_sizes": [1, 2]}, "-cc.pass_config": {"fuse_allreduce_rms": True}},
            {"cc.cudagraph_capture_sizes+": [1, 2], "--compilation-config.pass_config.fuse_allreduce_rms": "true"},
        ],
    ),
    (["-cc.pass_config.fuse_allreduce_rms", "True"], [{"-cc.pass_config.fuse_allreduce_rms": "True"}]),
    (["--hf-overrides.size", "80g", "--hf-overrides.a.b", "x"], [{"hf-overrides.a.b": "x", "hf-overrides": {"size": 80000000000}}]),
    (["-O3"], [{"-O3": True}, {"-O": 3}, {"optimization-level": "3"}, {"-O=3": True}]),
    (["-dp", "2", "-ep", "-q", "fp8"], [{"-dp": 2, "-ep": True, "-q": "fp8"}]),
    (
        ["--lora-modules", '{"name": "a", "path": "/a"}', "b=/b"],
        [{"lora-modules": [{"name": "a", "path": "/a"}, "b=/b"]}],
    ),
    (["--enable-prefix-caching"], [{"no-enable-prefix-caching": False}, {"enable_prefix_caching": True}]),
]  # fmt: skip
FORM_CASES = [(words, arguments) for words, forms in FORMS for arguments in forms]
RIGHT: dict[str, Any] = {"error": None, "differs": {}}
Parsed = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def written(line: str, *, typed: bool) -> dict[str, Any]:
    """The words of a command line as a user puts them into YAML: as texts, or as what YAML makes of them."""
    found: dict[str, Any] = {}
    for word in shlex.split(line):
        if re.match(r"-(?![0-9.]+$)", word) and " " not in word.split("=")[0]:
            key, equals, value = word.partition("=")
            values = found.setdefault(key, []) if key.endswith("+") else found.update({key: []}) or found[key]
            values += [value] if equals else []
        else:
            values.append(word)
    return {key: value_of(key, values, typed) for key, values in found.items()}


def value_of(key: str, values: list[str], typed: bool) -> Any:
    if not values:
        return True
    if key.endswith("+"):
        return ",".join(values)
    items = [yaml.safe_load(value) if typed else value for value in values]
    # What YAML makes of 1e-5 or of a date is no number of vLLM's.
    items = [item if isinstance(item, (str, int, float, list, dict)) else value for item, value in zip(items, values, strict=True)]
    return items if len(items) > 1 else items[0]


def file_of(arguments: dict[str, Any]) -> str:
    """The file of an instance with these arguments, read as the plan reads them."""
    report = Report()
    read, _written = read_engine_args(Fields({"engine_args": arguments}, "", report, ["engine_args"]))
    assert report.findings == []
    instance = {"name": "x", "model": "model", "image": "i", "port": 1, "engine_args": read, "served_model_names": ["x"]}
    config = yaml.safe_load(container_unit(instance)["files"]["config.yaml"])
    ours = {"served-model-name", "host", "port", "disable-fastapi-docs", "disable-access-log-for-endpoints", "shutdown-timeout"}
    left = {key: value for key, value in config.items() if key not in ours or key in read}
    return yaml.safe_dump(left, sort_keys=False)


def parse(folder: Path, tried: list[tuple[list[str], dict[str, Any]]]) -> Parsed:
    """What vLLM makes of words and of what a user writes for them; and its flags."""
    cases = [{"words": words, "file": file_of(arguments)} for words, arguments in tried]
    (folder / "cases.json").write_text(json.dumps(cases))
    found = json.loads(docker_run_python(VLLM, PARSE, folder).splitlines()[-1])
    return found["answers"], found["options"]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """Importing vLLM takes longer than a thousand cases, so all that are known beforehand go in one run."""
    recipes = [(shlex.split(line), written(line, typed=typed)) for _source, line in GROUPS for typed in (False, True)]
    return parse(tmp_path_factory.mktemp("parsed"), recipes + FORM_CASES)


@pytest.mark.parametrize(("source", "line"), GROUPS, ids=[f"{source}-{number}" for number, (source, _line) in enumerate(GROUPS)])
def test_a_group_of_the_recipes_comes_out_as_written(parsed: Parsed, source: str, line: str) -> None:
    position = 2 * GROUPS.index((source, line))
    for answer in parsed[0][position : position + 2]:
        assert answer == RIGHT


def long_names(option: dict[str, Any]) -> list[str]:
    return [name[2:] for name in option["names"] if name.startswith("--") and not name.startswith("--no-")]


def test_what_is_known_of_the_flags_is_what_the_parser_has(parsed: Parsed) -> None:
    options = parsed[1]
    short = {name[1:]: long_names(option)[0] for option in options for name in option["names"] if not name.startswith("--")}
    assert {**short, "O": "optimization-level"} == {**SHORT_FORMS, "h": "help"}
    assert {long_names(option)[0] for option in options if option["kind"] == "_StoreTrueAction"} == WITHOUT_NEGATION
    assert {long_names(option)[0] for option in options if option["json"] and option["list"]} == JSON_LISTS
    names = {name for option in options for name in long_names(option)}
    assert set(RESERVED_ENGINE_ARGS) - names <= {"model-tag", "api-key", "uds", "config"}
    assert names >= COMMA_LISTS


def samples(option: dict[str, Any]) -> list[tuple[list[str], Any]]:
    """Words of a command line for a flag, and what a user writes for the same."""
    name = long_names(option)[0]
    if option["kind"] == "BooleanOptionalAction":
        return [([f"--{name}"], {name: True}), ([f"--no-{name}"], {name: False}), ([f"--no-{name}"], {f"no_{name}": True})]
    if option["kind"] == "_StoreTrueAction":
        return [([f"--{name}"], {name: True}), ([], {name: False})]
    if name in JSON_LISTS:
        return [([f"--{name}", '["a", "b"]'], {name: ["a", "b"]}), ([f"--{name}", '["a"]'], {name: '["a"]'})]
    if name in COMMA_LISTS:
        return [([f"--{name}", "/a,/b"], {name: ["/a", "/b"]})]
    if option["choices"]:
        return [([f"--{name}", choice], {name: choice}) for choice in option["choices"]]
    if option["many"]:
        return [([f"--{name}", *words], {name: words}) for words in (["a", "b"], ["a=/b"], ["1", "2"])] + [
            ([f"--{name}", "1", "2"], {name: [1, 2]})
        ]
    if option["kind"] == "_AppendAction":
        return [([f"--{name}", "a"], {name: "a"})]
    values: list[tuple[str, Any]] = [
        ("3", 3),
        ("0.5", 0.5),
        ("some text", "some text"),
        ("32k", "32k"),
        ('{"a": {"b": [1, true]}}', {"a": {"b": [1, True]}}),
    ]
    return [([f"--{name}", word], {name: value}) for word, value in values]


def test_every_flag_comes_out_as_written(parsed: Parsed, tmp_path: Path) -> None:
    """Each flag with the values that its kind may have; what the command line refuses proves nothing and is left out."""
    options = parsed[1]
    tried = [
        (words, arguments)
        for option in options
        if not set(long_names(option)) & {*RESERVED_ENGINE_ARGS, "help", "log-config-file"}
        for words, arguments in samples(option)
    ]
    answers, _options = parse(tmp_path, tried)
    taken = [(arguments, answer["differs"]) for (_words, arguments), answer in zip(tried, answers, strict=True) if answer["error"] is None]
    assert [(arguments, differs) for arguments, differs in taken if differs] == []
    flags = {next(iter(arguments)) for arguments, _differs in taken}
    assert len(flags) > 0.8 * len(options)


def test_every_form_of_a_flag_means_the_same(parsed: Parsed) -> None:
    answers = parsed[0][-len(FORM_CASES) :]
    assert [(case, answer) for case, answer in zip(FORM_CASES, answers, strict=True) if answer != RIGHT] == []
