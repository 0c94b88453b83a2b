# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dnf did, read with rpm and dnf themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

PACKAGES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools", "libnvidia-container1")


@pytest.mark.parametrize("package", PACKAGES)
def test_all_packages_have_the_pinned_version(host: Any, package: str) -> None:
    assert host.check_output(f"rpm --query --queryformat '%{{VERSION}}-%{{RELEASE}}' {package}") == "1.20.1-1"


def test_docker_came_from_its_signed_repository(host: Any) -> None:
    version = host.check_output("rpm --query --queryformat '%{VERSION}' docker-ce")
    assert host.check_output("rpm --query --queryformat '%{VERSION}' docker-ce-cli") == version
    assert json.loads(host.check_output("docker info --format '{{json .}}'"))["ServerVersion"].split("+")[0] == version
    assert host.check_output("systemctl is-enabled docker.service") == "enabled"
    section = host.file("/etc/yum.repos.d/docker.repo").content_string
    assert "gpgcheck=1" in section
    assert "baseurl=file:///srv/rpm/docker/$releasever/$basearch/stable" in section


def test_an_upgrade_of_everything_leaves_the_toolkit_alone(host: Any) -> None:
    """Also with its repository switched on, and from any other that has them."""
    upgrade = host.run("dnf --assumeno --enablerepo=nvidia-container-toolkit upgrade")
    assert "1.21.0" not in upgrade.stdout, upgrade.stdout
    free = host.run("dnf --assumeno --enablerepo=nvidia-container-toolkit --disableexcludes=main upgrade")
    assert "1.21.0" in free.stdout, "else the test above would prove nothing"


def test_what_others_exclude_stays_excluded(host: Any) -> None:
    assert host.file("/etc/dnf/dnf.conf").content_string == (
        "[main]\ngpgcheck=True\nexcludepkgs="
        "nvidia-container-toolkit,nvidia-container-toolkit-base,libnvidia-container-tools,libnvidia-container1,kernel*\nbest=True\n"
    )


def test_the_section_of_the_site_stays(host: Any) -> None:
    assert host.file("/etc/yum.repos.d/site.repo").content_string == (
        "# of this site\n[site]\nname=site\nbaseurl=file:///srv/site\nenabled=0\n"
    )
    assert [name for name in host.file("/etc/yum.repos.d").listdir() if name.startswith("site.repo.") and name.endswith("~")]


def test_dnf_reads_its_files_without_a_word(host: Any) -> None:
    listing = host.run("dnf --quiet repolist --all")
    assert (listing.rc, listing.stderr) == (0, "")
    assert [line.split()[0] for line in listing.stdout.split("\n")[1:] if line] == ["docker", "nvidia-container-toolkit", "site"]


def test_a_container_gets_the_gpu(host: Any) -> None:
    options = "--rm --network none --runtime nvidia --env NVIDIA_VISIBLE_DEVICES=all --entrypoint /bin/sh"
    assert "GPU 0" in host.check_output(f"docker run {options} llmops-gpu-inference/gpu-proof:1 -c 'nvidia-smi -L'")
