"""Tiny random Llama checkpoints, and their hidden states, logits and greedy tokens by transformers.

    python golden/llama/make.py

One folder per variant: a Hugging Face checkpoint (config.json, safetensors, tokenizer.json) and
expected.safetensors, whose layout is in golden/README.md. The variants gguf_* hold the same kind of
model as model.gguf, laid out as llama.cpp's converter does.
"""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
BASE = dict(
    vocab_size=288, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    rms_norm_eps=1e-5, rope_theta=10000.0, bos_token_id=0, eos_token_id=1,
)
VARIANTS = {
    "gqa_tied": dict(tie_word_embeddings=True),
    "mha_untied": dict(num_key_value_heads=4, tie_word_embeddings=False),
    "rope_llama3": dict(rope=dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0,
                                  high_freq_factor=4.0, original_max_position_embeddings=32)),
    "rope_linear": dict(rope=dict(rope_type="linear", factor=3.0), new_style=True),
    "bias": dict(attention_bias=True, mlp_bias=True),
    "head_dim": dict(hidden_size=72, intermediate_size=100, head_dim=20, vocab_size=301),
    "f16": dict(store=torch.float16),
    "bf16": dict(store=torch.bfloat16),
    "sharded": dict(shards=2),
    "gguf_f32": dict(gguf="f32"),
    "gguf_q8_0": dict(gguf="q8_0"),
}
LENGTHS = [1, 7, 70]
NEW_TOKENS = 6
MERGE = ("t", "h")


def build(seed, options):
    rope = options.pop("rope", None)
    config = LlamaConfig(**{**BASE, **options})
    if rope:
        config.rope_parameters = {"rope_theta": BASE["rope_theta"], **rope}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0.0, 0.2)
    return config, model, rope


def write_config(folder, config, rope, new_style):
    """transformers 5 writes `rope_parameters`; most files in the world have the older keys."""
    fields = json.loads(config.to_json_string(use_diff=False))
    for key in ["dtype", "transformers_version", "rope_parameters", "rope_theta", "rope_scaling"]:
        fields.pop(key, None)
    if new_style:
        fields["rope_parameters"] = {"rope_theta": BASE["rope_theta"], **rope}
    else:
        fields["rope_theta"] = BASE["rope_theta"]
        fields["rope_scaling"] = rope
    keep = {"architectures", "model_type", *LlamaConfig().to_dict(), "rope_theta", "rope_scaling"}
    fields = {key: value for key, value in fields.items() if key in keep}
    fields["model_type"], fields["architectures"] = "llama", ["LlamaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


def write_tokenizer(folder, size):
    """Byte-level, one token per byte and one merge, two special tokens in front."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<s>": 0, "</s>": 1}
    for character in alphabet:
        vocab[character] = len(vocab)
    vocab["th"] = len(vocab)
    while len(vocab) < size:
        vocab[f"<unused{len(vocab)}>"] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[MERGE]))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>"}) + "\n"
    )
    return vocab


def save_weights(folder, tensors, shards):
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, where = sorted(tensors), {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[i::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        where.update({name: file for name in part})
    index = {"metadata": {"total_size": 0}, "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def permute(weight, heads):
    """Rows in llama.cpp's order: pairs (i, i + half) side by side."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(folder, config, tensors, kind, vocab):
    """Returns the tensors as they are read back (dequantised)."""
    writer = gguf.GGUFWriter(str(folder / "model.gguf"), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(BASE["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(vocab, key=vocab.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i < 2 else 1 for i in range(len(tokens))])
    writer.add_token_merges([" ".join(MERGE)])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    stored = {}
    for name, tensor in tensors.items():
        array = tensor.float().numpy()
        heads = None
        if "q_proj" in name:
            heads = config.num_attention_heads
        elif "k_proj" in name:
            heads = config.num_key_value_heads
        if kind == "q8_0" and array.ndim == 2:
            array = gguf.quants.dequantize(
                gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0
            )
        stored[name] = torch.from_numpy(np.ascontiguousarray(array))
        out = permute(array, heads) if heads else array
        out = np.ascontiguousarray(out, dtype=np.float32)
        target = names.get_name(name.removesuffix(".weight")) + ".weight"
        if kind == "q8_0" and out.ndim == 2:
            quantized = gguf.quants.quantize(out, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(target, quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(target, out)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def expected(model, vocab_size):
    tensors = {}
    generator = torch.Generator().manual_seed(7)
    for i, length in enumerate(LENGTHS):
        ids = torch.randint(2, vocab_size, (length,), generator=generator)
        with torch.no_grad():
            out = model(ids[None], output_hidden_states=True)
            new = ids.tolist()
            for _ in range(NEW_TOKENS):
                new.append(model(torch.tensor([new])).logits[0, -1].argmax().item())
        tensors[f"{i}.ids"] = ids.to(torch.int32)
        tensors[f"{i}.states"] = torch.stack(out.hidden_states)[:, 0].contiguous()
        tensors[f"{i}.logits"] = out.logits[0, -1].contiguous()
        tensors[f"{i}.continuation"] = torch.tensor(new[length:], dtype=torch.int32)
    return tensors


def main():
    for seed, (name, options) in enumerate(VARIANTS.items()):
        options = dict(options)
        store = options.pop("store", torch.float32)
        shards = options.pop("shards", 1)
        kind = options.pop("gguf", None)
        new_style = options.pop("new_style", False)
        if name == "rope_llama3" or kind:
            options.setdefault("tie_word_embeddings", False)
        config, model, rope = build(seed, options)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tensors = {k: v.to(store).contiguous() for k, v in model.state_dict().items()}
        if config.tie_word_embeddings:
            tensors.pop("lm_head.weight", None)
        if kind:
            vocab = write_tokenizer(folder, config.vocab_size)
            (folder / "tokenizer.json").unlink()
            (folder / "tokenizer_config.json").unlink()
            stored = write_gguf(folder, config, tensors, kind, vocab)
        else:
            write_config(folder, config, rope, new_style)
            write_tokenizer(folder, config.vocab_size)
            save_weights(folder, tensors, shards)
            stored = {k: v.float() for k, v in tensors.items()}
        model.load_state_dict(stored, strict=False)
        save_file(expected(model, config.vocab_size), folder / "expected.safetensors")
        print(name, sum(f.stat().st_size for f in folder.iterdir()))


if __name__ == "__main__":
    main()
