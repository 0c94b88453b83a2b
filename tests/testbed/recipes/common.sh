# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by the build.sh and fetch.sh of every image. They get:
#   ROOTFS   the folder to fill; it becomes the image
#   BASE     the finished root file system of the image this one builds on, where it has one (read only)
#   LIB      the folder that fetch.sh fills with Python packages, in parallel with the building of BASE
#   PIP      pip's command; MIRROR: the Debian mirror; HERE: the image's own folder; further names from the recipe
# shellcheck shell=bash
set -euo pipefail

# debian SUITE PACKAGE[,PACKAGE...]: the smallest Debian with these packages, without what a container never reads.
debian() {
    debootstrap --variant=minbase --include="$2" "$1" "$ROOTFS" "$MIRROR"
    slim
}

slim() {
    rm -rf "$ROOTFS"/var/cache/apt/archives/*.deb "$ROOTFS"/var/lib/apt/lists/* "$ROOTFS"/usr/share/{doc,man,locale}/* "$ROOTFS"/var/log/*.log
    # Docker writes both of these files into every container; a machine id must be each node's own.
    rm -f "$ROOTFS"/etc/resolv.conf "$ROOTFS"/etc/hostname
    : > "$ROOTFS"/etc/machine-id
}

# pip_target FOLDER ARGUMENT...: wheels for CPython 3.11 on Debian 12, whatever Python runs this.
pip_target() {
    local target=$1 minor attempt platforms=()
    shift
    for minor in 5 12 17 24 26 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
    platforms+=(--platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 --platform linux_x86_64)
    # pip tries a connection again, but not a download that breaks off.
    for attempt in 1 2 3; do
        # shellcheck disable=SC2086 # PIP is a command with arguments
        $PIP install --quiet --no-cache-dir --no-deps --no-compile --no-input --only-binary=:all: --disable-pip-version-check \
            --timeout 60 --retries 10 \
            --python-version 3.11 --implementation cp "${platforms[@]}" --target "$target" --upgrade "$@" && return
        echo "pip: attempt $attempt failed" >&2
        sleep 5
    done
    return 1
}

# python_in_rootfs ARGUMENT...: the image's own Python, writing .pyc files even where the caller's environment forbids it.
python_in_rootfs() {
    chroot "$ROOTFS" env -u PYTHONDONTWRITEBYTECODE -u PYTHONPATH HOME=/root PATH=/usr/local/bin:/usr/bin:/bin "$@"
}
