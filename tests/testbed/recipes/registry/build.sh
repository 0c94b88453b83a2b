#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Debian's docker-registry, plain http and without a password: it is reachable on the bed's own network and on the controller's loopback only.
source "$HERE/../common.sh"
cp -a "$BASE/." "$ROOTFS/"
cp -L /etc/resolv.conf "$ROOTFS/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$ROOTFS/usr/sbin/policy-rc.d"
chmod 755 "$ROOTFS/usr/sbin/policy-rc.d"
chroot "$ROOTFS" apt-get -qq update
chroot "$ROOTFS" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-registry
rm -f "$ROOTFS/usr/sbin/policy-rc.d"
mkdir -p "$ROOTFS/etc/docker/registry" "$ROOTFS/var/lib/docker-registry"
cp "$HERE/config.yml" "$ROOTFS/etc/docker/registry/config.yml"
slim
