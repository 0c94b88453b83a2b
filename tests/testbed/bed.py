# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#!/usr/bin/env python3
"""The test bed, which is also the demo: real Docker Engine, real systemd nodes, real vLLM and LiteLLM; only the GPU is missing."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # as root it would leave files that the checkout's owner cannot remove
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from testbed import agents, demo, engine, everything, images, models, nodes, real_models, registry, settings
from testbed.shell import BedError, clock, elapsed, end_children, say


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bed.py", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("engine", help="make sure that a Docker Engine answers")

    commands.add_parser(
        "programs",
        help="make sure that nginx, Redis, Prometheus (their services are not started) and an SSH client are installed, for the tests",
    )

    command = commands.add_parser("up", help="engine, node image, registry with both images, models: all that nodes need")
    command.add_argument("--suite", action="append", choices=("trixie", "bookworm"), help="node image; trixie unless said otherwise")
    published = [image.recipe for image in registry.PUBLISHED]
    command.add_argument(
        "--with",
        dest="published",
        action="append",
        choices=published,
        help="publish this only; vllm and litellm unless said. llama-cpp brings its model",
    )

    command = commands.add_parser("images", help="build what is missing or outdated")
    command.add_argument(
        "names",
        nargs="*",
        default=["all"],
        metavar="NAME",
        help="node, node-trixie, vllm, litellm, litellm-before, ollama, crawl4ai, llama-cpp, registry, models, real-models, demo, "
        "all (default; without what single scenarios ask for)",
    )

    command = commands.add_parser("model", help="make one more tiny model, below /srv/models on every node")
    command.add_argument("kind", choices=models.STANDARD)
    command.add_argument("name", help="the folder's name")
    command.add_argument("--reply", default="", help="what it answers, in words that differ from each other: 'Hello from node-a.'")

    commands.add_parser("agents", help="fetch the coding agents that tests run, from npm into build/clients")

    commands.add_parser("agent-model", help="make the tiny model that coding agents are tested with, below /srv/models on every node")

    commands.add_parser("registry", help="run the private registry and publish the engine and gateway image in it")

    command = commands.add_parser("node", help="boot a node with systemd")
    command.add_argument("name")
    command.add_argument("--image", choices=("trixie", "bookworm"), default="trixie")
    command.add_argument("--ip", help=f"a fixed address in {settings.SUBNET}")
    command.add_argument("--publish", action="append", default=[], metavar="127.0.0.1:PORT:PORT")

    command = commands.add_parser("node-rm", help="remove nodes with their data")
    command.add_argument("names", nargs="+", metavar="NAME")

    commands.add_parser("nodes", help="list the nodes")

    commands.add_parser("demo", help="deploy on a fresh node and talk to the gateway")

    command = commands.add_parser("clean", help="remove all containers, volumes, networks and processes of the bed, and nothing else")
    command.add_argument(
        "--images", dest="with_images", action="store_true", help="also what was built: images, models, logs, the engine's data"
    )
    return top


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        dispatch(options)
    except BedError as error:
        print(f"\nbed.py {options.command}: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        command = " ".join(["sudo", sys.executable, *sys.argv])
        print(f"\nbed.py {options.command}: {error}. What was built by root only root can change. Run: {command}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        end_children()
        print("\nInterrupted.", file=sys.stderr)
        return 130
    return 0


def build(options: argparse.Namespace) -> None:
    """What command C(images) names."""
    names = set(options.names)
    engine.ensure()
    wanted = [name for name in options.names if name not in ("models", "real-models")]
    if wanted:
        images.ensure(wanted)
    if {"models", "all"} & names:
        models.ensure()
    if {"real-models", "demo", "all"} & names:
        real_models.ensure()


def make_model(options: argparse.Namespace) -> None:
    engine.ensure()
    models.ensure([models.request(options.kind, options.name, options.reply)])


def make_agent_model(options: argparse.Namespace) -> None:
    engine.ensure()
    models.ensure_agent()


def run_registry(options: argparse.Namespace) -> None:
    engine.ensure()
    registry.ensure()


def add_node(options: argparse.Namespace) -> None:
    engine.ensure()
    images.ensure([f"node-{options.image}"])
    nodes.ensure(nodes.node(options.name, options.image, options.ip, options.publish))


def remove_nodes(options: argparse.Namespace) -> None:
    for name in options.names:
        nodes.remove(name)


def list_nodes(options: argparse.Namespace) -> None:
    for row in nodes.listing():
        print("{:<24} {:<56} {:<24} {}".format(*row))


COMMANDS: dict[str, Callable[[argparse.Namespace], object]] = {
    "engine": lambda options: engine.ensure(),
    "agents": lambda options: agents.ensure(),
    "agent-model": make_agent_model,
    "programs": lambda options: engine.ensure_programs(),
    "up": lambda options: everything.up(options.suite or ["trixie"], options.published or ["vllm", "litellm"]),
    "demo": lambda options: demo.run(),
    "clean": lambda options: everything.clean(with_images=options.with_images),
    "images": build,
    "model": make_model,
    "registry": run_registry,
    "node": add_node,
    "node-rm": remove_nodes,
    "nodes": list_nodes,
}
#: What others read is all that these print.
SILENT = ("programs", "nodes")


def dispatch(options: argparse.Namespace) -> None:
    COMMANDS[options.command](options)
    if options.command not in SILENT:
        say(f"done in {clock(elapsed())}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
