# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What nvidia-smi printed: query CSV, list and XML as GPUs, and what its exit status and its complaints mean.

The banner is never read: driver 610 renamed its fields. A field is taken only where it looks like what it should be, since any of
them may hold an error in its place ("[N/A]", "[GPU is lost]", "ERR!", "Insufficient Permissions").
"""

from __future__ import annotations

import re
import typing as t
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT

QUERY_FIELDS: tuple[str, ...] = ("index", "uuid", "name", "driver_version", "compute_cap", "memory.total", "mig.mode.current")

#: What nvidia-smi's exit status means: its manual page, RETURN VALUE, and for what that leaves out NVML's nvmlReturn_t, which it returns
#: (modulo 256) as well.
EXIT_MEANINGS: Mapping[int, str] = {
    2: "an argument is not valid",
    3: "the operation is not available on the GPU",
    4: "no permission",
    6: "no GPU was found",
    8: "a GPU's external power cables are not attached",
    9: "the driver is not loaded",
    10: "the kernel found an interrupt issue with a GPU",
    11: "the kernel found an interrupt issue with a GPU",
    12: "the library libnvidia-ml.so.1 was not found",
    13: "the library libnvidia-ml.so.1 lacks a function",
    14: "infoROM is corrupted",
    15: "a GPU has fallen off the bus",
    16: "a GPU has to be reset",
    17: "the operating system keeps nvidia-smi from the GPU",
    18: "driver and library have different versions",
    TIMED_OUT: "no answer",
    126: "it cannot be run",
    127: "it cannot be run",
    255: "an error inside the driver",
}
#: What it says in words, which tells more than the status: the first that fits counts.
_COMPLAINTS: tuple[tuple[str, int], ...] = (
    (r"driver/library version mismatch", 18),
    (r"gpu is lost|fallen off the bus|unable to determine the device handle", 15),
    (r"gpu requires reset|reset required", 16),
    (r"no devices were found", 6),
    (r"couldn't communicate with the nvidia driver|driver not loaded", 9),
    (r"couldn't find lib(nvidia-ml|rary)|libnvidia-ml\S* (?:not found|could not be)", 12),
    (r"function not found", 13),
    (r"external power|insufficient power", 8),
    (r"insufficient permissions|permission denied", 4),
    (r"blocked by the operating system|failed to initialize nvml: unknown error", 17),
    (r"interrupt", 10),
    (r"inforom", 14),
)
_LOST = re.compile(r"gpu is lost|requires reset|reset required", re.IGNORECASE)
LOST_REMEDY = (
    "See 'dmesg | grep -i xid' and boot the host again; a GPU that comes back for a while only is defective, overheated, or short of power."
)

#: What a field must look like to be taken for its value.
_SHAPES: Mapping[str, re.Pattern[str]] = {
    "index": re.compile(r"\d{1,3}"),
    "uuid": re.compile(r"(?:GPU-|MIG-)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?:GPU|MIG)-[0-9A-Za-z/-]+"),
    "driver_version": re.compile(r"\d+(?:\.\d+)+"),
    "compute_cap": re.compile(r"\d+\.\d+"),
    "memory.total": re.compile(r"\d+(?:\.\d+)?(?:\s*MiB)?"),
    "mig.mode.current": re.compile(r"Enabled|Disabled"),
    "cuda_version": re.compile(r"\d+\.\d+"),
}
_ABSENT = re.compile(
    r"^(\[.*\]|n/a|not (supported|found|available|active)|none|unknown( error)?|err!|insufficient permissions|no permission|gpu is lost|"
    r"(gpu )?requires reset|reset required|requested functionality has been deprecated|)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """What a command printed; `rc` is None where there is no such command."""

    rc: int | None = None
    stdout: str = ""
    stderr: str = ""

    @property
    def text(self) -> str:
        return f"{self.stdout}\n{self.stderr}".strip()


@dataclass(frozen=True)
class MigSlice:
    """One compute instance. Those of one GPU instance share its memory."""

    uuid: str
    profile: str
    memory_mib: int | None
    gpu_instance: int | None = None


@dataclass(frozen=True)
class Gpu:
    index: int
    uuid: str
    name: str
    memory_mib: int | None
    compute_capability: str | None
    mig_enabled: bool = False
    mig: tuple[MigSlice, ...] = ()


@dataclass
class Seen:
    """The GPUs that can be used, and what a person should know of them."""

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda: str | None = None
    bus_ids: frozenset[str] = frozenset()  # of the GPUs that the XML describes, as sysfs writes them
    warnings: list[str] = field(default_factory=list)


class Listed(t.NamedTuple):
    number: int
    name: str
    uuid: str | None
    slices: list[tuple[int, str, str]]  # index, profile, UUID


# ---------------------------------------------------------------------------------------------------------------- reading


def text_value(text: str | None) -> str | None:
    """A field's text; None where something else stands in its place."""
    text = (text or "").strip()
    return None if _ABSENT.match(text) else text


def field_value(name: str, text: str | None) -> str | None:
    """A field of a known name, where it looks like one."""
    value = text_value(text)
    shape = _SHAPES.get(name)
    return None if value is None or (shape and not shape.fullmatch(value)) else value


def _mib(text: str | None) -> int | None:
    """A size in MiB; 0 is none: slices of integrated GPUs say so."""
    value = field_value("memory.total", text)
    number = int(re.match(r"\d+", value)[0]) if value else 0  # type: ignore[index]
    return number or None


def _rows(fields: Sequence[str], text: str) -> Iterator[list[str]]:
    for line in text.split("\n"):
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(fields) and len(parts) > 1:
            yield parts


def parse_query(fields: Sequence[str], text: str) -> list[dict[str, str | None]]:
    """The lines of `--query-gpu --format=csv,noheader,nounits`, one mapping per GPU; lines that are something else are left out."""
    return [{name: field_value(name, part) for name, part in zip(fields, parts)} for parts in _rows(fields, text)]


def parse_list(text: str) -> list[Listed]:
    """The lines of `nvidia-smi -L`."""
    found: list[Listed] = []
    for line in text.split("\n"):
        gpu = re.match(r"GPU (\d+): (.*?)(?: \(UUID: ([^)]*)\))?\s*$", line)
        part = re.match(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: ([^)]*)\)", line)
        if gpu:
            found.append(Listed(int(gpu.group(1)), gpu.group(2).strip(), field_value("uuid", gpu.group(3)), []))
        elif part and found:
            found[-1].slices.append((int(part.group(2)), part.group(1), part.group(3)))
    return found


def parse_xml(text: str) -> ET.Element | None:
    """The document of `nvidia-smi -q -x`; None where it is none."""
    start = text.find("<nvidia_smi_log")
    end = text.rfind("</nvidia_smi_log>")
    if start < 0 or end < 0:
        return None
    try:
        # What stands behind the document is a complaint.
        return ET.fromstring(text[start : end + len("</nvidia_smi_log>")])  # noqa: S314 - comes from the host's own nvidia-smi
    except ET.ParseError:
        return None


def _xml(element: ET.Element | None, path: str) -> str | None:
    return text_value(element.findtext(path)) if element is not None else None


def complaints(answer: Answer, fields: Sequence[str] = ()) -> list[str]:
    """The lines that are no row of the query, no GPU of the list and no XML: what nvidia-smi has to say besides its answer."""
    text = re.sub(r"<\?xml.*</nvidia_smi_log>", "", answer.text, flags=re.DOTALL)
    return [
        line.strip()
        for line in text.split("\n")
        if line.strip() and not any(_rows(fields, line)) and not re.match(r"(\s+MIG|GPU) [^:]+: ", line)
    ]


def meaning(answer: Answer, fields: Sequence[str] = ()) -> int:
    """The exit status that says best what nvidia-smi complains of; 0 where it does not complain."""
    if answer.rc is None:
        return 0
    text = "\n".join(complaints(answer, fields)).lower()
    said = next((status for pattern, status in _COMPLAINTS if re.search(pattern, text)), None)
    return answer.rc if said is None else said


# ---------------------------------------------------------------------------------------------------------------- GPUs


def look(query: Answer, fields: Sequence[str], listed: Answer, xml: Answer) -> Seen:
    """The GPUs of three answers. Each is read as far as it goes, whatever the exit status: good rows are facts."""
    seen = Seen()
    log = parse_xml(xml.stdout)
    elements = log.findall("gpu") if log is not None else []
    entries = {entry.number: entry for entry in parse_list(listed.stdout)}
    rows = list(_usable_rows(query, fields, seen))
    seen.driver_version = field_value("driver_version", _xml(log, "driver_version")) or next(
        (row["driver_version"] for row in rows if row.get("driver_version")), None
    )
    seen.cuda = field_value("cuda_version", _xml(log, "cuda_version"))
    seen.bus_ids = frozenset(_bus_id(element.get("id") or "") for element in elements)
    if not rows and not seen.warnings:  # the query was refused, or understood nothing
        rows = [{"index": str(index), "uuid": entry.uuid} for index, entry in entries.items()]
        rows = rows or [{"index": field_value("index", _xml(element, "minor_number"))} for element in elements]
    found = []
    for position, row in enumerate(rows):
        index = int(row.get("index") or position)
        entry = entries.get(index)
        uuid = row.get("uuid") or (entry.uuid if entry else None)
        element = next((item for item in elements if uuid and _xml(item, "uuid") == uuid), None)
        if element is None and len(elements) == len(rows):
            element = elements[position]
        found.append(_gpu(index, row, entry, element))
    seen.gpus = tuple(found)
    if found:
        known = bool(seen.warnings)
        seen.warnings += [text for text in _complaints(fields, query, listed, xml, log) if not (known and LOST_REMEDY in text)]
        seen.warnings += [warning for element in elements for warning in _mig_warnings(element)]
    return seen


def _usable_rows(query: Answer, fields: Sequence[str], seen: Seen) -> Iterator[dict[str, str | None]]:
    for parts, row in zip(_rows(fields, query.stdout), parse_query(fields, query.stdout)):
        lost = next((part for part in parts if _LOST.search(part)), None)
        if lost is None:
            yield row
            continue
        who = " ".join(filter(None, (row.get("index"), row.get("uuid"), row.get("name"))))
        seen.warnings.append(f"GPU {who or '(unknown)'} is not used: nvidia-smi says {lost.strip('[]')!r} of it. {LOST_REMEDY}")


def _complaints(fields: Sequence[str], query: Answer, listed: Answer, xml: Answer, log: ET.Element | None) -> Iterator[str]:
    """What is wrong although there are GPUs. Each is told once."""
    told = [
        (status, lines)
        for status, lines in ((meaning(a, f), complaints(a, f)) for a, f in ((query, fields), (listed, ()), (xml, ())))
        if status
    ]
    status, lines = told[0] if told else (0, [])
    said = lines[0] if lines else f"exit status {status}"
    if status == 14:
        yield (
            f"nvidia-smi warns of a corrupted infoROM ({said}). The GPU works and is used; its vendor can say whether it has to be "
            "replaced."
        )
    elif status in (15, 16):
        yield f"A GPU is out of reach, the others are used. nvidia-smi says: {said}. {LOST_REMEDY}"
    elif status:
        yield (
            f"nvidia-smi ended with {status} ({EXIT_MEANINGS.get(status, 'no known reason')}), but lists GPUs, which are used. It says: "
            f"{said}"
        )
    stated = (log.findtext("cuda_version") or "").strip() if log is not None else ""
    if stated and field_value("cuda_version", stated) is None:
        yield (
            f"nvidia-smi gives {stated!r} as its CUDA version: the driver's library libcuda.so.1 was not found, without which no engine "
            "computes on the GPU. Install it in the driver's version (Ubuntu: libnvidia-compute-580, Debian: libcuda1)."
        )


def _mig_warnings(element: ET.Element) -> Iterator[str]:
    now, soon = _xml(element, "mig_mode/current_mig"), _xml(element, "mig_mode/pending_mig")
    if now in ("Enabled", "Disabled") and soon in ("Enabled", "Disabled") and now != soon:
        name = f"{_xml(element, 'product_name') or 'GPU'} ({element.get('id')})"
        yield (
            f"MIG of {name} is {now.lower()} now and will be {soon.lower()} after the next reset or boot; what is planned now will not "
            f"hold then. Reset it ('nvidia-smi --gpu-reset -i {element.get('id')}', with nothing running on it) or take the change back "
            f"('nvidia-smi -i {element.get('id')} -mig {int(now == 'Enabled')}')."
        )


def _gpu(index: int, row: Mapping[str, str | None], entry: Listed | None, element: ET.Element | None) -> Gpu:
    name = row.get("name") or (entry.name if entry else None) or _xml(element, "product_name") or "NVIDIA GPU"
    uuid = row.get("uuid") or (entry.uuid if entry else None) or field_value("uuid", _xml(element, "uuid")) or str(index)
    memory = _mib(row.get("memory.total")) or _mib(_xml(element, "fb_memory_usage/total"))
    mig_mode = row.get("mig.mode.current") or _xml(element, "mig_mode/current_mig")
    slices = tuple(_slices(entry.slices if entry else [], element))
    return Gpu(index, uuid, name, memory, row.get("compute_cap"), mig_mode == "Enabled" or bool(slices), slices)


def _slices(listed: Sequence[tuple[int, str, str]], element: ET.Element | None) -> Iterator[MigSlice]:
    parts = element.findall("mig_devices/mig_device") if element is not None else []
    guessed = guess_instances([profile for _number, profile, _uuid in listed])
    for (number, profile, uuid), guess in zip(listed, guessed):
        part = next((item for item in parts if _xml(item, "index") == str(number)), None)
        stated = _xml(part, "gpu_instance_id")
        old_form = re.fullmatch(r"MIG-GPU-[0-9A-Fa-f-]+/(\d+)/\d+", uuid)  # drivers before 470
        instance = int(stated) if stated and stated.isdigit() else int(old_form.group(1)) if old_form else guess
        yield MigSlice(uuid, profile, _mib(_xml(part, "fb_memory_usage/total")) or profile_memory(profile), instance)


def guess_instances(profiles: Sequence[str]) -> list[int | None]:
    """Which compute instances share a GPU instance, where only their profiles are known.

    C(3g.40gb) is a whole GPU instance, C(1c.3g.40gb) one of three parts of one; those stand one after the other.
    """
    found: list[int | None] = []
    instance, room, before = -1, 0, ""
    for profile in profiles:
        match = re.match(r"(?:(\d+)c\.)?(\d+)g\.", profile)
        if not match:
            found.append(None)
            continue
        whole = profile.partition("c.")[2] if match.group(1) else profile
        share = int(match.group(1) or match.group(2))
        if not match.group(1) or whole != before or share > room:
            instance, room = instance + 1, int(match.group(2))
        before, room = whole, room - share
        found.append(instance)
    return found


def profile_memory(profile: str) -> int | None:
    """MiB of a profile such as C(1g.10gb), which says the size if nothing better does."""
    match = re.search(r"\.(\d+)gb", profile)
    return int(match.group(1)) * 1024 or None if match else None


def _bus_id(text: str) -> str:
    """`00000000:1B:00.0` as sysfs writes it: `0000:1b:00.0`."""
    domain, separator, rest = text.lower().partition(":")
    return f"{domain[-4:]}:{rest}" if separator else text.lower()
