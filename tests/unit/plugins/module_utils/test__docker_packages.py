# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_packages import choose, client_package, parse_os

#: /etc/os-release, shortened to what counts.
RELEASES = {
    "bookworm": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n',
    "trixie": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n',
    "testing": 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=forky\nID=debian\n',
    "noble": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n',
    "mint": 'NAME="Linux Mint"\nVERSION_ID="22"\nVERSION_CODENAME=wilma\nID=linuxmint\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=noble\n',
    "pop": 'NAME="Pop!_OS"\nVERSION_ID="22.04"\nID=pop\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n',
    "mint-debian": 'NAME="LMDE"\nVERSION_CODENAME=faye\nID=linuxmint\nID_LIKE=debian\nDEBIAN_CODENAME=bookworm\n',
    "kali": 'PRETTY_NAME="Kali GNU/Linux Rolling"\nID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling\n',
    "bare": "ID=debian\n",
    "rhel": 'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.6"\n',
    "rocky": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n',
    "fedora": "NAME='Fedora Linux'\nID=fedora\nVERSION_ID=44\n",
}
IO = ("docker.io", "iptables", "apparmor", "ca-certificates")
IO_AND_CLIENT = ("docker.io", "docker-cli", "iptables", "apparmor", "ca-certificates")
CE = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin")


@pytest.mark.parametrize(
    ("release", "source", "names", "folder", "suite", "offered"),
    [
        ("bookworm", "docker", CE, "debian", "bookworm", "20.10"),
        ("trixie", "distribution", IO_AND_CLIENT, "debian", "trixie", ""),
        ("testing", "distribution", IO_AND_CLIENT, "debian", "forky", ""),
        ("noble", "distribution", IO, "ubuntu", "noble", ""),
        ("mint", "distribution", IO, "ubuntu", "noble", ""),
        ("pop", "distribution", IO, "ubuntu", "jammy", ""),
        ("mint-debian", "docker", CE, "debian", "bookworm", "20.10"),
        ("kali", "distribution", IO_AND_CLIENT, "debian", "kali-rolling", ""),
        ("bare", "distribution", IO_AND_CLIENT, "debian", "", ""),
        ("rhel", "docker", CE, "rhel", "", "0"),
        ("rocky", "docker", CE, "centos", "", "0"),
        ("fedora", "docker", CE, "fedora", "", "0"),
    ],
)
def test_where_an_engine_comes_from(release: str, source: str, names: tuple[str, ...], folder: str, suite: str, offered: str) -> None:
    apt = release not in ("rhel", "rocky", "fedora")
    found = choose(parse_os(RELEASES[release]), apt=apt, minimum="23.0", source="auto")
    assert (found.source, found.names, found.folder, found.suite, found.offered) == (source, names, folder, suite, offered)
    assert found.distribution_will_do is (offered == "")


def test_what_the_user_says_counts() -> None:
    system = parse_os(RELEASES["bookworm"])
    assert choose(system, apt=True, minimum="20.0", source="auto").names == IO
    chosen = choose(system, apt=True, minimum="23.0", source="distribution")
    assert (chosen.source, chosen.names, chosen.distribution_will_do) == ("distribution", IO, False)
    assert choose(system, apt=True, minimum="23.0", source="auto", names=["docker.io"]).names == ("docker.io",)
    assert parse_os(RELEASES["fedora"]).name == "Fedora Linux"


@pytest.mark.parametrize(
    ("owner", "client"),
    [("docker.io", "docker-cli"), ("docker-ce", "docker-ce-cli"), ("docker-ce-3:29.7.2-1.el9.x86_64", "docker-ce-cli"), ("", "docker-cli")],
)
def test_the_package_of_the_client(owner: str, client: str) -> None:
    assert client_package(owner) == client
