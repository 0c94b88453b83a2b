# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What vLLM says. Its own last line only points back ("See root cause above"); these are the lines that tell."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_VLLM = ("vllm",)
_CONFIG = "vllm/config and vllm/engine/arg_utils.py"
_LOADER = "vllm/model_executor/model_loader"
_MODELS = "vllm/model_executor/models/registry.py"
_KV = "vllm/v1/core/kv_cache_utils.py"

_DTYPE = "This GPU cannot compute with this data type. Set dtype: half (float16) in engine_args, or choose another model or quantisation."
_QUANT_GPU = (
    "This GPU cannot compute with the model's quantisation. Choose a model quantised otherwise (AWQ, GPTQ, FP8 and NVFP4 each want "
    "their own GPUs), or another GPU."
)
_SPECULATIVE = "This vLLM or this model cannot do speculative decoding so. Correct or remove speculative-config in engine_args."
_BACKEND = (
    "The chosen backend cannot do what this model and GPU need. Remove that choice from engine_args (vLLM then picks one), or name "
    "another backend."
)
_NO_BACKEND = (
    "No attention backend of this vLLM supports this model on this GPU with these settings. Use a newer image, another quantisation or "
    "kv-cache-dtype, or another model."
)
_NO_KERNEL = (
    "No kernel in this image supports the model's quantisation on this GPU. Use an image built for this GPU (see its compute "
    "capability), or a model quantised otherwise."
)
_DIVIDE = (
    "The model's layers cannot be divided among so many GPUs. Choose another tensor_parallel_size that divides them (often 1, 2, 4 or "
    "8), or a model quantised with another group size."
)
_WEIGHTS = (
    "The model's files do not fit its configuration or this vLLM: they are incomplete, damaged, quantised in a form it does not know, or "
    "the model is newer than the image. Compare with the model's page, delete the model from the cache to fetch it again, or use a newer "
    "image."
)
_NEWER = (
    "This image does not know the model's architecture. Use a newer image (its transformers may be too old as well), or "
    "trust-remote-code in engine_args where the model's page asks for it."
)
_REMOTE_CODE = "The model brings code of its own. If you trust its author, set trust-remote-code: true in engine_args."
_DOT = (
    "The model's own code cannot be imported, mostly because of a dot in the name of its folder. Rename the folder, or use a newer image "
    "that knows the model."
)
_LFS = (
    "The file is a placeholder or an error page, not the model: it was copied without Git LFS, or a proxy answered. Fetch the model's "
    "real files again."
)
_TOKENIZER = (
    "The tokenizer cannot be read. Fetch the model's tokenizer files again, set tokenizer or tokenizer-mode in engine_args, or use a "
    "newer image."
)
_TEMPLATE = "The chat template cannot be used. Correct chat-template in engine_args: a path inside the container, or the template itself."
_ADAPTER = "A LoRA adapter cannot be used. Check its path, its rank (max-lora-rank) and that it was made for this model."
_RANK = (
    "A LoRA adapter has a higher rank than the engine makes room for: 16 unless told. Write max-lora-rank in the model's engine_args: the "
    "adapter's r in adapter_config.json, or the next of 8, 16, 32, 64, 128, 256, 320, 512."
)
_PARSER = "vLLM has no parser of this name. Correct tool-call-parser or reasoning-parser in engine_args; the line lists those that exist."
_YAML = "vLLM cannot read its configuration file. Correct engine_args; 'docker logs' shows the line."
_MAMBA = "The model's state does not fit so many requests. Lower max-num-seqs in engine_args, or raise 'memory' of the service."
_BATCHED = "Raise max-num-batched-tokens in engine_args to at least max_model_len (or what the line names), or lower max_model_len."
_RANKS = (
    "The processes of one engine do not reach each other. Over several hosts: check the network and firewall between them, VLLM_HOST_IP, "
    "NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME, and that every host has started the same image. It is tried again."
)
_INTERFACE = "No network interface of this name exists on the host. Correct NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME or VLLM_HOST_IP."
_SAME_GPU = (
    "Two processes of the engine would use the same GPU. Compare tensor_parallel_size and data_parallel_size with the GPUs of the "
    "service, and leave CUDA_VISIBLE_DEVICES out of its env."
)
_SLOW_RANK = (
    "Another process of this engine did not get ready in time: read the log above for what it waited for (a download, a compilation, a "
    "hung GPU)."
)
_LAYERS_OF_KV = (
    "The KV caches of this model's layers do not go together in this vLLM, often because of a KV connector, speculative decoding or "
    "block-size. Leave those out of engine_args, or use a newer image."
)
_SPAWN = (
    "CUDA was used before the engine's processes were split off. Set VLLM_WORKER_MULTIPROC_METHOD: spawn in the model's env, and leave "
    "out plugins that touch the GPU early."
)
_CLOCK_OF_KV = (
    "Too little memory remains for the KV cache, maybe because another engine was loading on the same GPU. Raise 'memory' of the "
    "service, or lower max_model_len or max-num-seqs."
)

RULES = (
    # KV cache and context
    rule(
        Cause.CONTEXT_TOO_LONG,
        _CONFIG,
        r"max_model_len \(?\d+\)? is greater than the derived",
        r"max_model_len=?\S* .*(?:greater|larger|longer) than (?:the )?(?:model's|derived|maximum)",
        r"longer than the maximum (?:model )?length|exceeds? the model's (?:maximum )?(?:context|max_position)",
        kinds=_VLLM,
    ),
    rule(
        Cause.KV_CACHE_TOO_SMALL,
        _KV,
        r"To serve at least one request with the models?'s max(?:imum)? seq(?:uence)? len",
        r"larger than the maximum number of tokens that can be stored in KV cache",
        r"KV cache is needed, which is larger than the available",
        r"estimated maximum model length is",
        r"KV cache (?:size|memory|space).*(?:too small|not enough|insufficient|not sufficient)|[Nn]ot enough KV cache",
        r"[Ii]nsufficient KV cache",
        r"kv_cache_memory\S* .*(?:too small|less than|not enough)|num_gpu_blocks\S* .*(?:too small|must be)",
        kinds=_VLLM,
    ),
    rule(Cause.KV_CACHE_TOO_SMALL, _KV, r"No available memory for the cache blocks", remedy=_CLOCK_OF_KV, kinds=_VLLM),
    rule(
        Cause.KV_CACHE_TOO_SMALL,
        "vllm/v1/worker/gpu_model_runner.py",
        r"(?:[Mm]amba|[Ss]tate|linear attention) cache blocks|exceeds available Mamba",
        r"max_num_seqs .*(?:exceeds|larger than) .*(?:blocks|cache)",
        remedy=_MAMBA,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/config/scheduler.py",
        r"max_num_batched_tokens \(?\d+\)? is (?:smaller|less) than",
        r"(?:larger|greater) than max_num_batched_tokens",
        r"max_num_batched_tokens .* must be (?:greater|larger|at least)",
        remedy=_BATCHED,
        kinds=_VLLM,
    ),
    # Processes of one engine, on one host or several
    rule(
        Cause.BAD_FLAG,
        "NCCL bootstrap; gloo transport",
        r"no socket interface found",
        r"Unable to find address for: ",
        r"[Nn]o interface found with the name|ifname .*(?:not found|does not exist)",
        remedy=_INTERFACE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "NCCL, ncclInvalidUsage",
        r"invalid usage(?: \(run with NCCL|$)|ncclInvalidUsage|NCCL_ERROR_INVALID_USAGE|Duplicate GPU detected",
        remedy=_SAME_GPU,
        kinds=_VLLM,
    ),
    rule(
        Cause.TIMEOUT,
        "pytorch, torch/csrc/distributed/c10d; NCCL",
        r"DistNetworkError|DistStoreError",
        r"The client socket has (?:timed out|failed to connect)|TCPStore.*(?:timeout|Timeout|failed)",
        r"[Tt]imed out initializing process group|store based barrier|RayChannelTimeoutError",
        r"NCCL_ERROR_(?:INTERNAL|SYSTEM|REMOTE)|[Tt]imed out .*(?:waiting for clients|TCPStore)|wait timeout after \d+ms",
        r"ncclRemoteError|ncclSystemError|NCCL error: (?:remote process|unhandled system|internal error)|unhandled system error",
        r"NCCL (?:timeout|communicator was aborted)|Watchdog caught collective operation timeout",
        r"connectFullMesh failed|Gloo .*(?:failed|timeout|Connection)|makeDeviceForHostname|Connection closed by peer \[",
        r"[Cc]onnect(?:ion)? to (?:rank|master|peer) .*(?:failed|refused|timed out)",
        remedy=_RANKS,
        permanent=False,
        kinds=_VLLM,
    ),
    rule(
        Cause.TIMEOUT,
        "pytorch, NCCLUtils.cpp: what NCCL says of it stands in the lines below",
        r"NCCL error in: .*(?:internal error|remote process)|ncclInternalError|DistBackendError|[Dd]istributed .*[Tt]imed? ?out",
        remedy=_RANKS,
        permanent=False,
        kinds=_VLLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.TIMEOUT,
        "vllm/v1/engine/utils.py",
        r"[Tt]imed out (?:after .{1,20})?waiting for (?:engine|worker|DP|all|core)",
        r"Did not receive response from front-end",
        r"startup (?:timeout|timed out)|did not (?:start|become ready|respond) (?:with)?in",
        r"RPC call to \w+ timed out",
        remedy=_SLOW_RANK,
        permanent=False,
        kinds=_VLLM,
        rank=Rank.WRAPPER,
    ),
    # Arguments that its parser refuses
    rule(
        Cause.BAD_FLAG,
        "Python argparse",
        r"(?:^|\s)[\w./-]+(?: serve)?: error: ",
        r"error: (?:unrecognized arguments|argument |ambiguous option|the following arguments)",
        r"unrecognized arguments: ",
        r"ArgumentTypeError|ArgumentError",
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/utils/argparse_utils.py",
        r"Only YAML format is supported",
        r"Config file not found|No config file specified|config file .*(?:not found|does not exist|is empty)",
        r"yaml\.(?:scanner|parser|reader|constructor)\.\w*Error|is not a valid YAML",
        remedy=_YAML,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/parser, vllm/entrypoints",
        r"invalid (?:tool call|reasoning) parser",
        r"(?:[Tt]ool|[Rr]easoning)\S* [Pp]arser '?\S+'? (?:not found|has not been registered|is not registered)",
        r"(?:[Uu]nknown|[Ii]nvalid|[Uu]nsupported) (?:tool|reasoning)\S* ?(?:call)?\S* ?parser",
        r"(?:[Tt]ool|[Rr]easoning)\S* [Pp]arser (?:could not|cannot|can't|requires|expects|must|failed)",
        r"enable-auto-tool-choice requires|requires --tool-call-parser|Tool parser .* not found|reasoning_parser .* (?:not|is)",
        remedy=_PARSER,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/entrypoints/chat_utils.py",
        r"chat template.*(?:\bnot?\b|invalid|error|path-like|looks like a file path|fail|doesn't exist)",
        r"chat_template .*(?:not|invalid)",
        r"jinja2\.exceptions\.\w+",
        remedy=_TEMPLATE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/lora/peft_helper.py",
        r"LoRA rank \d+ is greater than max_lora_rank",
        remedy=_RANK,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/lora",
        r"\b(?:LoRA|lora|[Aa]dapter)\b.*(?:not (?:found|exist|support)|rank|greater than|does not|failed|unexpected|expected"
        r"|unsupported|must|invalid|No )",
        r"adapter_config\.json|max_lora_rank|\b(?:modules_to_save|target_modules|lora_alpha|use_dora|use_rslora)\b",
        remedy=_ADAPTER,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG, "pytorch, torch/cuda/__init__.py", r"[Cc]annot re-initialize CUDA in forked subprocess", remedy=_SPAWN, kinds=_VLLM
    ),
    # GPU, data type, quantisation
    rule(
        Cause.BAD_FLAG,
        "vllm/platforms/cuda.py",
        r"[Bb]float16 is only supported on GPUs with compute capability",
        r"(?:dtype|data type|torch\.(?:b?float16|float32|bfloat16|half)|[Bb]float16|[Ff]loat16)\b.{0,40} (?:is|are) not"
        r" (?:recommended|supported)",
        r"[Uu]nknown dtype|not implemented for '(?:Half|BFloat16|Float8\w*|Char)'|does not support (?:bfloat16|float16|half)\b",
        r"only supports? (?:bfloat16|float16|bf16|fp16|half|fp8)\b",
        remedy=_DTYPE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        "vllm/config/model.py",
        r"quantization method \S+ is not supported for the current (?:GPU|platform|device)",
        r"Minimum capability: \d+",
        r"(?:FP8|fp8|NVFP4|NvFp4|MXFP4|AWQ|GPTQ|[Mm]arlin|Int8|INT8)\b.{0,60}(?:not supported on|requires compute capability|not"
        r" support\w* (?:the )?(?:current|this|your) (?:GPU|device|hardware))",
        remedy=_QUANT_GPU,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/config/speculative.py",
        r"speculative (?:method|model|decoding|config|draft)|[Ss]peculat(?:ive|or)\w*.*(?:not|must|unsupported|require|only|invalid)",
        r"num_speculative_tokens|[Dd]raft model.*(?:not|must|mismatch|support)",
        r"\b(?:MTP|mtp|EAGLE\d?|eagle\d?|[Mm]edusa|ngram|DFlash)\b.*(?:not (?:support|found|yet|contain|have)|require|must|unsupported)",
        r"does not (?:support|contain|have) (?:MTP|mtp|EAGLE|nextn)",
        remedy=_SPECULATIVE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/model_executor/layers/fused_moe/oracle; vllm/v1/attention/selector.py",
        r"(?:MoE|moe|[Aa]ttention|linear|GEMM|gemm|all2all|kernel) ?[Bb]ackend '?`?(?!selector)[A-Z_\d]{4,}'?`? (?:does not|is not"
        r"|cannot|requires|doesn't|only)",
        r"(?:moe_backend|linear_backend|attention_backend|mm_encoder_attn_backend|all2all_backend)\S*=?'?\S* (?:is not|does not"
        r"|requires|cannot|must|only)",
        r"Selected (?:\w+ )?(?:prefill |attention )?backend \S+ is not (?:valid|supported)",
        r"[Ii]nvalid (?:attention )?[Bb]ackend|is not a valid (?:AttentionBackendEnum|backend|attention backend)",
        r"[Uu]nknown (?:attention |MoE |moe )?[Bb]ackend|Backend \S+ must be registered|Unknown\S* backend",
        r"[Bb]ackend \S+ (?:is not supported|does not support|not supported)\b",
        r"(?:FLASH_?INFER|FLASH_?ATTN|TRITON|CUTLASS|MARLIN|FLASHMLA|XFORMERS)\w*(?:_[A-Z]+)* (?:backend )?(?:is not supported|does"
        r" not support|requires|only supports)",
        remedy=_BACKEND,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        "vllm/platforms/cuda.py",
        r"No valid (?:MLA |attention |prefill )*backend found",
        r"No (?:suitable|available|supported|compatible) (?:\w+ )?attention backend",
        r"[Hh]ead[_ ]size \d+ is not supported|[Uu]nsupported head[_ ](?:size|dim)|head_size .*not supported by",
        remedy=_NO_BACKEND,
        kinds=_VLLM,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "vllm/model_executor/layers/fused_moe/oracle; vllm/model_executor/kernels",
        r"No \w+ (?:MoE|moe|linear|GEMM) backend supports the deployment configuration",
        r"[Ff]ailed to find (?:a )?kernels? that can implement",
        r"No (?:compiled|suitable|available|valid|compatible|supported) (?:\w+ ){0,2}kernels?\b",
        r"No (?:valid )?(?:cutlass|CUTLASS|FP8|FP4|NVFP4|MoE|scaled_mm)\w* (?:kernel|tactic|implementation|GEMM)",
        r"[Ee]rror [Ii]nternal.*cutlass|cutlass.*(?:Error Internal|cannot implement|not supported)",
        r"(?:Flash(?:Attention|Infer|MLA)|DeepGEMM|deep_gemm|TRTLLM|trtllm)\b.*(?:only supports|requires|is not supported|not"
        r" available|not installed|unsupported)",
        remedy=_NO_KERNEL,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        _KV,
        r"[Hh]ybrid KV cache|KV cache spec|kv_cache_spec|[Cc]annot unify|page size of (?:the )?layer|[Pp]age size .*(?:cannot|not|unif)",
        remedy=_LAYERS_OF_KV,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/model_executor/layers; vllm/config/model.py",
        r"input_size_per_partition\b.*(?:not|is) |output_size_per_partition\b.*(?:not|is) ",
        r"not divisible by (?:min_thread|tp_size|tensor|the number of|weight quantization block|group_size|\d+ |tp)",
        r"must be divisible by (?:the )?(?:tensor|tp|TP|world|pipeline|number of)",
        r"is not divisible by\b",
        r"(?:attention|kv|KV|query|key|value)[_ -]?heads .*(?:must be )?divisible",
        r"intermediate_size\b.*divisible|shard.*(?:not|must be) divisible|can(?:not|'t) be (?:evenly )?(?:divided|partitioned|sharded)",
        r"[Tt]ensor parallel size \d+ is greater than the number of experts|too large tensor parallel size",
        remedy=_DIVIDE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        _CONFIG,
        r"[Qq]uantization method .*(?:does not match|is not supported(?! for the current))",
        r"(?:[Uu]nknown|[Ii]nvalid|[Uu]nsupported|[Uu]nrecognized) (?:quantization(?: method)?:|attention backend|kv.cache.dtype|dtype"
        r"|load.?format|tokenizer.?mode|runner|task|scheduling policy|distributed executor|speculative|pooling|convert|model.?impl"
        r"|config.?format|guided|structured|argument|option|vLLM environment)",
        r"Load format \S+ is not supported",
        r"gpu_memory_utilization must be|GPU memory utilization must be|gpu[_-]memory[_-]utilization .*(?:must|should|between)",
        r"World size .* is larger than the number of available",
        r"does not support `?--(?:runner|convert)|`--(?:runner|convert|task) \w+`",
        r"expandable segments|must be called before",
        r"(?:served[_-]model[_-]name|max[_-](?:num[_-]seqs|model[_-]len|num[_-]batched[_-]tokens)|block[_-]size|kv[_-]cache[_-]dtype"
        r"|(?:tensor|pipeline|data)[_-]parallel[_-]size|limit[_-]mm[_-]per[_-]prompt|kv[_-]transfer[_-]config|compilation[_-]config"
        r"|cudagraph[_-]\w+|async[_-]scheduling|hf[_-]overrides|device[_-]ids|nnodes|node[_-]rank)\b.{0,80}"
        r"(?:must|should|not supported|is not|cannot|can't|invalid|requires|incompatible|only|not compatible|not allowed)",
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_FLAG,
        "pydantic, errors of an argument's own type",
        r"\[type=(?!value_error|assertion_error)\w+, input_value=",
        kinds=_VLLM,
        rank=Rank.WRAPPER,
        anywhere=True,
    ),
    # The model
    rule(
        Cause.BAD_MODEL,
        _LOADER,
        r"git-lfs\.github\.com",
        r"HeaderTooLarge|InvalidHeader\w*|header too large|MetadataIncompleteBuffer|SafetensorError|safetensors_rust",
        r"invalid magic (?:number|characters)|[Uu]npicklingError|PytorchStreamReader|not a zip archive|file is (?:truncated|corrupt)",
        r"[Cc]orrupt(?:ed)? (?:file|model|checkpoint|safetensors)",
        remedy=_LFS,
        kinds=_VLLM,
        applies=lambda match: "No such file" not in match.string,
    ),
    rule(
        Cause.BAD_MODEL,
        f"{_MODELS}; transformers, configuration_auto.py",
        r"[Mm]odel architectures? .*(?:are|is|failed|could|not|has no)\b.*(?:support|inspect|found|registered|implement)",
        r"does not recognize this architecture",
        r"(?:[Mm]odel|[Aa]rchitecture)\b[^-]*? is not supported by (?:vLLM|this version)",
        r"architecture '?\S+'? is not supported|[Uu]nsupported (?:model )?architecture",
        r"GGUF model with architecture",
        r"[Uu]nrecognized (?:model in|configuration class|processing class|image processor|feature extractor)",
        r"has no vLLM implementation|[Nn]o (?:vLLM )?implementation .*(?:Transformers|compatible)",
        r"is not compatible with (?:vLLM|the Transformers backend)|[Aa]rchitecture \S+ (?:is )?not supported",
        r"[Mm]odel type '?`?\S+'?`? (?:is )?not (?:supported|recogni)|[Uu]nsupported model (?:type|format|class)",
        r"KeyError: '[a-z][a-z0-9]*(?:_[a-z0-9]+)*'$|only supports versions? ",
        remedy=_NEWER,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        _LOADER,
        r"[Ww]eights? .*(?:were|was|is|are|has|have) not (?:initialized|found|loaded|been loaded|used)",
        r"Cannot find any (?:of the )?model weights|cannot find weights|Error no file named",
        r"No (?:safetensors|weights?|\.bin|\.safetensors) (?:files? )?(?:found|could)",
        r"(?:There is )?[Nn]o module or parameter named|[Nn]o parameter named|Unexpected (?:key|weight|parameter)s?\b",
        r"[Mm]issing (?:key|weight|parameter|tensor)s?\b",
        r"[Ee]rror\(s\) in loading state_dict|size mismatch for|shape mismatch|Attempted to load weight|[Ll]oaded weight",
        r"expected .* (?:shape|size) .* got|weight_loader",
        r"(?:The size of tensor|The expanded size|mat1 and mat2|shapes cannot be multiplied|shape '\[.*' is invalid for input|start"
        r" \(\d+\) \+ length|split_with_sizes|Sizes of tensors must match|selected index k out of range)",
        r"KeyError: '(?:model|layers?|transformer|language_model|visual|vision|lm_head|encoder|decoder|embed|mtp|blocks?|h|backbone"
        r"|audio)\b[\w.]*'",
        r"KeyError: '[\w.]*\.(?:weight|bias|\w*scale\w*|qweight|qzeros|w13\w*|w2\w*|g_idx)\w*'",
        r"checkpoint.*(?:not|missing|incompatible|mismatch|invalid|corrupt|expected|incomplete)",
        r"(?:not|missing|incomplete|mismatch).{0,60}\bcheckpoint",
        r"No such file or directory: '[^']*(?:config|model|tokenizer|generation|preprocessor|\.safetensors|\.json|\.gguf|\.bin"
        r"|/models?/)[^']*'",
        remedy=_WEIGHTS,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        "transformers, tokenization_utils_base.py; vllm/tokenizers",
        r"[Tt]okenizer.*(?:\bnot?\b|error|fail|invalid|unable|missing|cannot|couldn't|unexpected|class|doesn't|is None)",
        r"(?:\bno\b|\bNo\b|not|[Uu]nable to|[Cc]ouldn't|[Cc]annot|[Ff]ailed to).{0,40}[Tt]okenizer",
        r"data did not match any variant of untagged enum|ModelWrapper|untagged enum|tekken|sentencepiece|vocab file",
        r"(?:[Pp]rocessor|image processor|preprocessor_config|feature extractor)\b.*(?:not|missing|fail|invalid|unexpected)",
        remedy=_TOKENIZER,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        "transformers, dynamic_module_utils.py",
        r"No module named 'transformers_modules\b",
        remedy=_DOT,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        "transformers, dynamic_module_utils.py",
        r"trust_remote_code=True|--trust-remote-code\b",
        r"contains custom code which must be executed|custom code .*(?:trust|execut)",
        remedy=_REMOTE_CODE,
        kinds=_VLLM,
    ),
    rule(
        Cause.BAD_MODEL,
        _CONFIG,
        r"Model class .* (?:could not|cannot) be",
        r"[Cc]onfig(?:uration)?\b.*object has no attribute|'\w*Config' object has no attribute|'\w+Config\w*' .*attribute",
        r"has no attribute '(?:num_|hidden_|vocab_|rope|head|layer|max_position|intermediate|sliding|quant|text_config"
        r"|vision_config|model_type|architectures)\w*'",
        r"[Cc]ould not (?:detect|determine) (?:the )?(?:config|model|quant|architect)\w*",
        r"[Cc]annot (?:detect|determine|find|load|parse) .{0,40}config|config\.json|params\.json|JSONDecodeError",
        r"Expecting (?:value|property name|',' delimiter)",
        r"rope_(?:scaling|parameters|type|theta)|[Rr]oPE .*(?:unknown|unsupported|must|invalid)|Unknown RoPE",
        r"[Uu]nsupported (?:quantization (?:config|scheme|type)|activation|FP8|nvfp4|compressed|scoring|projector)",
        r"No quantization config",
        r"quant(?:ization)?[_ ](?:config|method|algo|scheme)\b.*(?:not|unknown|unsupported|invalid|missing|must|could)|[Uu]nknown quant",
        r"compressed-tensors|ModelOpt|modelopt",
        r"GGUF|gguf",
        r"StrictDataclass\w*Error|Validation error for field|Class validation error",
        kinds=_VLLM,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.BAD_FLAG,
        "pydantic",
        r"validation errors? for \w+",
        rank=Rank.TYPE,
        kinds=_VLLM,
        anywhere=True,
    ),
    rule(
        Cause.BAD_FLAG,
        "vllm/engine/arg_utils.py",
        r"(?:EngineArgs|Config)\.__init__\(\) got an unexpected keyword argument",
        rank=Rank.WRAPPER,
        kinds=_VLLM,
    ),
)
