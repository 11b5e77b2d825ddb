"""Losses and gradients of tiny random models by PyTorch's autograd, full and through LoRA adapters.

    python golden/train/make.py

The step (batch.jsonl, one line, as `inbedder train --dump-batches` writes it) has three passages with one
to four questions, so that prompts share their beginnings; one question has two answers, which are two rows
with one prompt. Layout of the files: golden/README.md. Three losses:

- causal: cross-entropy of every answer token (the end token is the last of them), mean over all targets
  of the step;
- bag: at a prompt's last token, minus the sum of weight · log-probability over the bag; mean over the rows
  that have a bag;
- cosine: mean over pairs of rows that have a bag of (cosine of the states after the final norm at the prompts'
  last tokens − cosine of the answers, at least 0)²; an answer is the mean by its bag of the head's rows, less the
  mean of all its rows, and has no gradient.
"""

import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
BASE = dict(
    vocab_size=48, hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=10, max_position_embeddings=128, rms_norm_eps=1e-5,
    tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
)
ROPE = {"rope_theta": 10000.0}
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VARIANTS = {
    "tied": dict(lora=dict(target_modules=ALL)),
    "untied_bias": dict(
        hidden_size=21, num_attention_heads=3, num_key_value_heads=3, head_dim=6, tie_word_embeddings=False,
        attention_bias=True, mlp_bias=True,
        lora=dict(target_modules=["q_proj", "v_proj"], use_rslora=True),
    ),
    "rope_llama3": dict(rope=LLAMA3, lora=dict(target_modules=ALL, layers_to_transform=[1])),
}
# Tokens of each passage, and of its questions; answers of each question. 2 to 41 are words, 42 to 46 the
# template's, 1 is the end.
PASSAGES = [(7, [(3, [2])]), (33, [(4, [1]), (2, [3, 1]), (5, [1]), (1, [2])]), (16, [(3, [1]), (3, [2])])]


def make_batch():
    generator = torch.Generator().manual_seed(3)

    def words(count):
        return torch.randint(2, 42, (count,), generator=generator).tolist()

    rows = []
    for text, questions in PASSAGES:
        passage = [42, *words(text), 43]
        for question, answers in questions:
            prompt = [*passage, *words(question), 44, 45]
            answers = [words(count) for count in answers]
            tokens = [token for answer in answers for token in answer]
            bag = [[token, tokens.count(token) / len(tokens)] for token in sorted(set(tokens))]
            for i, answer in enumerate(answers):
                row = {"prompt_ids": prompt, "answer_ids": [*answer, 1]}
                if i == 0:
                    row["bag"] = bag
                rows.append(row)
    return rows


def build(seed, options):
    rope = options.pop("rope", None)
    config = LlamaConfig(**{**BASE, **options}, rope_parameters={"rope_type": "default", **ROPE, **(rope or {})})
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0.0, 0.3)
    return config, model, rope


def write_config(folder, config, rope):
    """In the older keys, which most files have."""
    fields = json.loads(config.to_json_string(use_diff=False))
    keep = {*LlamaConfig().to_dict(), *BASE} - {"dtype", "transformers_version", "rope_parameters"}
    fields = {key: value for key, value in fields.items() if key in keep}
    fields |= {"rope_theta": ROPE["rope_theta"], "rope_scaling": rope,
               "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


def losses(model, rows):
    """Row by row, with no padding and nothing shared: the losses, and causal's targets in the order of the rows."""
    targets, bags, states, answers = [], [], [], []
    head = model.get_output_embeddings().weight.detach()
    for row in rows:
        prompt, answer = row["prompt_ids"], row["answer_ids"]
        out = model(input_ids=torch.tensor([prompt + answer]), output_hidden_states=True)
        logits = out.logits[0]
        log_probabilities = torch.log_softmax(logits, dim=-1)
        for i, token in enumerate(answer):
            targets.append(-log_probabilities[len(prompt) - 1 + i, token])
        if "bag" in row:
            bags.append(-sum(weight * log_probabilities[len(prompt) - 1, token] for token, weight in row["bag"]))
            states.append(out.hidden_states[-1][0, len(prompt) - 1])
            answers.append(sum(weight * head[token] for token, weight in row["bag"]) - head.mean(dim=0))
    targets = torch.stack(targets)
    states, answers = (F.normalize(torch.stack(rows), dim=-1) for rows in (states, answers))
    pairs = torch.triu_indices(len(states), len(states), offset=1)
    off = (states @ states.T - (answers @ answers.T).clamp(min=0))[*pairs]
    return {"causal": targets.mean(), "bag": torch.stack(bags).mean(), "cosine": (off**2).mean()}, targets.detach()


def gradients(model, parameters, rows, names=("causal", "bag", "cosine")):
    """Losses and their gradients, by parameter, as tensors with the loss's name in front."""
    tensors = {}
    for name in names:
        found, targets = losses(model, rows)
        loss = found[name]
        found = torch.autograd.grad(loss, list(parameters.values()))
        tensors[f"{name}.loss"] = loss.detach().reshape(1)
        if name == "causal":
            tensors["causal.targets"] = targets
        for key, gradient in zip(parameters, found):
            tensors[f"{name}.gradient.{key}"] = gradient.contiguous()
    return tensors


def main():
    rows = make_batch()
    (HERE / "batch.jsonl").write_text(json.dumps({"step": 1, "rows": rows}) + "\n")
    for seed, (name, options) in enumerate(VARIANTS.items()):
        options = dict(options)
        lora = options.pop("lora")
        config, model, rope = build(seed, options)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "adapter").mkdir(parents=True)
        write_config(folder, config, rope)
        weights = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
        if config.tie_word_embeddings:
            weights.pop("lm_head.weight")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        # The loss is behind the model, so one model is enough for its other kinds.
        names = ("causal", "bag", "cosine") if name == "tied" else ("causal",)
        save_file(gradients(model, dict(model.named_parameters()), rows, names), folder / "full.safetensors")

        adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=3, lora_dropout=0.0, task_type="CAUSAL_LM", **lora))
        parameters = {k: v for k, v in adapted.named_parameters() if v.requires_grad}
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.normal_(0.0, 0.3)
        state = get_peft_model_state_dict(adapted)
        # As files name them: without the adapter's own name.
        parameters = {k.replace(".default.", "."): v for k, v in parameters.items()}
        assert set(parameters) == set(state)
        save_file({k: v.detach().contiguous() for k, v in state.items()}, folder / "adapter" / "adapter_model.safetensors")
        config = adapted.peft_config["default"].to_dict() | {"inference_mode": True, "base_model_name_or_path": None}
        config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
        (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        save_file(gradients(adapted, parameters, rows), folder / "lora.safetensors")


main()
