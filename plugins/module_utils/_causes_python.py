# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What kind of error an unknown one is, from the type of the exception, its words, and the files it came through."""

from __future__ import annotations

import re
import typing as t

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import PERMANENT, Cause, Rank, Rule, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import PERMANENT, Cause, Rank, Rule, rule  # type: ignore[import-not-found,no-redef]

_FAMILY = "vllm: messages by the folder that raises them"
_ENGINES = ("vllm",)
_LLAMA = ("llama_cpp", "ollama")
_OTHERS = (*_LLAMA, "litellm", "docker")

_FILE = (
    "A file or folder that the engine needs is not there in the container. Correct the path in engine_args or env, or mount it "
    "(a /tmp as well)."
)
_FORBIDDEN = (
    "Docker's security profile does not let the container make this system call. Switch off in engine_args what needs it (the lines "
    "above name it), or use another image."
)
_COMPILE = (
    "A kernel could not be compiled for this GPU. Use an image built for it, or switch compilation off (enforce-eager: true in "
    "engine_args); delete the compile cache below inference_data_dir if it comes from another image."
)
_ADAPTER = "A LoRA adapter cannot be used. Check its path, its rank (max-lora-rank) and that it was made for this model."
_LACKS_PACKAGE = (
    "The image lacks a Python package or holds one in another version. Use an unchanged released image, or add it with image_packages."
)
_NO_KERNEL = (
    "This image has no kernel for what the model needs on this GPU. Use an image built for this GPU, another quantisation or backend, "
    "or another model."
)
_OTHER_DIED = (
    "Another process of the engine has ended or does not answer; its own message is above, if it had one. It is tried again: look into "
    "'journalctl -k' for processes that the kernel killed because memory ran out, and for Xid errors of the GPU."
)
_CRASHED = (
    "The program crashed in its machine code. Look into 'journalctl -k' for Xid errors of the GPU, then use another release of the image; "
    "in engine_args, enforce-eager: true leaves out what it compiles itself."
)
_UNSUPPORTED_MODEL = (
    "This engine cannot use the model as it is. Compare the model's page with the version of the image: use a newer image, another "
    "revision or quantisation, or another model."
)

_ANYTHING = re.compile(r"(?:[\w.]*\.)?(?:RuntimeError|OSError|Exception|EngineDeadError|TimeoutError)\b|Worker failed")
#: Words of what a program cannot do, as against what went wrong this time.
_DETERMINED = re.compile(
    r"not support|[Uu]nsupport|\bmust\b|[Cc]annot\b|can't|[Ee]xpected|[Rr]equire|[Ii]nvalid|\bshould\b|[Mm]ismatch|[Mm]issing"
    r"|not implemented|does not|doesn't|\bonly\b|compatible|not available|not enabled|not allowed|INTERNAL ASSERT|[Cc]heck failed"
    r"|[Aa]ssertion|\b(?:less|greater|larger|smaller|longer|more) than\b|\bexceeds|divisible|different from|equal size|is not on"
    r"|[Ii]nconsistent|negative|out of range|ensure|[Ff]ailed to apply|[Ff]ailed to initialize|[Uu]nexpected|[Cc]orrupt|[Dd]amaged"
    r"|\b[Nn]eeds?\b|[Uu]nknown (?!error)|[Uu]ndefined|[Uu]nrecogni[sz]ed|no longer"
    r"|not (?:found|enough|defined|recogni[sz]ed|valid)\b(?!.*memory)"
    r"|\btoo (?:large|small|old|new|long|many|few)\b|is None\b|is empty\b|[Uu]nable to (?:find|determine|parse|load|read|infer|convert)"
    r"|[Ff]ailed to (?:load|parse|find|determine|infer|convert|compile|build|decode|import)|\bnan\b|\bNaN\b|\balready\b"
    r"|[\w)\]] (?:[<>]=?|[!=]=) [\w(\[]"  # a condition that does not hold
)

#: The same of programs that say as often what a network or a neighbour did to them: those words count more.
_SETTLED = (
    r"not support|[Uu]nsupported|[Ii]nvalid|[Uu]nknown (?:option|flag|key|field|name|type|runtime|driver|command|argument)|not allowed"
    r"|[Mm]alformed|[Mm]ismatch|[Ii]ncompatible|[Uu]nrecogni[sz]ed|[Cc]orrupt|[Tt]runcated|[Uu]nexpected (?!EOF|status|error|signal)"
    r"|[Dd]uplicate|[Ff]ailed to (?:parse|decode|unmarshal|convert)|out of (?:range|bounds)|too (?:large|small|old|long|many)|[Ee]mpty"
    r"|overflow|not enough"
    r"|(?:must|should) (?:be|not|have|contain)|[Nn]o such (?:file|volume|driver|plugin|option)|is required|[Rr]equires"
    r"|profile \S+ not found"
    r"|[Cc]an ?not (?:be|parse|convert|unmarshal|use|find|open|map|read)"
    r"|not (?:valid|implemented|installed|defined|recognized)|is not an?\b|does not (?:exist|match|support)|undefined|[Mm]issing"
)
_MAY_PASS = re.compile(
    r"(?i)time[ds]? ?out|temporar|\bagain\b|retr(?:y|ied)|refused|\breset|busy|unavailable|deadline|in use|already|connect|\beof\b|memory"
    r"|unreachable|resolve|\b(?:429|5\d\d)\b|aborted|killed|no such host|transport"
)
_OF_THE_MODEL = r"\b(?:model|tensor|gguf|GGUF|weight|vocab\w*|tokenizer|architecture|quant\w*|layer|blob)s?\b"
_SETTLED_KIND = "any program: what it cannot do"


def _cannot_pass(match: re.Match[str]) -> bool:
    """Whether nothing in the line may have been otherwise a moment later."""
    return not _MAY_PASS.search(match.string)


def _can_be_told(match: re.Match[str]) -> bool:
    """Whether the words tell what the program cannot do; a RuntimeError may as well be what went wrong this time."""
    return not _ANYTHING.match(match.string) or bool(_DETERMINED.search(match.string))


#: The last file of a traceback that matches tells at which work the engine was.
STAGES: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (re.compile(r"/(?:huggingface_hub|hf_xet|httpx2?|httpcore2?|requests|urllib3|aiohttp)/"), Cause.DOWNLOAD_FAILED),
    (re.compile(r"/(?:triton|torch/_inductor|torch/_dynamo|flashinfer/jit|tilelang|cutlass|quack)/"), Cause.RUNTIME_MISSING),
    (re.compile(r"/torch/cuda/|/pynvml"), Cause.GPU_LOST),
    (re.compile(r"/vllm/(?:lora|reasoning|tool_parsers|entrypoints|parser|plugins)/"), Cause.BAD_FLAG),
    (
        re.compile(r"/vllm/(?:model_executor/(?:models|model_loader|layers)|models|transformers_utils|tokenizers|multimodal)/"),
        Cause.BAD_MODEL,
    ),
    (re.compile(r"/(?:transformers|tokenizers|safetensors|sentencepiece|mistral_common|compressed_tensors|timm)/"), Cause.BAD_MODEL),
    (
        re.compile(
            r"/vllm/(?:config/|engine/arg_utils|utils/argparse|platforms/|v1/attention|v1/spec_decode|v1/executor|distributed/kv_transfer)"
        ),
        Cause.BAD_FLAG,
    ),
)

RULES = (
    rule(
        Cause.GPU_LOST,
        "pytorch, c10/cuda; triton; deep_ep",
        r"\b(?:CUDA|HIP)(?: \w+)? (?:error|ERROR)\b|Triton Error \[CUDA\]|\bcudaError[A-Z]|CUDA call failed lazily|DeferredCudaCallError"
        r"|No supported device detected",
        kinds=_ENGINES,
        rank=Rank.FAMILY,
        applies=lambda match: "stream is capturing" not in match.string and "cudaErrorStreamCapture" not in match.string,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "flashinfer; pytorch, utils/cpp_extension.py",
        r"versions? \(?\S+\)? (?:does not|doesn't) match|[Vv]ersion mismatch|mismatches the version|[Ii]ncompatible version",
        r"\.so[.\d]*: cannot open shared object|'NoneType' object is not callable",  # what stands for a part that could not be imported
        r"_\w*Action\.__init__\(\)|\b_C(?:::\w+)?'",
        r"name '_?\w*_(?:C|ops)' is not defined|libcud\w+\.so (?:cannot|is not)|event loop is already running",
        remedy=_LACKS_PACKAGE,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.BAD_MODEL,
        "vllm/multimodal/processing",
        r"\w(?:Processor|Tokenizer\w*)\b(?! object)",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(Cause.BAD_FLAG, "vllm/lora", r"(?i:\blora|lora\b|\bpeft\b)", remedy=_ADAPTER, kinds=_ENGINES, rank=Rank.FAMILY),
    rule(
        Cause.RUNTIME_MISSING,
        "flashinfer and tvm; deep_gemm; optional parts of vLLM",
        r"Check failed: |Assertion error \(|\bAssertion .* failed",
        r"operation not permitted when stream is capturing|cudaErrorStreamCapture\w+",
        kinds=_ENGINES,
        remedy=_UNSUPPORTED_MODEL,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "vllm, optional parts",
        r"RuntimeError: [\w. -]{2,40} (?:is|are) not (?:available|installed|built|enabled)\b",
        kinds=_ENGINES,
        remedy=_LACKS_PACKAGE,
        rank=Rank.FAMILY,
    ),
    rule(Cause.BAD_FLAG, "vllm/platforms/cuda.py", r"'(?:MIG|GPU)-[0-9a-f-]{8,}|device < num_gpus", kinds=_ENGINES, rank=Rank.FAMILY),
    rule(
        Cause.BAD_MODEL,
        "CPython, messages of the interpreter itself",
        r"too many values to unpack|not enough values to unpack|not (?:subscriptable|iterable|hashable)|unhashable type"
        r"|'(?!None)\w+' object is not callable|unsupported operand type|index out of range|substring not found"
        r"|invalid literal for|could not convert|must be str, not|can only concatenate|NoneType|expected Tensor as element",
        r"object does not support|division by zero|dictionary changed size|maximum recursion",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "triton, torch inductor, flashinfer, tvm",
        r"(?:BackendCompilerFailed|InductorError|CompilationError|LoweringException|OutOfResources|TritonError|PassManager|DSL\w*Error"
        r"|NoValidChoicesError|TorchRuntimeError)\b",
        r"autotun\w+|Internal Triton PTX codegen error|LLVM|(?i:mlir)|[Cc]ompil\w+ (?:failed|error)|failed to compile|JIT compilation",
        r"torch\._dynamo\.exc|torch\._inductor|torch\.fx\.",
        remedy=_COMPILE,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.BAD_MODEL,
        _FAMILY,
        r"TypeError: .*(?:positional argument|unexpected keyword|multiple values|required keyword|invalid combination of arguments"
        r"|instantiate abstract)",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _FAMILY,
        r"\b(?:[Kk]ernels?|\w*(?:GEMM|gemm|cublas\w*))\b.*(?:\bcannot|\bnot\b|\bno\b|fail)",
        r"(?:\b[Cc]annot|\b[Nn]ot|\b[Nn]o\b|[Ff]ail|[Ee]rror)\w*\b.*\b(?:kernels?|GEMM)\b|build does not support",
        r"\bError Internal\b|Error in function '\w+' at \S+\.(?:h|hpp|cuh?|cpp)\b|[Dd]evice does not support",
        r"\b(?:compute capability|sm_\d+|SM\d+|CUDA (?:version|>=|\d)|CUDA arch|GPU arch\w*|ROCm|XPU|this (?:GPU|device|hardware"
        r"|platform)|current (?:GPU|platform|device))\b.*(?:support|require|only|not)",
        r"(?:support|require|only|not)\w*\b.*\b(?:compute capability|sm_\d+|SM\d+|CUDA (?:version|>=|\d)|CUDA arch|GPU arch\w*"
        r"|(?:this|current|your) (?:GPU|platform|device|hardware))\b",
        remedy=_NO_KERNEL,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
    ),
    rule(
        Cause.BAD_FLAG,
        _FAMILY,
        r"(?:^|[\s`'\"(])--[a-z][a-z0-9-]{2,}",
        r"\b(?:VLLM|NCCL(?!_DEBUG|_ERROR)|TORCH|CUDA(?!_ERROR)|HF|PYTORCH|FLASHINFER)_[A-Z_]{3,}",
        r"\b(?:[Tt]ensor|[Pp]ipeline|[Dd]ata|[Ee]xpert|[Cc]ontext|[Ss]equence)[ _-][Pp]arallel",
        r"\b(?:tp|pp|dp|ep|dcp|pcp)_(?:size|rank)\b|world_?size\b|\bdivisible\b",
        r"(?:visible|available|local|required) (?:devices|[Gg][Pp][Uu]s?)\b|\b(?:TP|PP|DP|EP|DCP|PCP)\b|[Kk][Vv][ _-]?cache",
        r"'\w*(?:Proposer|Connector\w*|Executor\w*|Communicator|Manager|Scheduler|Worker\w*|Logger|Runner)' object has no attribute",
        r"(?<![a-zA-Z])(?:[Pp]refix[ -]cach|[Cc]hunked prefill|chunked MM|CUDA ?[gG]raph|cuda[ _]?graph|cudagraph|compilation"
        r"|torch\.compile|inductor|[Ss]cheduler|[Ee]xecutor|[Cc]onnector|kv_role|KV transfer|kv_transfer|[Oo]ffload|[Ss]leep mode"
        r"|[Pp]ooling|[Pp]ooler|[Rr]unner|elastic EP|EPLB|DBO|ubatch|batch[ _]invarian|async[ _]scheduling|draft_model|structured output"
        r"|guided decoding|logits processor|multi-node|load balanc|api server|API server|beam|prompt embeds?|encoder-decoder|speculative"
        r"|profil|metrics|tracing|otlp|watermark|NIXL|UCX|LMCache|[Mm]ooncake)",
        r"\b(?:max|min|num)_[a-z_]*(?:tokens|seqs|len|loras?|batch|blocks?|requests|threads|workers)\b",
        r"\b(?:\w*block_size|gpu_memory|kv_cache_dtype|swap_space|cpu_offload|load_format|dtype|seed|port|host|ssl|uds|api_key"
        r"|root_path)\b",
        r"\bbackends?\b|\bplatform\b|\bplugins?\b|\benvironment variable|\bargument\b|\boption\b|\bflag\b",
        kinds=_ENGINES,
        rank=Rank.FAMILY,
        applies=_can_be_told,
    ),
    rule(
        Cause.BAD_MODEL,
        _FAMILY,
        r"\b(?:weights?|checkpoints?|safetensors|state_dict|tensors?|params?|parameters?|layers?|modules?|architectures?|config\w*"
        r"|tokenizers?|tokens?|processors?|rope|RoPE|vocab\w*|embeddings?|experts?|heads?|hidden\w*|activations?|quant\w*|model\w*"
        r"|shapes?|dim\w*|\w+_edge|pixels?|patch(?:es|_size)?|keys|modalit\w+|image|audio|video|vision|MoE|Mamba|MLA|template)\b",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.FAMILY,
        applies=_can_be_told,
    ),
    rule(
        Cause.UNKNOWN,
        "CPython, multiprocessing",
        r"^(?:[\w.]*\.)?(?:EOFError:?$|BrokenPipeError|ConnectionRefusedError|ConnectionAbortedError|ChildProcessError|ProcessLookupError)",
        r"^(?:[\w.]*\.)?(?:BrokenProcessPool|BrokenExecutor|ActorDiedError|ActorUnavailableError|WorkerCrashedError|RayActorError)\b",
        r"^(?:[\w.]*\.)?(?:CancelledError|BrokenBarrierError|InterruptedError|KeyboardInterrupt)\b",
        remedy=_OTHER_DIED,
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.BAD_MODEL,
        _FAMILY,
        r"^(?:[\w.]*\.)?(?:AssertionError|NotImplementedError|KeyError|AttributeError|IndexError|UnicodeDecodeError|JSONDecodeError"
        r"|TypeError|NameError|SyntaxError|ZeroDivisionError|UnboundLocalError|OverflowError|LookupError|EOFError|StopIteration|RecursionError)\b",
        r"^RuntimeError: '\w+' object has no attribute ",  # as a parent repeats it
        r"(?:^|[\s.])(?!File|Module)\w*(?:NotFound|NotSupported|Unsupported|Invalid)\w*(?:Error|Exception): ",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.BAD_FLAG,
        "Python, errors of files",
        r"^(?:FileNotFoundError|NotADirectoryError|IsADirectoryError)\b",
        remedy=_FILE,
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "Linux, errno EPERM",
        r"(?<!CUDA error: )(?<!\[CUDA\]: )[Oo]peration not permitted",
        remedy=_FORBIDDEN,
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.BAD_FLAG,
        _FAMILY,
        r"^(?:[\w.]*\.)?(?:ValueError|ValidationError|VLLMValidationError)\b",
        r"^\s*(?:Value error|Assertion failed|Input should be),? ",
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.BAD_MODEL,
        "pytorch, checks of shapes and types",
        r"^(?:[\w.]*\.)?RuntimeError: |expected scalar type|^(?:Expected|expected) ",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_ENGINES,
        rank=Rank.TYPE,
        applies=lambda match: bool(_DETERMINED.search(match.string)),
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "Python import",
        r"^(?:ImportError|ModuleNotFoundError)\b",
        remedy=_LACKS_PACKAGE,
        kinds=_ENGINES,
        rank=Rank.TYPE,
    ),
    rule(
        Cause.BAD_MODEL,
        _SETTLED_KIND,
        rf"{_OF_THE_MODEL}.*(?:{_SETTLED})|(?:{_SETTLED}).*{_OF_THE_MODEL}",
        remedy=_UNSUPPORTED_MODEL,
        kinds=_LLAMA,
        rank=Rank.TYPE,
        applies=_cannot_pass,
    ),
    rule(Cause.BAD_FLAG, _SETTLED_KIND, _SETTLED, kinds=_OTHERS, rank=Rank.TYPE, applies=_cannot_pass),
    rule(
        Cause.BAD_FLAG,
        "C++, std::exception::what",
        rf"what\(\): .*(?:{_SETTLED}|filesystem error)",
        kinds=_LLAMA,
        rank=Rank.FAMILY,
        anywhere=True,
        applies=_cannot_pass,
    ),
    rule(
        Cause.UNKNOWN,
        "Python, names of exceptions",
        r"(?:^|[\s.])[A-Z]\w*(?:Error|Exception): ?(?!Engine core initialization failed|Engine process failed|.*[Ss]ee root cause"
        r" above|.*[Ss]ee (?:the )?stack trace)\S",
        r"(?:panic|fatal error|EngineDeadError): ?\S",
        rank=Rank.VAGUE,
        anywhere=True,
    ),
    rule(
        Cause.UNKNOWN,
        "Linux, SIGSEGV and SIGABRT",
        r"[Ss]egmentation fault|SIGSEGV|SIGABRT|[Cc]aught signal \d+|core dumped|Fatal Python error|terminate called after",
        remedy=_CRASHED,
        rank=Rank.TYPE,
        anywhere=True,
    ),
    rule(Cause.UNKNOWN, "any program", r"\S", rank=Rank.VAGUE),
)


#: What the interpreter itself raises comes from the versions of the packages, not from a network or a GPU.
_OF_VERSIONS = frozenset({"AttributeError", "TypeError", "NameError", "ImportError", "ModuleNotFoundError", "UnicodeDecodeError"})


def by_stage(files: t.Sequence[str], exception: str = "") -> Rule | None:
    """What the files of a traceback tell about its exception: the last one that is known counts."""
    for file in reversed(files):
        for pattern, cause in STAGES:
            if pattern.search(file):
                return _STAGED[cause if cause in PERMANENT or exception not in _OF_VERSIONS else Cause.RUNTIME_MISSING]
    return None


_STAGED = {cause: rule(cause, _FAMILY, r"\S", rank=Rank.STAGE, kinds=_ENGINES) for _pattern, cause in STAGES}
