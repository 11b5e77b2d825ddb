"""Token ids of awkward texts by transformers, for every kind of tokenizer that is built from GGUF.

    python golden/tokenizer/make.py MODEL.gguf

MODEL.gguf is the default model; the small tokenizers are the first tokens and merges of its
vocabulary under other pre-tokenizers, and a SentencePiece model trained on the texts. Per folder:
tokenizer.gguf (vocabulary alone), tokenizer.json (the same as transformers saves it) and ids.jsonl.
`default.jsonl` holds the ids of the default model's whole vocabulary.

transformers (5.23) leaves three things out when it builds a tokenizer from GGUF that the original
tokenizers of these models have; they are put back here: single digits for smollm, NFC for qwen2,
ignore_merges for llama-bpe.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
from gguf import GGUFReader, GGUFWriter
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
TOKENS = 1500
TEXTS = [
    "", "Hello world", " leading", "trailing  ", "a  1", "a   123 456", "3.14159 12345",
    "I'm you're we'll don't IT'S he'd", "\n\n\nfoo\n \n  bar\t\tbaz", "日本語のテキスト、中文字符。한국어",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 é", "\u0000\u0001\u001f\u007f\u0085",
    "def f(x):\n    return x**2  # comment\n\tif a != b:", "שלום עולם مرحبا بالعالم", "x" * 10000,
    "ab" * 5000, "<|im_start|>user\nhi<|im_end|></s><s><unk><0x0A>", "\u200b\ufeff\u00a0\u3000 space",
    "½ ² ٣ Ⅷ 123", "\r\n\r\n a\r b", "🇩🇪🇫🇷", "ﬁ ﬂ Å \u212b", "don't   stop   1  2   3\n4", " " * 50,
    "\n" * 50, "  \n  \n", "﷽ ﷺ", "https://example.com/a?b=c&d=%20e#f", "\ufffd\U0010ffff",
    "ไทยภาษา कि हिन्दी", "a\u0300\u0301\u0302", "a <think>b</think>", "</s>", "<s> x",
]


def writer(path, tokens, types):
    out = GGUFWriter(str(path), "llama")
    for add, value in [
        (out.add_context_length, 128), (out.add_embedding_length, 64), (out.add_block_count, 1),
        (out.add_feed_forward_length, 64), (out.add_head_count, 4), (out.add_head_count_kv, 2),
        (out.add_layer_norm_rms_eps, 1e-5), (out.add_rope_freq_base, 1e4),
        (out.add_rope_dimension_count, 16), (out.add_bos_token_id, 1), (out.add_eos_token_id, 2),
        (out.add_vocab_size, len(tokens)), (out.add_token_list, tokens), (out.add_token_types, types),
    ]:
        add(value)
    return out


def close(out):
    out.add_tensor("token_embd.weight", np.zeros((2, 64), np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def byte_level(path, pre, model):
    tokens, types, merges = (
        model.fields[f"tokenizer.ggml.{key}"].contents() for key in ["tokens", "token_type", "merges"]
    )
    tokens, types = tokens[:TOKENS], types[:TOKENS]
    known = set(tokens)
    merges = [m for m in merges if known.issuperset(m.split(" ")) and m.replace(" ", "") in known]
    out = writer(path, tokens, types)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    out.add_token_merges(merges)
    close(out)


def sentence_pieces(path):
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        lines = [text.replace("\0", "") for text in TEXTS if len(text) < 5000] * 4
        lines += Path(__file__).read_text().splitlines()
        corpus.write_text("\n".join(lines) + "\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{folder}/spm", vocab_size=900, model_type="bpe",
            byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False,
            character_coverage=0.98, pad_id=-1, user_defined_symbols=["<think>"], minloglevel=2,
        )
        model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/spm.model")
    ids = range(model.vocab_size())
    tokens = [model.id_to_piece(i) for i in ids]

    def kind(i):
        if model.is_unknown(i):
            return 2
        if model.is_control(i):
            return 3
        if model.is_byte(i):
            return 6
        return 4 if tokens[i] == "<think>" else 1

    out = writer(path, tokens, [kind(i) for i in ids])
    out.add_tokenizer_model("llama")
    out.add_tokenizer_pre("default")
    out.add_token_scores([model.get_score(i) for i in ids])
    out.add_unk_token_id(0)
    close(out)


def repaired(folder, name, pre):
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    backend = tokenizer.backend_tokenizer
    if pre == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    elif pre == "llama-bpe":
        backend.model.ignore_merges = True
    return tokenizer


def write_ids(path, tokenizer):
    backend = tokenizer.backend_tokenizer
    # Special tokens in a text are plain characters.
    backend.encode_special_tokens = True
    rows = [{"text": t, "ids": backend.encode(t, add_special_tokens=False).ids} for t in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    backend.encode_special_tokens = False


def main():
    gguf = os.path.abspath(sys.argv[1])
    model = GGUFReader(gguf)
    write_ids(HERE / "default.jsonl", repaired(*os.path.split(gguf), "smollm"))
    for pre in ["smollm", "gpt-2", "llama-bpe", "qwen2", "spm"]:
        folder = HERE / pre
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if pre == "spm":
            sentence_pieces(folder / "tokenizer.gguf")
        else:
            byte_level(folder / "tokenizer.gguf", pre, model)
        tokenizer = repaired(str(folder), "tokenizer.gguf", pre)
        write_ids(folder / "ids.jsonl", tokenizer)
        with tempfile.TemporaryDirectory() as saved:
            tokenizer.save_pretrained(saved)
            shutil.copy(Path(saved) / "tokenizer.json", folder / "tokenizer.json")


if __name__ == "__main__":
    main()
