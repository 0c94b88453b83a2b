# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Reads a log: what each line says without its prefixes, how grave it is, and which lines are only a traceback's source.

A line that holds JSON becomes the lines of its message and of its stack trace: LiteLLM writes a whole failed start, 21,000 characters,
into one.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field, replace

_ANSI = re.compile(r"(?:\x1b|#033)\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]")  # #033: as syslog writes it
_LINE_LIMIT = 4000
_UNPACKED_LINES = 400

# What stands before a message, each as often as it comes. A traceback's indentation behind it is kept.
_WHO = (
    r"\([A-Za-z_][\w-]*(?: [a-z]+=[^\s)]+)*,? pid=\d+[^)]*\) ?"  # (EngineCore pid=71), (RayWorkerWrapper pid=7, ip=10.0.0.2)
    r"|\[(?:default\d*\]:\[)?rank\d+\]:?(?:\[[EWI]\d{3,4}[^\]]*\])? ?"
    r"|\[Stage-\d+\] ?"
)
_WHEN = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?:? ?(?:std(?:out|err) [FP] |\| )?"
    r"|(?:[^\W\d_]{3,4}\.?|\d{1,2}月) [ \d]\d \d\d:\d\d:\d\d \S+ [\w./@-]+(?:\[\d+\])?: ?"  # the month in any language
    r"|\d\d:\d\d:\d\d(?:\.\d+)? (?=[A-Z(\[])|- (?=[A-Z])"
    r"|(?:[a-z][\w.-]*-[a-z0-9]{5} )?\d\d:\d\d:\d\d - (?=[A-Z])|\d{4}-\d\d-\d\d \| "  # below a pod's name
    r"|(?:ERROR|CRITICAL|WARNING|INFO|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? ?"
    r"|\d+\.\d\d\.\d{3}\.\d{3} [EWIDT] (?:[a-z]+ +(?=\w+: ))?"  # llama.cpp
)
_WHERE = (
    r"\[?[\w./-]+\.(?:py|cpp|cc|go|rs):\d+\] ?|launcher: |docker: "
    r"|\[[A-Z]\w*Thread(?:-\d+)?\] \[[\w.]+\] (?:>>> ?)?"  # Python's thread and logger
    r"|(?:[\w-]+-\d+|[a-z][\w.-]*) +\| "  # docker compose
    r"|(?:- )?[a-z_][\w.]* - (?=(?:ERROR|CRITICAL|FATAL|WARNING|WARN|INFO|DEBUG) - )"  # Python's own format: a logger's name
)
_PREFIX = re.compile(rf"(?:{_WHO}|{_WHEN}|{_WHERE})")
_ONLY_PREFIXES = re.compile(rf"(?:{_WHO}|{_WHEN}|{_WHERE})*")
_RECORD = re.compile(r"\([A-Z][\w-]*(?: [a-z]+=[^\s)]+)* pid=\d+[^)]{0,40}\) (?:ERROR|CRITICAL|WARNING|INFO|DEBUG) \d\d-\d\d \d\d:")
#: A level counts as a prefix only where a logger's own marks follow it: "ERROR: ", "[ERROR] ", "ERROR - ", "LiteLLM:ERROR: x.py:1 - ".
_LEVEL_WORD = re.compile(
    r"(?:[A-Z][\w ]{0,20}:)?\[?(ERROR|CRITICAL|FATAL|SEVERE|WARNING|WARN|INFO|DEBUG|TRACE|ERR|NOTICE)\b"
    r"(?:\] ?|: {0,5}(?:[\w.]+:\d+ - )?| - | *\| ?(?:[\w.]+:[\w.<>]+:\d+ - )?)"
)
_FIRST_WORD = re.compile(r"(ERROR|CRITICAL|FATAL|WARNING|WARN|INFO|DEBUG|TRACE)\b\s+\S")
_LEVEL_IN = re.compile(r"(ERROR|CRITICAL|WARNING|INFO|DEBUG) .*")
_LETTER = re.compile(r"\[([EWI])\d{3,4} |\d{3}\.\d{3} ([EWIDT]) ")
_LETTERS = {"E": "ERROR", "W": "WARNING", "I": "INFO", "D": "DEBUG", "T": "TRACE"}
_LEVEL = re.compile(r"\blevel=(ERROR|WARN|INFO|DEBUG|error|warning|info|debug|fatal)\b|^\[GIN\]")
_MERE_NOTICE = frozenset({"WARNING", "WARN", "INFO", "DEBUG", "TRACE", "NOTICE", "warning", "info", "debug"})
_GRAVE = frozenset({"ERROR", "CRITICAL", "FATAL", "SEVERE", "ERR", "error", "fatal"})
# A client that tries again says so at whatever level.
_RETRIED = re.compile(
    r"thrown while requesting|[Rr]etrying in|will retry|[Rr]etry(?:ing)? \d+/|attempt \d+ of \d+ failed|Exception ignored in"
    r"|pip's dependency resolver"
)

#: Python's warnings, and what programs print in their manner; lines of glog (PyTorch) and of onnxruntime below an error.
_WARNED = re.compile(r"(?:(?:<[^>]*>|\S+):\d+: )?(?:(?:[A-Z]\w*)?Warning|warning): |\[[WI](?:\d{3,4} |:)")
#: What libraries print without any level, and go on.
_IN_PASSING = re.compile(
    r"\b(?:is|are|be) (?:deprecated|ignored)\b|[Ii]gnor(?:ed|e|ing) (?:the )?error|\b[Ff]all(?:ing|s)? ?back to\b|has no effect"
    r"|can yield errors|(?:may|will) (?:result in|lead to) (?:unexpected|incorrect)|will result in indexing errors"
    r"|Unrecognized keys in `rope|Unable to register cu\w+ factory|No module named 'vllm\._version'|were not used when"
    r"|which is incompatible\.$"
)
#: The last word of a program that has told the cause in another process, above.
_POINTS_BACK = re.compile(
    r"[Ss]ee (?:the )?(?:root cause|stack ?trace)|Engine core initialization failed|Engine process failed to start|Failed core proc"
    r"|\b(?:proc|process|[Ww]orker)\b.* died\b"
)

_TRACEBACK = re.compile(r"\s*(?:[+|] +)?Traceback \(most recent call last\)|^\s*[╭┌].*Traceback")
_FRAME = re.compile(r"^\s*(?:[+|] +)*File \"(?P<file>[^\"]+)\", line \d+|^\s*[\w/.-]+\.py\(\d+\): ")
_SOURCE = re.compile(r"^\s*raise [\w.]+(?:\(|$| from )|^\s*(?:\|\s*)?[\^~]+\s*$|^\s*[│╭╰┌└]|^\s+\.\.\.<\d+ lines?>\.\.\.")
_EXCEPTION = re.compile(r"^\s*(?:[+|] +)*(?P<type>(?:[A-Za-z_]\w*(?:\.|::))*[A-Za-z_]\w*)(?P<colon>: ?|$)(?P<text>.*)")
_EXCEPTION_NAME = re.compile(
    r"(?:Error|Exception|Exit|Interrupt|Timeout|Resources|Enabled|Refused|NotFound|Failure|Group|Warning)\w*$"
    r"|_(?:error|exception)$"
)
#: A parent process that repeats the words of its child.
_REPEATED = re.compile(
    r"^(?:[\w.]*\.)?\w*Error: (?:Worker failed with error|Call to \w+ method failed:) ['\"]?(?P<text>.*?)['\"]?"
    r"(?:, please check the stack trace above.*)?$"
)
_ERROR = re.compile(
    r"\s*(?:Value error|Assertion failed|Input should|Worker failed|\[?(?:ERROR|FATAL|CRITICAL|Error|error|fatal|panic|Fatal)\b)|"
    r"(?:\S+: ){1,3}(?:error|fatal|failed|Error)\b|.*\b(?:failed|Failed) with (?:error|exception)|terminate called"
    r"|.*: [A-Z]\w+(?:Error|Exception): |.*\bAssertion .* failed"
)
#: A line without any of these is no trouble: most of a log is spared the rules by it.
_TROUBLE = re.compile(
    r"(?i)err|exception|fail|fatal|abort|crash|panic|kill|denied|refus|reject|invalid|illegal|corrupt|mismatch|missing|unknown|unsupport"
    r"|unrecogn|unexpect|unable|unresolv|unavailable|unreachable|unauthor|unsatisf|cannot|can't|couldn't|could not|doesn't|does not|n't"
    r"|\bno[tn]?\b|must|should|only|requir|expect|exceed|too |out of|insufficient|than |already|limit|lost|timed? ?out|timeout|reset"
    r"|closed|broken|stale|gated|restricted|offline|expired|x509|tls|ssl|http|driver|\d{3}\b|nvmap|signal|ptxas|sm_|offloaded|n_ctx"
    r"|inference compute|xid|divisible|not\b|terminat|exit|dial|\[errno|proxy|login|token|oom|leak|undefined|conflict|overlap|duplicate"
)
_COMPLAINT = re.compile(
    r"(?i)error|fail|cannot|can't|unable|denied|refused|retry|timed out|timeout|not found|no such|unknown|unsupported|out of|insufficient"
    r"|no space|unreachable|reset by|exceed|no compatible|inference compute|offloaded|x509|lost|offline|too "
)
_MORE_COMPLAINT = re.compile(
    r"(?i)invalid|missing|mismatch|incompatible|undefined|unexpected|corrupt|malformed|\bmust\b|requires|not supported"
)
_CHAIN = ("During handling of the above exception", "The above exception was the direct cause")


@dataclass(frozen=True)
class Entry:
    """What one line of a log says; of a line of JSON there are several."""

    text: str  # without who, when and where
    shown: str  # as a person wants to read it
    who: str = ""  # the process that says it
    notice: bool = False  # a warning or less
    grave: bool = False  # called an error by its logger
    source: bool = False  # of a traceback, but not its message
    repeated: bool = False  # the words of another process: the files of this one's traceback tell nothing about them
    frames: tuple[str, ...] = field(default=(), repr=False)  # files of the traceback that ends here, outermost first

    @property
    def exception(self) -> str:
        """The type of the exception that this line tells, without its module."""
        match = _EXCEPTION.match(self.text)
        name = match.group("type").rsplit(".", 1)[-1] if match else ""
        return name if _EXCEPTION_NAME.search(name) else ""

    @property
    def points_back(self) -> bool:
        """Whether the line only says that the cause stands elsewhere: neither its words nor its place are about it."""
        return bool(_POINTS_BACK.search(self.text))

    @property
    def is_trouble(self) -> bool:
        """Whether the line may be worth the rules. Of what is told in passing, only what complains."""
        return bool((_COMPLAINT if self.notice else _TROUBLE).search(self.text))

    @property
    def complains(self) -> bool:
        """Whether the line has words of complaint, whatever else it is about."""
        return bool(_COMPLAINT.search(self.text) or _MORE_COMPLAINT.search(self.text))

    @property
    def is_error(self) -> bool:
        """Whether the line tells of an error, in whichever form programs do."""
        return self.grave or bool(self.exception) or bool(_ERROR.match(self.text))


def clean_line(line: str) -> str:
    """A log line as a person wants to read it: last state of a progress bar, no colours, no trailing blanks."""
    return _ANSI.sub("", line).rstrip("\r\n").rsplit("\r", 1)[-1].rstrip()


def read(lines: t.Sequence[str]) -> list[Entry]:
    """All that the lines say, in their order."""
    tracebacks = _Tracebacks()
    found: list[Entry] = []
    for line in lines:
        cleaned = clean_line(line)
        unpacked = _unpack(cleaned)
        if unpacked is None:
            found += [tracebacks.place(_entry(one)) for one in _parted(cleaned[:_LINE_LIMIT])]
            continue
        texts, level = unpacked
        for text in texts:
            one = _entry(text[:_LINE_LIMIT])
            if not one.source:
                one = replace(one, notice=one.notice or level in _MERE_NOTICE, grave=one.grave or level in _GRAVE)
            found.append(tracebacks.place(one))
    return found


def _parted(line: str) -> list[str]:
    """What several processes have written into one line, each by itself."""
    starts = [match.start() for match in _RECORD.finditer(line)]
    starts = [start for start in starts if line[:start].strip() and not _ONLY_PREFIXES.fullmatch(line[:start])]
    return [line[start:end] for start, end in zip([0, *starts], [*starts, len(line)])]


def _entry(shown: str) -> Entry:
    text, who, level = shown, [], ""
    while True:
        match = _PREFIX.match(text)
        if match:
            taken = match.group(0)
            if taken.startswith(("(", "[rank")):
                who.append(taken.strip())
            level = level or _LEVEL_IN.sub(r"\1", taken) if _LEVEL_IN.match(taken) else level
            letter = _LETTER.search(taken)
            level = level or (_LETTERS[letter.group(1) or letter.group(2)] if letter else "")
        else:
            match = _LEVEL_WORD.match(text)
            if not match:
                break
            level = level if level in _GRAVE else match.group(1)
        text = text[match.end() :]
    told = _LEVEL.search(shown)
    if told and told.group(1):
        level = told.group(1)
    elif level not in _MERE_NOTICE | _GRAVE:
        first = _FIRST_WORD.match(text)
        level = first.group(1) if first else ""
    notice = level in _MERE_NOTICE or bool(_RETRIED.search(text) or _WARNED.match(text))
    repeated = _REPEATED.match(text)
    if repeated:
        text, level = repeated.group("text"), level or "ERROR"
        if not _EXCEPTION_NAME.search(text.partition(":")[0]):
            text = f"RuntimeError: {text}"
    found = Entry(text.rstrip(), shown, "".join(who), notice, level in _GRAVE and not notice, repeated=bool(repeated))
    return replace(found, notice=True) if not found.is_error and _IN_PASSING.search(text) else found


class _Tracebacks:
    """Tells a traceback's frames and source from what it ends with, for each process that writes into the log."""

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}
        self._margin: dict[str, int] = {}  # by how much a report has moved all to the right
        self._after_frame: set[str] = set()

    def place(self, entry: Entry) -> Entry:
        who, text = entry.who, entry.text
        if _TRACEBACK.match(text):
            self._open[who] = []
            self._after_frame.discard(who)
            return replace(entry, source=True)
        frame = _FRAME.match(text)
        if frame:
            self._open.setdefault(who, []).append(frame.group("file") or "")
            self._margin[who] = max(len(text) - len(text.lstrip()) - 2, 0)
            self._after_frame.add(who)
            return replace(entry, source=True)
        if _SOURCE.match(text):
            self._after_frame.discard(who)
            return replace(entry, source=True)
        if who not in self._open:
            return replace(entry, source=text.lstrip(" |").startswith(_CHAIN))
        bare = text.strip()
        # Source stands four blanks and more to the right of what a traceback ends with.
        indented = len(text) - len(text.lstrip()) - self._margin.get(who, 0) >= (4 if entry.exception else 1)
        exception = _EXCEPTION.match(text)
        is_end = bool(bare) and not indented and exception is not None and (exception.group("colon") != "" or bool(entry.exception))
        # The line below a frame is its source, also where a report has lost the indentation.
        named = exception is not None and bool(exception.group("colon").strip())
        if indented or not bare or (who in self._after_frame and not (is_end and (bool(entry.exception) or named))):
            self._after_frame.discard(who)
            return replace(entry, source=True)
        frames = tuple(self._open.pop(who))
        self._after_frame.discard(who)
        self._margin.pop(who, None)
        return entry if entry.repeated else replace(entry, text=bare, frames=frames)


# --- JSON ------------------------------------------------------------------------------------------------------------

_FIELDS = ("message", "msg", "event", "log", "error", "detail", "err")
_TRACES = ("stacktrace", "stack_trace", "traceback", "exc_info", "exception", "stack")
_LEVELS = ("level", "levelname", "severity", "log_level")
_LOOSE = re.compile(r"\"({})\"\s*:\s*\"((?:[^\"\\]|\\.)*)".format("|".join(_FIELDS + _TRACES + _LEVELS)))
_ANY_FIELD = re.compile(r"\"(?:{})\"\s*:".format("|".join(_FIELDS + _TRACES)))
_BEFORE_JSON = re.compile(rf"(?:{_WHO}|{_WHEN}|{_WHERE}|[Ee]rror: |\S+ \| )*")


def _unpack(line: str) -> tuple[list[str], str] | None:
    """Lines and level of a JSON line; None where it is none."""
    start = line.find("{")
    if start < 0 or not _ANY_FIELD.search(line) or not _BEFORE_JSON.fullmatch(line[:start]):
        return None
    try:
        document = json.loads(line[start:], strict=False)
    except ValueError:
        # A driver of Docker's log cuts long lines, and a time may stand in the middle.
        document = {}
        for key, value in _LOOSE.findall(line[start:]):
            document.setdefault(key, _unescape(value))
    if not isinstance(document, dict):
        return None
    texts = [text for key in _FIELDS + _TRACES for text in _texts(document.get(key))]
    if not texts:
        return None
    level = next((str(document[key]).upper() for key in _LEVELS if document.get(key)), "")
    lines: list[str] = []
    for text in texts:
        lines += [clean_line(part) for part in text.split("\n")]
    # The reason stands at the end, with the message at the beginning.
    if len(lines) > _UNPACKED_LINES:
        lines = lines[: _UNPACKED_LINES // 4] + lines[-_UNPACKED_LINES * 3 // 4 :]
    return lines, level


def _texts(value: t.Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, dict):
        return [text for key in _FIELDS for text in _texts(value.get(key))]
    if isinstance(value, list):
        return ["".join(value)] if value and all(isinstance(part, str) for part in value) else []
    return []


def _unescape(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text.replace("\\n", "\n").replace('\\"', '"')
