"""The default model in PyTorch: its weights out of a GGUF file, LoRA merged into them, and the forward pass."""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data import LENGTHS, Batch

SIZES = {"heads": 9, "kv_heads": 3, "head_dim": 64, "layers": 30, "theta": 1e5, "eps": 1e-5}
MODULES = {  # name: (GGUF name, out, in)
    "self_attn.q_proj": ("attn_q", 576, 576), "self_attn.k_proj": ("attn_k", 192, 576),
    "self_attn.v_proj": ("attn_v", 192, 576), "self_attn.o_proj": ("attn_output", 576, 576),
    "mlp.gate_proj": ("ffn_gate", 1536, 576), "mlp.up_proj": ("ffn_up", 1536, 576), "mlp.down_proj": ("ffn_down", 576, 1536),
}

PRODUCTS = {"qkv": ["q", "k", "v"], "o": ["o"], "gate_up": ["gate", "up"], "down": ["down"]}  # of one input


def short(name):
    """q of self_attn.q_proj"""
    return name.split(".")[1].removesuffix("_proj")


def rotary(length):
    """Cosines and sines of the angles [length, head_dim / 2]."""
    frequencies = SIZES["theta"] ** (-torch.arange(0, SIZES["head_dim"], 2) / SIZES["head_dim"])
    angles = torch.arange(length).outer(frequencies)
    return angles.cos(), angles.sin()


def base(path, device):
    """The default model's weights, stacked over layers: {module: [layers, out, in]}, norms, embedding (= head)."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    fields = {name: reader.get_field(f"llama.{name}") for name in ["rope.freq_base", "attention.layer_norm_rms_epsilon"]}
    for name, size in [("rope.freq_base", "theta"), ("attention.layer_norm_rms_epsilon", "eps")]:
        assert math.isclose(fields[name].contents(), SIZES[size], rel_tol=1e-5), (name, fields[name].contents())
    found = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).astype(np.float32)) for t in reader.tensors}

    def unpermuted(weight, heads):
        """Rotary pairs lie side by side in a GGUF file, half a head apart in Hugging Face's layout, which LoRA is for."""
        return weight.view(heads, SIZES["head_dim"] // 2, 2, -1).transpose(1, 2).reshape(weight.shape)

    stacked = {}
    for name, (short, *_) in MODULES.items():
        each = [found[f"blk.{i}.{short}.weight"] for i in range(SIZES["layers"])]
        heads = {"attn_q": SIZES["heads"], "attn_k": SIZES["kv_heads"]}.get(short)
        stacked[name] = torch.stack([unpermuted(w, heads) if heads else w for w in each]).to(device)
    norms = [torch.stack([found[f"blk.{i}.{n}_norm.weight"] for i in range(SIZES["layers"])]).to(device) for n in ["attn", "ffn"]]
    return {"linear": stacked, "norms": norms, "final": found["output_norm.weight"].to(device), "embedding": found["token_embd.weight"].to(device)}


class Adapter:
    """A and B of all layers: {module: ([layers, rank, in], [layers, out, rank])}."""

    def __init__(self, run, device):
        draw = torch.Generator().manual_seed(run["seed"])
        self.scale = run["alpha"] / run["rank"]
        self.used = torch.zeros(SIZES["layers"], 1, 1, device=device)
        self.used[run["from"]:run["layers"]] = 1
        self.pairs = {}
        if run["start"]:
            self.load(run["start"], device)
            return
        for name, (_, out, into) in MODULES.items():
            bound = 1 / math.sqrt(into)
            a = (torch.rand(SIZES["layers"], run["rank"], into, generator=draw) * 2 - 1) * bound
            self.pairs[name] = [a.to(device).requires_grad_(), torch.zeros(SIZES["layers"], out, run["rank"], device=device).requires_grad_()]

    def load(self, start, device):
        """The numbers of `saved`, to learn on from."""
        found = saved(start)
        for name in MODULES:
            each = [[found[key(i, name, which)] for i in range(SIZES["layers"])] for which in "AB"]
            self.pairs[name] = [torch.stack(side).float().to(device).requires_grad_() for side in each]

    def parameters(self):
        return [p for pair in self.pairs.values() for p in pair]

    def merged(self, linear, dtype):
        """{product: of every layer [out, in]}; what reads the same input is one product."""
        own = {}
        for name, (a, b) in self.pairs.items():
            whole = linear[name] + self.used * self.scale * torch.bmm(b, a)
            own[short(name)] = whole.to(dtype)
        return {name: torch.cat([own[part] for part in parts], 1).unbind(0) for name, parts in PRODUCTS.items()}


def rotated(x, cos, sin):
    """[batch, heads, length, head_dim]"""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def layer(x, w, norms, cos, sin):
    """One block; x is [batch, length, hidden]."""
    batch, length, hidden = x.shape
    heads, kv_heads = SIZES["heads"], SIZES["kv_heads"]
    h = F.rms_norm(x, (hidden,), norms[0], SIZES["eps"])
    qkv = F.linear(h, w["qkv"]).view(batch, length, -1, SIZES["head_dim"]).transpose(1, 2)
    qk, v = rotated(qkv[:, :heads + kv_heads], cos, sin), qkv[:, heads + kv_heads:]
    q, k = qk[:, :heads], qk[:, heads:]
    k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
    a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(a.transpose(1, 2).reshape(batch, length, -1), w["o"])
    h = F.rms_norm(x, (hidden,), norms[1], SIZES["eps"])
    gate, up = F.linear(h, w["gate_up"]).chunk(2, -1)
    return x + F.linear(F.silu(gate) * up, w["down"])


class Model:
    def __init__(self, weights, device, dtype):
        self.device, self.dtype = device, dtype
        self.linear = weights["linear"]
        self.norms = [n.to(dtype) for n in weights["norms"]]
        self.final = weights["final"].to(dtype)
        self.embedding = weights["embedding"].to(dtype)
        self.cos, self.sin = (table.to(device, dtype) for table in rotary(max(LENGTHS) + 8))

    def states(self, merged, ids, keep):
        """Hidden states [batch, length, hidden] of the layers in `keep`; the last one is behind the final norm."""
        x = F.embedding(ids, self.embedding)
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        kept = {}
        top = max(keep)
        for i in range(min(top, SIZES["layers"])):
            x = layer(x, {name: w[i] for name, w in merged.items()}, [n[i] for n in self.norms], cos, sin)
            if i + 1 in keep and i + 1 < SIZES["layers"]:
                kept[i + 1] = x
        if top == SIZES["layers"]:
            kept[top] = F.rms_norm(x, (x.shape[-1],), self.final, SIZES["eps"])
        return kept

    def weights(self, adapter):
        return adapter.merged(self.linear, self.dtype)

    def forward(self, merged, batch, keep):
        """States where answers begin {layer: [rows, hidden]}, and logits of the answers' tokens [tokens, vocabulary]."""
        kept = self.states(merged, batch["ids"], keep)
        states = {number: x.flatten(0, 1).index_select(0, batch["first"]) for number, x in kept.items()}
        if SIZES["layers"] not in keep:
            return states, None
        answers = kept[SIZES["layers"]].flatten(0, 1).index_select(0, batch["at"])
        return states, F.linear(answers, self.embedding).float()

    def batches(self, data, run):
        return data.batches(run, pin=True)

    def held_out(self, data, rows, run):
        """Batches over held-out rows, each with the numbers of its rows."""
        for i in range(0, len(rows), 256):
            part = rows[i:i + 256]
            length = -(-int(data.length(part, run["answers"]).max()) // 8) * 8
            batch = Batch(data, part, length, run, all_targets=True)
            yield np.arange(i, i + len(part)), {key: tensor.to(self.device) for key, tensor in batch.tensors.items()}


def key(layer, module, which):
    """PEFT's name of a tensor."""
    return f"base_model.model.model.layers.{layer}.{module}.lora_{which}.weight"


def saved(start):
    """What `save` wrote, of all layers: {key: tensor}; of a list, the mean of its members'."""
    from safetensors.torch import load_file

    if isinstance(start, (str, Path)):
        return load_file(start)
    each = [saved(one) for one in start]
    return {name: sum(one[name].float() for one in each) / len(each) for name in each[0]}


def save(adapter, run, path):
    from safetensors.torch import save_file

    tensors = {}
    for name, (a, b) in adapter.pairs.items():
        for i in range(run["from"], run["layers"]):
            for which, tensor in [("A", a), ("B", b)]:
                tensors[key(i, name, which)] = tensor[i].detach().to(torch.float16).contiguous().cpu()
    save_file(tensors, path, metadata={"format": "pt", "run": json.dumps(run)})
