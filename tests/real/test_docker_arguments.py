# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extra arguments of docker create, read by us and by the Docker that is installed: flags, values, and what becomes the image.

Nothing is created: the image at the end of every line does not exist, and Docker names the one that it looked for.
"""

from __future__ import annotations

import random
import re
import subprocess

import pytest
from support.docker_help import flags_of

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags

IMAGE = "no-such-image:1"
WORDS = [
    *("-l", "-la=b", "-l=a=b", "--label", "--label=a=b", "-il=a=b", "-ul=a", "--label a=b", "-u", "-u0", "--user=0", "-h", "-hx"),
    *("--dns-opt", "--dns-opt=x", "--domainname", "--domainname=x", "--hostname=x", "-it", "-itl", "-Pq", "-t=0", "-t=", "-ti="),
    *("-i=false", "--init", "--init=false", "--init=maybe", "--tty=T", "--rm", "-d", "--detach", "--no-such", "--no-such=1"),
    *("a=b", "other.invalid/x:1", "false", "-", "---x", "--=x"),
]


def create(*arguments: str) -> str:
    argv = ["docker", "create", "--pull", "never", *arguments, IMAGE]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_our_table_is_that_of_this_docker() -> None:
    listed = flags_of(subprocess.run(["docker", "create", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout)
    assert len(listed) > 90
    assert {flag.name for flag in listed if flag.takes_value} <= docker_flags.VALUES
    assert {flag.name for flag in listed if not flag.takes_value} <= docker_flags.SWITCHES
    assert {flag.short: flag.name for flag in listed if flag.short} == docker_flags.SHORT


def test_docker_and_we_read_the_same() -> None:
    """Hundreds of lists of words, good and bad: where we find no mistake, Docker looks for the image that stands behind them.

    Their values are such that any text will do. A last "--" is left out: Docker takes it, and we do not, as more follows.
    """
    chosen = random.Random(20261120)
    cases = [[word] for word in (*WORDS, "")] + [[chosen.choice(WORDS) for _ in range(chosen.randint(2, 4))] for _ in range(250)]
    differ = []
    for arguments in cases:
        said = create(*arguments)
        image_reached = re.search(rf"[Nn]o such image: {re.escape(IMAGE)}", said) is not None
        if image_reached is not (not docker_flags.read(arguments)[1]):
            differ.append((arguments, docker_flags.read(arguments), said))
    assert differ == []


@pytest.mark.parametrize("argument", ["--ulimit memlock=-1", "--init false", "-d"])
def test_what_we_refuse_docker_refuses_too(argument: str) -> None:
    assert "unknown" in create(argument)
