# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts that programs read in their own way, and whether Docker takes them; tests/real asks it."""

from __future__ import annotations

from typing import Any

MIB = 2**20
_NO_SIZES: list[Any] = [True, None, [], {}, "9000000p", "99999999999999999999", float("inf"), 1e30]

#: References to images.
IMAGES: list[tuple[str, bool]] = [
    ("a/b:1", True),
    ("vllm/vllm-openai:v0.32.0", True),
    ("registry.air:5000/vllm-openai:v0.32.0", True),
    ("host:99999/x:1", True),
    ("localhost/foo:1", True),
    ("reg.io/fo--o", True),
    ("a__b", True),
    ("10.0.0.1:5000/a/b/c:x_Y.z-1", True),
    ("x@sha256:" + "a" * 64, True),
    ("x:1@sha256:" + "0" * 64, True),
    ("x:" + "a" * 128, True),
    ("x:" + "a" * 129, False),
    ("Foo/bar:1", False),
    ("localhost/Foo:1", False),
    ("vllm/VLLM:1", False),
    ("a___b", False),
    ("a..b", False),
    ("a.-b", False),
    ("-x", False),
    ("a:", False),
    ("a//b", False),
    ("a/:b", False),
    ("a:b:c", False),
    ("x:-1", False),
    ("x:.1", False),
    ("x@sha256:abcd", False),
    ("x@sha256:" + "A" * 64, False),
    ("reg_x:5000/y", False),
    # Sixty-four hexadecimal digits are an image's id.
    ("deadbeef" * 8, False),
    ("deadbeef" * 8 + ":1", False),
    ("a" * 260, False),
    ("https://a/b", False),
    ("a b", False),
    ("ä/b", False),
    ("a\n", False),
    ("", False),
]

#: Sizes of shared memory, and how many bytes Docker makes of them; None for what we do not take.
SIZES: list[tuple[Any, int | None]] = [
    *(
        (text, 4096 * MIB)
        for text in ("4gb", "4g", "4G", "4GB", "4Gb", "4 gb", "4GiB", "4gib", "4096m", "4096mb", "4096 MiB", "+4g", "4.g")
    ),
    *((text, 4096 * MIB) for text in ("4194304k", "4194304kib", "4294967296", "4294967296b", 4294967296)),
    ("1.5g", 1536 * MIB),
    (".5g", 512 * MIB),
    ("1e9", 10**9),
    (1e9, 10**9),
    ("1e1g", 10240 * MIB),
    ("1t", 2**40),
    ("0.0009765625g", MIB),
    ("1.0000005m", MIB),
    *((text, None) for text in ("4gbb", "4bb", "4  g", "0x10", "4e", "-1g", "inf", "nan", "g", "", "4gi", "4,5g", "4g 4g", "lots")),
    # Docker takes these, as bytes, or as its 64 MiB.
    *((value, None) for value in ("4", "0", 0, 16, "1048575", "4k", 0.5)),
    *((value, None) for value in _NO_SIZES),
]

#: Paths that are mounted with the flag --mount, whose value is a line of CSV.
PATHS: list[tuple[str, bool]] = [
    ("/models/x", True),
    ("/models/a b", True),
    ("/models/a,b", True),
    ('/models/a"b', True),
    ('/models/",readonly=false,source=/', True),
    ("/models/'a'", True),
    ("/models/a=b", True),
    ("/models/a:b", True),
    ("/models/%h$HOME`id`", True),
    ("/models/a\\", True),
    ("/models/größe", True),
    ("/models/日本", True),
    ("/-x", True),
    ("/~", True),
    ("/models/yes", True),
    ("/models/../x/", True),
    ("/" + "a" * 255, True),
    ("/" + "a" * 256, False),
    ("/" + "ä" * 128, False),
    ("/a" * 600, False),
    ("models", False),
    ("~/models", False),
    ("", False),
    ("/models/a\nb", False),
    ("/models/a\rb", False),
    ("/models/a\tb", False),
    ("/models/a\x00b", False),
    ("/models/a\x7fb", False),
    ("/models/a\x85b", False),
    ("/models/a\u2028b", False),
    ("/models/a\udc80b", False),
    ("/models/a ", False),
]

#: Values of variables. Docker's env files know neither quotes nor escapes, and end a line at a line feed alone.
LINES = [
    *("", " ", " a ", "\t", '"a"', "'", "a=b", "=", "#a", " # a", "$HOME", "${A}", "`id`", "%n", "%%", "a\\", "\\n", "größe", "yes", "~"),
    *("\u2028", "x\u2028VLLM_API_KEY=z", "\x85A=b", "\u2029", "\ufeffx", "\x07", "\x0b", "\x0c", "\x1c", "\x7f", "\U0001f600"),
    "x" * 60000,
]
