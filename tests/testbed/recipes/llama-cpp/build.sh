#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# llama.cpp's server as Debian's next release has it, where the vendor's image has its own.
source "$HERE/../common.sh"
# debootstrap of Debian 12 knows no forky; its script is that of sid.
debootstrap --variant=minbase --include=llama.cpp-tools,ca-certificates,curl forky "$ROOTFS" "$MIRROR" /usr/share/debootstrap/scripts/sid
mkdir -p "$ROOTFS/app"
ln -s /usr/bin/llama-server "$ROOTFS/app/llama-server"
chroot "$ROOTFS" /app/llama-server --version
slim
