# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Why an instance failed: reads its log and names cause, remedy, and whether the same start would fail again.

What each program says stands in a file of its own, _causes_<program>.py. Used by modules, by the controller and by the launcher on
the node.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_docker as docker,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_gpu as gpu,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_hub as hub,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_litellm as litellm,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_llama_cpp as llama_cpp,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_ollama as ollama,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_python as python,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_system as system,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_toolkit as toolkit,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import (
        _causes_vllm as vllm,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import (
        PERMANENT,
        REMEDIES,
        Cause,
        Diagnosis,
        Rank,
        Rule,
        diagnosis,
        or_else,
        rule,
    )
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_lines import Entry, clean_line, read
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_redact import redact
except ImportError:  # on the node the files lie side by side
    import _causes_docker as docker  # type: ignore[import-not-found,no-redef]
    import _causes_gpu as gpu  # type: ignore[import-not-found,no-redef]
    import _causes_hub as hub  # type: ignore[import-not-found,no-redef]
    import _causes_litellm as litellm  # type: ignore[import-not-found,no-redef]
    import _causes_llama_cpp as llama_cpp  # type: ignore[import-not-found,no-redef]
    import _causes_ollama as ollama  # type: ignore[import-not-found,no-redef]
    import _causes_python as python  # type: ignore[import-not-found,no-redef]
    import _causes_system as system  # type: ignore[import-not-found,no-redef]
    import _causes_toolkit as toolkit  # type: ignore[import-not-found,no-redef]
    import _causes_vllm as vllm  # type: ignore[import-not-found,no-redef]
    from _causes_base import PERMANENT, REMEDIES, Cause, Diagnosis, Rank, Rule, diagnosis, or_else, rule  # type: ignore[import-not-found,no-redef]
    from _causes_lines import Entry, clean_line, read  # type: ignore[import-not-found,no-redef]
    from _causes_redact import redact  # type: ignore[import-not-found,no-redef]

__all__ = ["PERMANENT", "REMEDIES", "RULES", "Cause", "Diagnosis", "classify_log", "clean_line", "diagnosis", "or_else", "redact"]

#: In the order in which they are asked: where two match the same line, the first one counts.
RULES: tuple[Rule, ...] = (
    *system.RULES,
    *litellm.RULES,
    *ollama.RULES,
    *llama_cpp.RULES,
    *toolkit.RULES,
    *docker.RULES,
    *hub.RULES,
    *gpu.RULES,
    *vllm.RULES,
    *python.RULES,
)

_NOTICE_PENALTY = 10
#: An engine that was killed, stopped or died while it served: only words that name a cause count, not what else it complained about.
_ENDED_BY_OTHERS = (0, 137, 143)
_MOST_LINES = 600  # a few milliseconds each on a busy node
#: An error says at its beginning what kind it is; the rest, a dump of settings as often as not, only costs time.
_SAID_FIRST = 1000
_SAID = 2000  # characters of a line in which a rule is looked for
_CONTEXT_AFTER = 3
_TAIL = 8

_BROKE_OFF = (
    "The engine failed in the middle of its work, with a configuration that has answered: it is started again. Where it comes back, use a "
    "newer image, and leave out of the settings what is not the default (speculative decoding, transfer or offloading of the KV cache, "
    "prefix caching, asynchronous scheduling, a quantised KV cache); the log lines tell which part failed."
)
#: What is said of an engine that has answered, where its words only seem to be about its model or its arguments.
_OF_SERVING = rule(Cause.UNKNOWN, "any engine, while it serves", r"\S", remedy=_BROKE_OFF, permanent=False, rank=Rank.VAGUE)
_OF_CONFIGURATION = PERMANENT - {Cause.RUNTIME_MISSING}  # kernels are chosen and compiled by what is asked, some long after the start
_SILENT = Entry("", "")
#: Nobody gives rights by trying again, whatever was refused for want of them.
_RIGHTS = re.compile(r"[Pp]ermission denied|PermissionError|\[Errno 13\]")
#: From here on an engine serves no more. What it said before was about single requests, of which clients send bad ones all day.
_DIES = re.compile(
    r"EngineCore (?:encountered|hit) an? |WorkerProc hit an exception|output_handler failed|Watchdog caught"
    r"|(?:[Ee]ngine|[Bb]ackground) (?:\w+ )?(?:loop|task) (?:has |is )?(?:died|errored|stopped|failed)"
    r"|\b(?:proc|process|[Ww]orker)\b \S+ (?:pid \d+ )?died\b"
)


class Found(t.NamedTuple):
    """A rule that a line of the log meets."""

    rank: int
    number: int  # of the entry
    rule: Rule


def classify_log(
    kind: str, lines: t.Sequence[str], exit_code: int | None = None, oom_killed: bool = False, serving: bool = False
) -> Diagnosis:
    """Say why an instance of this kind (vllm, ollama, litellm, ... or docker) died, from its last log lines.

    The first line that names a cause counts, because engines end with a line that only points back to it.
    Warnings and notices count only where no error says more: a retried download is not why a later allocation failed.

    C(serving): it had answered before it died. Then its model and its arguments will do, whatever its words or the place of the error
    suggest, and another try is always worth it.
    """
    if serving:
        return replace(_classify(kind, lines, exit_code, oom_killed, True), permanent=False)
    return _classify(kind, lines, exit_code, oom_killed, False)


def _classify(kind: str, lines: t.Sequence[str], exit_code: int | None, oom_killed: bool, serving: bool) -> Diagnosis:
    entries = read(lines)
    best = _best_of_serving(kind, entries, exit_code) if serving else _best(kind, entries, exit_code)
    shown = tuple(redact(line)[:500] for line in _excerpt(entries, best.number if best else None))
    told = _message(entries, best.number) if best else ""
    certain = best is not None and best.rank < _NOTICE_PENALTY
    cause = best.rule.cause if best is not None else Cause.UNKNOWN
    if oom_killed and cause is not Cause.OUT_OF_MEMORY:
        return diagnosis(
            Cause.OUT_OF_MEMORY,
            "The kernel killed the process because the container reached its memory limit (exit code %s)."
            % (137 if exit_code is None else exit_code),
            shown,
            "Raise host_memory of the service, on the CPU its memory, or choose a smaller model, context or cache in main memory.",
        )
    if best is not None and cause is not Cause.UNKNOWN:
        return _diagnosis(best, told, shown)
    by_code = None if serving and exit_code == 2 else _of_exit_code(kind, exit_code, told if certain else "", shown)
    if by_code is not None:
        return by_code
    if best is not None and certain:
        return _diagnosis(best, told, shown)
    if exit_code is None:
        return diagnosis(Cause.UNKNOWN, "The log names no known cause.", shown)
    return diagnosis(Cause.UNKNOWN, f"The process ended with exit code {exit_code}, and its log names no known cause.", shown)


def _diagnosis(found: Found, told: str, shown: t.Sequence[str]) -> Diagnosis:
    refused = found.rule.cause is not Cause.UNKNOWN and found.rank < _NOTICE_PENALTY and _RIGHTS.search(told)
    permanent = True if refused else found.rule.permanent
    return replace(diagnosis(found.rule.cause, told, shown, found.rule.remedy, permanent), quoted=True)


def _of_exit_code(kind: str, exit_code: int | None, told: str, shown: t.Sequence[str]) -> Diagnosis | None:
    """What the exit code tells where the log does not."""
    quoted = bool(told)
    if exit_code == 2 and kind == "vllm":
        return replace(diagnosis(Cause.BAD_FLAG, told or "The engine refused its arguments (exit code 2).", shown), quoted=quoted)
    if exit_code in (126, 127):
        message = told or f"The container's program could not be run (exit code {exit_code})."
        return replace(diagnosis(Cause.BAD_FLAG, message, shown, docker.ENTRYPOINT), quoted=quoted)
    if exit_code == 132:
        message = "The processor of this host lacks an instruction that the program uses (exit code 132, SIGILL)."
        return diagnosis(Cause.RUNTIME_MISSING, message, shown, gpu.CPU_ARCH)
    if told:
        return None
    if exit_code == 137:
        message = "The process was killed (exit code 137): by hand, by a stop that took too long, or by the kernel because memory ran out."
        return diagnosis(Cause.UNKNOWN, message, shown, "See 'journalctl -k' for 'Out of memory', and 'journalctl -u' of the unit.")
    if exit_code == 3 and kind == "litellm":
        message = "LiteLLM did not start (exit code 3), and its log names no known reason."
        return diagnosis(Cause.UNKNOWN, message, shown, "The reason is at the end of the last long line of 'journalctl -u' of the unit.")
    if exit_code == 0 and kind == "vllm":
        return diagnosis(Cause.UNKNOWN, "The engine ended by itself with exit code 0, which vLLM does when its engine process dies.", shown)
    return None


# --- searching -------------------------------------------------------------------------------------------------------


def find(kind: str, lines: t.Sequence[str], exit_code: int | None = None) -> Found | None:
    """The rule by which a log is judged; None where only the exit code can tell."""
    return _best(kind, read(lines), exit_code)


def _best(kind: str, entries: t.Sequence[Entry], exit_code: int | None) -> Found | None:
    best = _search(kind, entries)
    if best is None or best.rank > Rank.CERTAIN:
        for separator in (" ", ""):
            wrapped = _search(kind, _joined(entries, separator))
            if wrapped is not None and wrapped.rank == Rank.CERTAIN:
                return wrapped
    if exit_code is not None and exit_code not in _ENDED_BY_OTHERS and (best is None or best.rank >= Rank.VAGUE):
        best = _by_last_word(kind, entries) or best
    if best is not None and best.rank > Rank.CERTAIN and exit_code in _ENDED_BY_OTHERS:
        return None
    return best


def _best_of_serving(kind: str, entries: t.Sequence[Entry], exit_code: int | None) -> Found | None:
    dies = next((number for number, entry in enumerate(entries) if _DIES.search(entry.text)), 0)
    # Entries keep their numbers: the message is told by them.
    best = _best(kind, [*[_SILENT] * dies, *entries[dies:]], exit_code) if dies else None
    if best is None or best.rule.rank is Rank.VAGUE:
        best = _best(kind, entries, exit_code)
    if best is None:
        return None
    seems = best.rule.cause is Cause.BAD_MODEL or (best.rule.rank >= Rank.FAMILY and best.rule.cause in _OF_CONFIGURATION)
    return best._replace(rule=_OF_SERVING) if seems else best


def _by_last_word(kind: str, entries: t.Sequence[Entry]) -> Found | None:
    """What a program says last before it ends by itself with an error is its error, in whichever form it says it."""
    said = [number for number, entry in enumerate(entries) if entry.text.strip() and not entry.source and not entry.notice]
    if not said:
        return None
    number = said[-1]
    # The rules for vLLM know many words that are no complaint by themselves.
    if not (entries[number].complains if kind == "vllm" else entries[number].is_trouble):
        return None
    last: list[Entry] = [*[_SILENT] * number, replace(entries[number], grave=True)]
    found = _search(kind, last)
    return found if found is not None and found.rank < Rank.VAGUE else None


def _search(kind: str, entries: t.Sequence[Entry]) -> Found | None:
    rules = [one for one in RULES if not one.kinds or kind in one.kinds]
    said = [number for number, entry in enumerate(entries) if entry.text and not entry.source]
    # Most of a log is no trouble, and a rule costs time: lines without any word of complaint come last, and not all of them.
    troubled = [number for number in said if entries[number].is_trouble or entries[number].frames]
    known = set(troubled)
    calm = [number for number in said if not entries[number].notice and number not in known]
    best: Found | None = None
    for number in _ends(_once(entries, troubled), _MOST_LINES) + _ends(_once(entries, calm), _MOST_LINES // 4):
        best = _judge(kind, rules, entries[number], number, best)
        if best is not None and best.rank == Rank.CERTAIN:
            break
    return best


def _once(entries: t.Sequence[Entry], numbers: t.Iterable[int]) -> list[int]:
    """Without the lines that say what one before them has said: among equals the first one counts anyway."""
    first: dict[tuple[object, ...], int] = {}
    for number in numbers:
        entry = entries[number]
        first.setdefault((entry.text, entry.notice, entry.grave, entry.frames), number)
    return list(first.values())


def _ends(numbers: list[int], most: int) -> list[int]:
    """The first of them, which hold the root cause, and the last ones, which hold the end."""
    return numbers if len(numbers) <= most else numbers[: most // 2] + numbers[-most // 2 :]


def _judge(kind: str, rules: t.Sequence[Rule], entry: Entry, number: int, best: Found | None) -> Found | None:
    penalty = _NOTICE_PENALTY if entry.notice else 0
    is_error = entry.is_error
    points_back = entry.points_back
    for one in rules:
        if best is not None and one.rank + penalty >= best.rank:
            continue
        by_manner = one.rank >= Rank.FAMILY
        if by_manner and ((not one.anywhere and not is_error) or (points_back and one.cause is not Cause.UNKNOWN)):
            continue
        match = one.pattern.search(entry.text, 0, _SAID_FIRST if by_manner else _SAID)
        if match and (one.applies is None or one.applies(match)):
            best = Found(one.rank + penalty, number, one)
    if entry.frames and entry.exception and not points_back and kind == "vllm" and (best is None or best.rank > Rank.STAGE):
        staged = python.by_stage(entry.frames, entry.exception)
        if staged is not None:
            best = Found(int(Rank.STAGE), number, staged)
    return best


def _joined(entries: t.Sequence[Entry], separator: str) -> list[Entry]:
    """Each line with the next, where a terminal or a logger has broken a long one in two."""
    result = []
    for entry, following in zip(entries, [*entries[1:], _SILENT]):
        broken = (
            len(entry.text) >= 40
            and not entry.source
            and not following.source
            and not following.notice
            and following.text
            and following.text == following.shown
            and not following.exception
            and not entry.text.endswith((".", "!", "?", ":"))
        )
        result.append(replace(entry, text=entry.text + separator + following.text.strip()) if broken else _SILENT)
    return result


# --- showing ---------------------------------------------------------------------------------------------------------


def _message(entries: t.Sequence[Entry], number: int) -> str:
    """The telling line, with what belongs to it below: validators and hub clients say the half of it in the next lines."""
    text = entries[number].text.strip()
    if re.search(r"validation errors? for \w+$|(?:Error|Exception)$|:$|Error: P\d{4}$|Client Error\.(?: \([^)]*\))?$", text):
        below = (one for one in entries[number + 1 : number + 5] if one.text.strip())
        more = []
        for one in below:
            if one.source or one.exception or (one.text != one.shown and one.who != entries[number].who) or one.notice or one.grave:
                break
            more.append(one.text.strip())
        if more:
            text = f"{text.rstrip(':')}: {' '.join(more[:2])}"
    return redact(text)[:600]


def _excerpt(entries: t.Sequence[Entry], number: int | None) -> list[str]:
    """The telling line with the lines after it, then the end of the log."""
    present = [index for index, entry in enumerate(entries) if entry.shown]
    chosen = set(present[-_TAIL:])
    if number is not None:
        chosen = set(present[-3:]) | {index for index in present if number - 1 <= index <= number + _CONTEXT_AFTER}
    return [entries[index].shown for index in sorted(chosen)]
