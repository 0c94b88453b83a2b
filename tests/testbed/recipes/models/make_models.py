# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make tiny models that vLLM really serves: python3 make_models.py OUT KIND[=NAME[=REPLY]]...

Kinds: chat, embed, rerank, vision, asr. Nothing is downloaded: tokenizers are made here, weights are random with a fixed seed, so the
same versions give the same bytes. A few hundred kB each, about a second each once torch is imported.

What a chat, vision or asr model replies is scripted: a chain of tokens is written into the output layer (for Whisper, whose output layer
is tied to the input, into the last feed-forward layer). Attention, feed-forward and encoder weights stay random and are really computed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

# Jinja drops a template's last newline, hence the expression at the end.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'text' %}{{ p['text'] }}{% else %}<image>{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\\n' }}"
)
CHAT_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}


def split_reply(reply: str) -> list[str]:
    """The reply as tokens, each of which may occur once only: the chain goes from a token to the next."""
    words = re.findall(r"\s*[^\s.]+|\s*\.", reply)
    if "".join(words) != reply or len(set(words)) != len(words) or not words:
        raise SystemExit(f"The reply {reply!r} must consist of words that differ from each other.")
    return words


def byte_tokenizer(specials: Sequence[str], words: Sequence[str] = (), *, pair: bool = False, cls: Any = None, **options: Any) -> Any:
    """256 byte tokens (ids 0-255), no merges, then the special tokens (ids 256...), then whole words for a scripted reply."""
    vocabulary = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    tokenizer.add_tokens(list(words))
    if pair:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
        )
    return (cls or tf.PreTrainedTokenizerFast)(tokenizer_object=tokenizer, **options)


def script(embedding: Any, head: Any, ids: Sequence[int]) -> None:
    """After token ids[i] comes ids[i+1]. The layers stay random but small beside the embedding, so greedy and sampled decoding agree."""
    with torch.no_grad():
        embedding.normal_()
        head.zero_()
        for token, following in zip(ids, ids[1:]):
            head[following] += embedding[token]


def qwen3(tokenizer: Any, *, tied: bool) -> Any:
    return tf.Qwen3Config(
        vocab_size=len(tokenizer),
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=tied,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.bfloat16,
        **SIZES,
    )


def chat(out: Path, reply: str) -> None:
    words = split_reply(reply)
    tokenizer = byte_tokenizer(CHAT_TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(out)
    model = tf.Qwen3ForCausalLM(qwen3(tokenizer, tied=False))
    script(model.model.embed_tokens.weight, model.lm_head.weight, tokenizer.encode("\n" + "".join(words) + "<|im_end|>"))
    model.to(torch.bfloat16).save_pretrained(out)


def embed(out: Path, reply: str) -> None:
    tokenizer = byte_tokenizer(CHAT_TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.save_pretrained(out)
    tf.Qwen3ForCausalLM(qwen3(tokenizer, tied=True)).to(torch.bfloat16).save_pretrained(out)


def rerank(out: Path, reply: str) -> None:
    tokenizer = byte_tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        pair=True,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )
    tokenizer.save_pretrained(out)
    config = tf.BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        initializer_range=0.2,
        **SIZES,
    )
    tf.BertForSequenceClassification(config).save_pretrained(out)


def vision(out: Path, reply: str) -> None:
    """PaddleOCR-VL: an OCR architecture whose image processor needs neither torchvision nor the hub. 1 to 16 tokens per image."""
    from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import PaddleOCRVLImageProcessorPil

    words = split_reply(reply)
    tokenizer = byte_tokenizer(
        [*CHAT_TOKENS, "<image>", "<vis_start>", "<vis_end>", "<video>"],
        words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={"image_token": "<image>"},
    )
    images = PaddleOCRVLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 112 * 112})
    tf.PaddleOCRVLProcessor(images, tokenizer, chat_template=CHATML).save_pretrained(out)
    number = tokenizer.convert_tokens_to_ids
    config = tf.PaddleOCRVLConfig(
        vision_config={"image_size": 112, **SIZES},
        text_config={
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 4096,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0, "mrope_section": [4, 6, 6]},
            **SIZES,
        },
        image_token_id=number("<image>"),
        video_token_id=number("<video>"),
        vision_start_token_id=number("<vis_start>"),
        vision_end_token_id=number("<vis_end>"),
        tie_word_embeddings=False,
        dtype=torch.bfloat16,
    )
    model = tf.PaddleOCRVLForConditionalGeneration(config)
    script(model.model.language_model.embed_tokens.weight, model.lm_head.weight, tokenizer.encode("\n" + "".join(words) + "<|im_end|>"))
    model.to(torch.bfloat16).save_pretrained(out)


def asr(out: Path, reply: str) -> None:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    words = split_reply(reply)
    end, start, plain = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
    languages = [f"<|{language}|>" for language in LANGUAGES]
    specials = [end, start, *languages, "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", plain]
    times = ["<|0.00|>", "<|0.02|>"]  # for response_format=verbose_json; vLLM wants their ids above all words
    tokenizer = byte_tokenizer(
        specials, [*words, *times], cls=tf.WhisperTokenizerFast, bos_token=end, eos_token=end, unk_token=end, pad_token=end
    )
    tokenizer.add_tokens(times, special_tokens=True)
    tf.WhisperProcessor(tf.WhisperFeatureExtractor(), tokenizer).save_pretrained(out)
    number = tokenizer.convert_tokens_to_ids
    config = tf.WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_target_positions=448,
        bos_token_id=number(end),
        eos_token_id=number(end),
        pad_token_id=number(end),
        decoder_start_token_id=number(start),
        begin_suppress_tokens=None,
        dtype=torch.bfloat16,
    )
    model = tf.WhisperForConditionalGeneration(config)
    ids = number([plain, *words, times[1], end])
    chain = [(number(start), number("<|en|>")), (number(times[0]), number(words[0])), *zip(ids, ids[1:])]
    with torch.no_grad():
        embedding, last = model.model.decoder.embed_tokens.weight.normal_(), model.model.decoder.layers[-1]
        for row, (token, following) in enumerate(chain):
            last.fc1.weight[row], last.fc1.bias[row], last.fc2.weight[:, row] = embedding[token], -32.0, embedding[following]
    model.generation_config.suppress_tokens = model.generation_config.begin_suppress_tokens = None
    model.to(torch.bfloat16).save_pretrained(out)


KINDS: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "chat": (chat, "Hello from tiny-chat."),
    "embed": (embed, ""),
    "rerank": (rerank, ""),
    "vision": (vision, "Text seen by tiny-vision."),
    "asr": (asr, " Words heard by tiny-asr."),
}


def main(arguments: list[str]) -> None:
    out = Path(arguments[0])
    for wanted in arguments[1:]:
        kind, _, rest = wanted.partition("=")
        name, _, reply = rest.partition("=")
        make, usual_reply = KINDS[kind]
        folder = out / (name or f"tiny-{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        make(folder, reply or usual_reply)
        for file in folder.iterdir():
            file.chmod(0o644)  # weights are saved as 0600, and not every server runs as root
        print(f"{folder.name}: {sum(file.stat().st_size for file in folder.iterdir()) // 1000} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
