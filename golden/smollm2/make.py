"""Hidden states and greedy answers of the default model by transformers in f32, from the same GGUF.

    python golden/smollm2/make.py MODEL.gguf [--full DIR]

Writes prompts.json and states.safetensors beside this file (their layout: golden/README.md). With
--full every state of every position goes to DIR, one safetensors file per prompt, for
`INBEDDER_GOLDEN_FULL=DIR cargo test -p inbedder`.
"""

import argparse
import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
PATTERN = "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
WITHOUT_INPUT = "### Instruction:\n{instruction}\n\n### Response:"
NEW_TOKENS = 8
MEAN_LAYERS = [0, 15, 30]

REVIEW = (
    "I ordered the kettle on Monday and it arrived on Thursday with a crack along the handle. "
    "The seller answered within an hour, sent a new one at no cost and did not even want the "
    "broken one back. "
)
NEWS = (
    "The harbour of Trieste was closed for most of the day after a cargo ship lost eleven "
    "containers in the storm. Nobody was hurt, the coast guard said, but two of the containers "
    "held paint, and the beaches north of the city will stay closed until the weekend. "
)
TEXTS = [
    ("I love cats!", ["Which animal is mentioned?", "How does the writer feel?"]),
    ("I hate dogs!", ["Which animal is mentioned?", "How does the writer feel?"]),
    (REVIEW, ["What is the customer complaining about?", "Who answered?", "Which day did it arrive?"]),
    (NEWS, ["Where did it happen?", "What is the topic of the news?"]),
    (NEWS * 3 + REVIEW * 2, ["Where did it happen?"]),
    (NEWS * 7 + REVIEW * 2, ["Which city is mentioned?"]),
    (REVIEW * 7, ["What was broken?"]),
    ("Der Zug nach Köln fällt heute leider aus.", ["Which city is mentioned?"]),
    ("今天天气很好，我们去公园散步吧。", ["What is the weather like?"]),
    ("القطار متأخر ساعتين.", ["What is late?"]),
    ("👩‍👩‍👧 at the beach 🏖️ all day!!!", ["Where are they?"]),
    ("def add(a, b):\n    return a + b\n", ["What does the function do?"]),
    ("x" * 40 + "   \n\n\t tabs and   spaces  ", ["Is this text readable?"]),
    ("The meeting is at 10:45 on 2024-03-17 in room 1203.", ["When is the meeting?", "Where is the meeting?"]),
    ("", ["What is the capital of France?", "Name a colour."]),
    ("ok", ["Is the writer happy?"]),
    ("It's the best film I've seen; they're brilliant, she'd say.", ["What is being reviewed?"]),
]
RAW = ["Hello", "The", "A cat sat on the mat.", "1 2 3 4"]


def prompts(tokenizer):
    for text, questions in TEXTS:
        for question in questions:
            pattern = PATTERN if text else WITHOUT_INPUT
            yield text, question, pattern.format(input=text, instruction=question)
    for raw in RAW:
        yield None, None, raw


def answer(model, tokenizer, ids):
    """Greedy tokens until EOS or a newline behind something, their text, and the smallest gap
    between the two best logits."""
    ids, new, gap = list(ids), [], float("inf")
    stops = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")}
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        top = logits.topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        token = top.indices[0].item()
        if token in stops:
            break
        new.append(token)
        ids.append(token)
        if "\n" in tokenizer.decode(new).lstrip():
            break
    return new, tokenizer.decode(new).lstrip().split("\n")[0].rstrip(), gap


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("--full", type=Path)
    args = parser.parse_args()
    folder, name = os.path.split(os.path.abspath(args.gguf))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The model's own tokenizer splits numbers into digits; transformers (5.23) forgets it for GGUF.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()

    rows, tensors = [], {}
    for i, (text, question, prompt) in enumerate(prompts(tokenizer)):
        ids = tokenizer(prompt)["input_ids"]
        assert len(ids) <= 512, (i, len(ids))
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        # hidden_states[-1] is taken after the final norm; make sure.
        last = model.lm_head(out.hidden_states[-1][0, -1])
        assert torch.allclose(last, out.logits[0, -1], atol=1e-4)
        states = torch.stack(out.hidden_states)[:, 0]  # [layers + 1, tokens, hidden]
        new, words, gap = answer(model, tokenizer, ids)
        rows.append(
            {"text": text, "instruction": question, "prompt": prompt, "ids": ids,
             "answer": words, "answer_ids": new, "smallest_gap": gap}
        )
        print(f"{i:2} {len(ids):4} tokens, gap {gap:.4f}: {words!r}")
        positions = sorted({len(ids) // 2, len(ids) - 1})
        tensors[f"{i}.positions"] = torch.tensor(positions, dtype=torch.int32)
        tensors[f"{i}.states"] = states[:, positions].contiguous()
        tensors[f"{i}.maxabs"] = states.abs().amax(dim=(1, 2))
        before = states[MEAN_LAYERS, : max(1, len(ids) - 1)].double().mean(dim=1)
        tensors[f"{i}.mean"] = before.float().contiguous()
        if args.full:
            args.full.mkdir(parents=True, exist_ok=True)
            save_file({"states": states.contiguous()}, args.full / f"{i}.safetensors")
    (HERE / "prompts.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    save_file(tensors, HERE / "states.safetensors")


if __name__ == "__main__":
    main()
