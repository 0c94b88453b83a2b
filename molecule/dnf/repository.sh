#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# On a Debian node: dnf, and two signed repositories for it, laid out like Docker's and NVIDIA's. Docker's packages have Debian's real
# Docker Engine in them, NVIDIA's the simulated toolkit from the node's apt repository.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# What dnf would bring on the distributions that have it; python3-requests comes from the local repository, as a package of dnf's.
apt-get install -qq -y --no-install-recommends dnf python3-dnf rpm createrepo-c gnupg python3-requests iptables apparmor ca-certificates >/dev/null
mkdir -p /etc/yum.repos.d /etc/dnf/vars
echo 9 > /etc/dnf/vars/releasever

export GNUPGHOME=/srv/signing
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'repository <repository@example.org>' rsa3072 sign never
fingerprint=$(gpg --with-colons --list-keys | awk -F: '$1 == "fpr" {print $10; exit}')
mkdir -p /srv/rpm
echo "$fingerprint" > /srv/rpm/fingerprint
gpg --armor --export > /srv/rpm/gpg

# package FOLDER NAME VERSION-RELEASE ROOT [HEADER [BEFORE]]: an rpm with the files of ROOT, into FOLDER; BEFORE runs as it is installed.
package() {
    local folder=$1 name=$2 version=${3%-*} release=${3##*-} root=$4 header=${5:-} before=${6:-}
    {
        printf '%s\n' "Name: $name" "Version: $version" "Release: $release" "Summary: for tests" "License: none" "AutoReqProv: no"
        [ -z "$header" ] || echo "$header"
        printf '%s\n' '%description' 'For tests.' '%install' "cp -a $root/. %{buildroot}/"
        [ -z "$before" ] || printf '%s\n' '%pre' "$before"
        echo '%files'
        (cd "$root" && find . -mindepth 1 \( -type f -o -type l \) -printf '/%P\n')
    } > "/tmp/$name.spec"
    rpmbuild -bb --quiet --target x86_64 --define "_rpmdir /tmp/rpms" --define "__os_install_post %{nil}" --define "debug_package %{nil}" \
        --define "_binary_payload w1.gzdio" \
        "/tmp/$name.spec"
    mkdir -p "$folder"
    mv "/tmp/rpms/x86_64/$name-$version-$release.x86_64.rpm" "$folder"
}

# unpacked DEB...: a folder with their files.
unpacked() {
    local root
    root=$(mktemp -d)
    chmod 755 "$root"
    for deb in "$@"; do dpkg-deb --extract "$deb" "$root"; done
    rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/lintian"
    echo "$root"
}

finish() {
    createrepo_c --quiet "$1"
    gpg --batch --armor --detach-sign --output "$1/repodata/repomd.xml.asc" "$1/repodata/repomd.xml"
}

docker=/srv/rpm/docker/9/x86_64/stable
nothing=$(mktemp -d)
cd "$(mktemp -d)"
chmod 777 .  # apt fetches as a user of its own
apt-get download -qq docker.io docker-cli containerd runc tini
for deb in *.deb; do mv "$deb" "${deb%%_*}.deb"; done
version=$(dpkg-deb --field docker.io.deb Version)
version=${version%%[+~-]*}-1.el9
# Docker's own packages make the group as they are installed.
package "$docker" docker-ce "$version" "$(unpacked docker.io.deb tini.deb)" \
    'Requires: docker-ce-cli containerd.io' 'groupadd --force --system docker'
package "$docker" docker-ce-cli "$version" "$(unpacked docker-cli.deb)"
# On a Debian no package of rpm's provides the shell.
package "$docker" containerd.io 1.7.24-1.el9 "$(unpacked containerd.deb runc.deb)" 'Provides: /bin/sh'
package "$docker" docker-buildx-plugin 0.1-1.el9 "$nothing"
package "$docker" python3-requests 2.32.3-1.el9 "$nothing"
for rpm in "$docker"/*.rpm; do
    rpmsign --define "_gpg_name repository" --addsign "$rpm" >/dev/null
done
finish "$docker"

nvidia=/srv/rpm/nvidia/rpm/x86_64
for version in 1.20.1-1 1.21.0-1; do
    for name in libnvidia-container1 libnvidia-container-tools nvidia-container-toolkit-base nvidia-container-toolkit; do
        case $name in
            nvidia-container-toolkit) header="Requires: nvidia-container-toolkit-base = $version libnvidia-container-tools = $version" ;;
            libnvidia-container-tools) header="Requires: libnvidia-container1 = $version" ;;
            *) header= ;;
        esac
        package "$nvidia" "$name" "$version" "$(unpacked "/srv/toolkit-repository/stable/deb/amd64/${name}_${version}_amd64.deb")" "$header"
    done
done
# NVIDIA signs the metadata and not the packages.
finish "$nvidia"

# The same packages, with another index than the one that was signed.
cp -a /srv/rpm/nvidia /srv/rpm/meddled
echo '<!-- meddled with -->' >> /srv/rpm/meddled/rpm/x86_64/repodata/repomd.xml
