#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A bare Debian node with systemd and SSH, as an installer leaves it: no Docker, no Python library beyond the standard one.
source "$HERE/../common.sh"
debian "$SUITE" systemd,systemd-sysv,dbus,python3,iproute2,ca-certificates,curl,sudo,procps,openssh-server
# A container cannot load kernel modules; without this systemd calls every node "degraded".
ln -sf /dev/null "$ROOTFS/etc/systemd/system/systemd-modules-load.service"
# Docker writes this file; systemd-resolved and others must leave it alone.
rm -f "$ROOTFS/etc/systemd/system/multi-user.target.wants/systemd-resolved.service"
