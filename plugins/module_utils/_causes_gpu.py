# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What CUDA, its driver, its compilers and its memory say, in whichever engine: they share these libraries."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import DRIVER_TOO_OLD, ENGINES, Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import DRIVER_TOO_OLD, ENGINES, Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_CUDA = "CUDA driver and runtime API, error strings"
_TORCH = "pytorch, c10/cuda and torch/cuda/__init__.py"

_COMPAT = (
    "The CUDA compatibility library in the image shadows the driver's own: do not set "
    "VLLM_ENABLE_CUDA_COMPATIBILITY, use a current image, reboot after a driver update."
)
_FABRIC = (
    "The GPUs of this host are connected by NVSwitch, and their fabric is not up. Install nvidia-fabricmanager in exactly the driver's "
    "version, start it ('systemctl status nvidia-fabricmanager'); it is tried again."
)
_NO_ACCOUNT = (
    "The user the container runs as has no name in the image, and a library asks for it. Leave --user out of container_extra_arguments, or "
    "set USER (any name) and HOME (a folder this user may write) in the model's env."
)
_GPU_ARCH = (
    "The image was not built for this GPU's compute capability. Choose an image that supports it (Jetson and "
    "Blackwell need their own builds), or a model and backend that run on this GPU."
)
_CPU_ARCH = (
    "The image needs processor instructions that this host lacks (AVX2 or AVX-512; in a virtual machine pass the host's CPU through), "
    "or is for another architecture. Choose an image for this processor."
)
_BROKEN_IMAGE = (
    "Libraries inside the image do not fit one another. Use an unchanged released image; leave out image_packages that replace torch, "
    "transformers or CUDA packages, and mounts over its Python packages."
)
_LACKS_PACKAGE = (
    'The image lacks a Python package that this model or option needs. Add it with image_packages (for example ["vllm[audio]==VERSION"]), '
    "or choose an image that has it."
)
_NO_COMPILER = (
    "The engine compiles a kernel at the start and cannot: the image lacks the compiler or headers for it. Use the full released image, or "
    "switch the compiling backend off in engine_args (another attention-backend or moe-backend, enforce-eager: true)."
)
_NO_NEIGHBOUR = (
    "Another process used or freed memory on the same GPU while this engine measured it. Start it again alone, or "
    "set kv-cache-memory-bytes in engine_args."
)
_FEWER_GPUS = (
    "The engine is to use more GPUs than the container has. Lower tensor_parallel_size (or pipeline-parallel-size, "
    "data-parallel-size), or give the service more 'gpus'."
)
_HOST_MEMORY = (
    "Main memory is not enough: free memory of this host (other engines, page cache), raise --memory of the container or 'memory' of a CPU "
    "service, or lower the KV cache and max_model_len."
)

RULES = (
    # The image and the driver, or the GPU, are not for each other
    rule(
        Cause.RUNTIME_MISSING,
        _CUDA,
        r"driver on your system is too old",
        r"driver version is insufficient for CUDA runtime",
        r"PTX was compiled with an unsupported toolchain",
        r"cudaErrorInsufficientDriver|CUDA_ERROR_UNSUPPORTED_PTX_VERSION|cudaErrorUnsupportedPtxVersion",
        r"forward compatibility is not supported",
        r"(?:requires|needs) (?:a )?(?:NVIDIA )?driver (?:version )?(?:>=|\d|at least)",
        remedy=DRIVER_TOO_OLD,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _CUDA,
        r"Error 80[34]\b",
        r"unsupported display driver ?/ ?\w+ driver combination",
        r"forward compatibility was attempted on non supported HW",
        r"cudaErrorCompatNotSupportedOnDevice|cudaErrorSystemDriverMismatch|CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        r"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        remedy=_COMPAT,
    ),
    rule(
        Cause.GPU_LOST,
        _CUDA,
        r"Error 802\b",
        r"system not yet initialized",
        r"cudaErrorSystemNotReady|CUDA_ERROR_SYSTEM_NOT_READY",
        r"[Ff]abric ?[Mm]anager",
        remedy=_FABRIC,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "CUDA toolchain: ptxas, nvcc, nvrtc; triton and flashinfer",
        r"no kernel image is available|kernel image is invalid|cudaErrorInvalidKernelImage|CUDA_ERROR_INVALID_IMAGE",
        r"named symbol not found|NVMLError_NotSupported",
        r"invalid device function",
        r"cudaErrorNoKernelImageForDevice|CUDA_ERROR_NO_BINARY_FOR_GPU|cudaErrorInvalidDeviceFunction",
        r"ptxas (?:fatal|error)|ptxas.*(?:is not defined for option|exit code|failed|non-zero exit status)",
        r"Value 'sm_\w+' is not defined for option",
        r"[Uu]nsupported (?:gpu|GPU|CUDA|cuda) (?:architecture|arch)\b|nvcc fatal|unsupported GPU architecture",
        r"invalid value for --gpu-architecture",
        r"(?:was|were) not (?:built|compiled) (?:for|with) (?:sm|SM|compute|this GPU|CUDA arch)",
        r"not compiled (?:for|with) (?:support for )?(?:sm|SM|compute|this GPU|your GPU|CUDA arch)",
        r"is not compatible with the current PyTorch installation",
        r"LLVM ERROR: .*(?:target|processor|sm_)|is not a recognized processor for this target|Cannot select: intrinsic %llvm\.nvvm",
        r"OutOfResources|out of resource: ",
        r"[Aa]rch conditional MMA instruction used without targeting",
        r"(?:sm|SM)_?\d+\w?(?: \([^)]*\))? (?:is|are) not supported|[Nn]ot supported on (?:sm|SM)_?\d",
        r"[Uu]nsupported (?:compute capability|SM|sm)\b",
        r"[Cc]ompute [Cc]apability.*(?:not supported|unsupported|no longer supported|too (?:low|old))",
        r"(?:[Oo]nly|[Rr]equires?|[Nn]eeds?|[Ss]upported on|[Aa]t least|[Mm]inimum)\b.*\b(?:Hopper|Ampere|Ada|Blackwell|Turing|SM ?\d+\w?"
        r"|sm_?\d+\w?)\b(?:.*\b(?:GPU|device|architecture|or (?:newer|later|above)|\+)|\b)",
        r"No supported CUDA architectures found|TORCH_CUDA_ARCH_LIST",
        r"(?:\.hpp|\.cuh?|csrc)\b.*(?:[Uu]nsupported arch|exit_code == 0|compil)",
        remedy=_GPU_ARCH,
        kinds=ENGINES,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "flashinfer, compilation_context.py and jit",
        r"\bSM ?\d+(?:\.\w+)? requires CUDA|requires CUDA (?:>=|version|Toolkit|\d)",
        r"CUDA \d[\d.]* (?:or (?:newer|later|above) )?is required",
        remedy=_GPU_ARCH,
        kinds=ENGINES,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        "CPython, pwdmodule.c",
        r"getpwuid\(\)|getpwnam\(\)|uid not found: \d",
        remedy=_NO_ACCOUNT,
        kinds=ENGINES,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "Linux, SIGILL; vllm/platforms/cpu.py",
        r"[Ii]llegal instruction|SIGILL|signal: illegal|[Ss]ignal 4\b|exit(?:ed with)? ?code:? -4\b",
        r"(?:AVX2|AVX-?512|AMX|avx\w*|NEON|sve)\b.*(?:not supported|required|unsupported|is needed|not available)",
        r"requires? (?:the )?(?:AVX|avx|NEON)",
        r"could not create a primitive",
        r"cannot execute binary file|rosetta error|qemu: uncaught target signal",
        remedy=_CPU_ARCH,
    ),
    rule(
        Cause.BAD_FLAG,
        _CUDA,
        r"invalid device ordinal|NVMLError_InvalidArgument",
        r"cudaErrorInvalidDevice\b",
        r"exceeds available (?:GPUs|devices)",
        r"is larger than the number of available GPUs",
        r"(?:GPUs?|devices?) (?:is|are) (?:required|requested|needed),? but only \d+",
        r"not enough (?:GPUs|available devices)|[Nn]umber of (?:GPUs|devices) .*(?:less|smaller) than",
        r"Duplicate GPU detected",
        r"Ray does not allocate any GPUs|Current node has only",
        r"local_rank \d+ .*(?:device count|out of bounds|>=)|out of bounds.*device_count|device_count .*(?:world size|local)",
        remedy=_FEWER_GPUS,
        kinds=ENGINES,
    ),
    # Memory, before the general errors of CUDA
    rule(Cause.OUT_OF_MEMORY, "vllm/v1/worker/gpu_worker.py", r"Error in memory profiling", remedy=_NO_NEIGHBOUR),
    rule(
        Cause.OUT_OF_MEMORY,
        "vllm/v1/worker/cpu_worker.py",
        r"Available memory on node \S+ .* is less than",
        r"[Nn]ot enough (?:system|host|main|CPU) memory|[Ii]nsufficient (?:system|host) memory",
        remedy=_HOST_MEMORY,
        permanent=False,
    ),
    rule(
        Cause.OUT_OF_MEMORY,
        f"{_TORCH}; ggml-cuda; vllm/v1/worker/utils.py",
        r"OutOfMemoryError",
        r"(?:CUDA|HIP|XPU|Cuda failure:?|NCCL[^:]*:|CUDA driver error:|GPU) .{0,30}out of memory",
        r"(?:CUDA|cuda|HIP) (?:driver )?error:? ?(?:2\b|.*out of memory)",
        r"CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED",
        r"CUDNN_STATUS_(?:ALLOC_FAILED|INTERNAL_ERROR_HOST_ALLOCATION)",
        r"cudaMalloc\w* failed|cudaHostAlloc .*fail|cudaHostRegister .*(?:fail|out of memory)|cudaMallocHost",
        r"Tried to allocate [\d.]+ [KMG]iB",
        r"Free memory on device",
        r"NvMapMemAlloc\w*: ?\d* ?error 12|NvMapMemAllocInternalTagged|NvMap.*(?:error 12|out of memory)",
        r"unable to allocate (?:CUDA|backend|ROCm|Vulkan)\S* ?buffer|failed to allocate (?:CUDA|compute|buffer|\S* ?KV|kv)",
        r"ggml_backend_\w*buffer_type_alloc_buffer|ggml_gallocr_reserve|alloc_tensor_range: failed",
        r"requires [\d.]+ [KMGT]i?B but only [\d.]+ [KMGT]i?B",
        r"model requires more (?:system|GPU) memory|requires more (?:system )?memory .*than is available",
        r"[Mm]emory allocation of size \d+ failed|(?:unable|failed) to allocate [\d.]+ ?(?:[KMG]i?B|bytes)",
        r"insufficient (?:GPU )?(?:memory|vram)|[Nn]ot enough (?:GPU|video|device|free)?[ -]?memory|ran out of memory",
        r"memory.{0,20}exhausted",
        r"llama runner (?:process has )?terminated\b.*signal: killed|llama-server.*signal: killed|runner.*signal: killed",
    ),
    rule(
        Cause.OUT_OF_MEMORY,
        "Linux, errno ENOMEM and SIGKILL",
        r"can't allocate memory|[Cc]annot allocate memory|\[Errno 12\]|std::bad_alloc|\bMemoryError\b",
        r"Out of memory: Killed process|(?:oom|OOM)[- ]?[Kk]ill|[Oo]ut [Oo]f [Mm]emory",
        r"terminated by signal 9|[Ss]ignal 9\b|SIGKILL|signal: killed|exit(?: ?code|code)?(?:[=:]| of| was)? ?-9\b|returned -9\b",
        r"mmap failed.*(?:memory|ENOMEM)|failed to (?:mmap|mlock).*memory|failed to map segment from shared object: Cannot allocate",
        remedy=_HOST_MEMORY,
    ),
    # The GPU cannot be used
    rule(
        Cause.GPU_LOST,
        f"{_CUDA}; {_TORCH}; NVML",
        r"NVML: Unknown Error",
        r"NVMLError_(?!InvalidArgument|NotSupported)\w+|NVML/RM version mismatch",
        r"NVML Shared Library Not Found|Failed to initialize NVML|Can't initialize NVML",
        r"GPU is lost|fallen off the bus|\bXid\b",
        r"no CUDA-capable device|No CUDA GPUs are available|Found no NVIDIA driver",
        r"[Nn]o (?:usable |compatible |available )?(?:GPU|CUDA device|accelerator)s? (?:is |are |was |were )?(?:available|found"
        r"|detected)",
        r"has no GPU available|no NVIDIA GPU|[Nn]o (?:CUDA|HIP|XPU) (?:GPUs|devices)|(?:accelerator|device) when none is available",
        r"no pinned memory allocator|CUDA is not available",
        r"Failed to infer device type|CUDA driver initialization failed|CUDA (?:unknown error|initialization error|initialization: )",
        r"libcuda\.so(?:\.1)?: cannot open|lib(?:cuda|nvidia-ml)\.so\.1.*(?:not found|cannot open)",
        r"couldn't communicate with the NVIDIA driver",
        r"device error: \S+: unknown device|cudaGetDeviceCount\(\)|CUDA-capable device\(s\) is/are busy",
        r"cuInit\S* (?:failed|returned|err)",
        r"CUDA (?:driver )?error: (?!operation not permitted when stream|CU(?:BLAS|DNN)_STATUS_(?:NOT_SUPPORTED|ARCH_MISMATCH))",
        r"CUDA error \d+|CUDA runtime error",
        r"block: \[\d+,\d+,\d+\], thread: \[\d+,\d+,\d+\] Assertion",
        r"Triton Error \[CUDA\]: (?!operation not permitted)|an illegal (?:memory access|instruction) was encountered|NVML_SUCCESS == ",
        r"cudaError(?:Unknown|NoDevice|InitializationError|DevicesUnavailable|IllegalAddress|LaunchFailure|ECCUncorrectable"
        r"|LaunchTimeout)",
        r"CUDA_ERROR_\w+|Cuda failure|unhandled cuda error",
        r"CU(?:BLAS|DNN|SOLVER|SPARSE)_STATUS_(?!NOT_SUPPORTED|ARCH_MISMATCH)\w+",
        r"uncorrectable (?:ECC|NVLink) error|device not ready",
        r"cannot find (?:any )?(?:GPU|CUDA) devices|Device string must not be empty|Unspecified device|invalid CUDA_VISIBLE_DEVICES",
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _CUDA,
        r"CU(?:BLAS|DNN)_STATUS_(?:NOT_SUPPORTED|ARCH_MISMATCH)",
        remedy=_GPU_ARCH,
    ),
    # The image itself
    rule(
        Cause.RUNTIME_MISSING,
        "glibc dynamic linker; Python import",
        r"undefined symbol",
        r"version [`']?(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+'? not found",
        r"lib(?!cuda\.so|nvidia-ml)[\w+-]+\.so[\w.]*: cannot open shared object file",
        r"error while loading shared libraries",
        r"cannot import name '",
        r"object has no attribute '(?:rms_norm|silu_and_mul|rotary_embedding|init_cpu_\w+|gelu\w*)'|_OpNamespace.* has no attribute",
        r"module '[\w.]+' has no attribute '|compiled without CUDA|Torch not compiled with CUDA",
        r"operator \S+::\S+ does not exist|Could not run '\S+::\S+' with arguments from the ",
        r"DLL load failed|binary incompatib|numpy\.dtype size changed|compiled using NumPy 1|incompatible function arguments",
        r"(?:package|requirement|dependency)\b.*(?:version|requires?)\b.*(?:but|found|conflict|is required for a normal functioning)",
        remedy=_BROKEN_IMAGE,
        kinds=ENGINES,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "Python import; transformers, dynamic_module_utils.py; vllm, lazy imports",
        r"No module named '?",
        r"(?:requires|needs) the following packages that were not found",
        r"(?:requires|needs|using|use|for|enable)\b.{0,80}\b(?:pip|uv pip|apt|conda) install",
        r"(?:[Pp]lease|[Yy]ou (?:need|can|should|may)(?: to)?|try|Run|run) ?(?:to )?(?:install|`?(?:uv )?pip install)",
        r"is not (?:installed|found)\b.{0,60}install|was not found in your environment",
        r"required (?:package|library|dependency)\b.{0,40}(?:missing|not)",
        r"Unable to import|Failed to import|Could not import|cannot import \S+(?: from|:)",
        remedy=_LACKS_PACKAGE,
        kinds=ENGINES,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "flashinfer, jit; triton, runtime/build.py; torch/_inductor",
        r"Failed to find C compiler",
        r"InvalidCxxCompiler|No working C\+\+ compiler|(?:g\+\+|gcc|cc|nvcc|ninja|cicc|c\+\+)['\"]?: (?:not found|No such file)",
        r"No such file or directory: '(?:\S*/)?(?:nvcc|ninja|gcc|g\+\+|cc|ptxas)'",
        r"\b(?:nvcc|[Nn]inja|gcc|g\+\+|ptxas)\b.{0,20}(?: not found| is required| is not available)",
        r"[Cc]ould not find (?:nvcc|CUDA installation)|CUDA_HOME(?:\b.*(?:not set|not exist)|: )|[Cc]annot find CUDA_HOME",
        r"fatal error: \S+\.h(?:pp)?: No such file|ninja: (?:build stopped|error)|subcommand failed|Ninja build failed",
        r"NVRTC(?:Error|_ERROR)|nvrtc: error|Error building extension|Compilation failed|toolkit headers are incompatible",
        r"cannot find -l(?:cuda|nvrtc|stdc)|ld returned 1 exit status|Assembler messages",
        r"CppCompileError|(?:gcc|g\+\+|c\+\+|nvcc|cicc|ninja)'.*returned non-zero exit status|\['?/usr/bin/gcc",
        remedy=_NO_COMPILER,
        kinds=ENGINES,
    ),
)

#: For an exit code that says the same.
CPU_ARCH = _CPU_ARCH
