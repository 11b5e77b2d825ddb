"""The systems that are compared: each takes token ids and gives seconds and last-position states.

Every peer gets the help that it has without our design: prompts sorted by length, padded batches of
the best of several sizes, the last position's state alone kept. llama.cpp is used as its Python package
offers embeddings: `Llama(embedding=True)`, pooling "last", texts in, batches cut by the package.
"""

import json
import os
import subprocess
import time


def padded(prompts, batch_size):
    """Indices, ids and lengths of batches, longest prompts first."""
    import numpy as np

    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for begin in range(0, len(order), batch_size):
        part = order[begin : begin + batch_size]
        lengths = np.array([len(prompts[i]) for i in part])
        ids = np.zeros((len(part), lengths.max()), dtype=np.int64)
        for row, i in enumerate(part):
            ids[row, : len(prompts[i])] = prompts[i]
        yield part, ids, lengths


class Torch:
    """transformers over dense weights."""

    sizes = [1, 8, 32]

    def __init__(self, folder, dtype, threads):
        import torch
        from transformers import AutoModel

        torch.set_num_threads(threads)
        self.threads = threads
        self.model = AutoModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def run(self, work, batch_size):
        import numpy as np
        import torch

        torch.set_num_threads(self.threads)
        states = [None] * len(work["ids"])
        start = time.perf_counter()
        with torch.inference_mode():
            for part, ids, lengths in padded(work["ids"], batch_size):
                mask = torch.from_numpy((np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64))
                hidden = self.model(input_ids=torch.from_numpy(ids), attention_mask=mask, use_cache=False)
                last = hidden.last_hidden_state[torch.arange(len(part)), torch.from_numpy(lengths - 1)]
                for i, state in zip(part, last.float().numpy()):
                    states[i] = state
        return time.perf_counter() - start, np.stack(states)


class Onnx:
    """onnxruntime's CPU provider."""

    sizes = [1, 8, 32]

    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Its threads wait without spinning once a run has ended, or the next system would pay for it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, work, batch_size):
        import numpy as np

        states = [None] * len(work["ids"])
        start = time.perf_counter()
        for part, ids, lengths in padded(work["ids"], batch_size):
            feed = {
                "ids": ids,
                "last": (lengths - 1).astype(np.int32),
                "length": np.array(ids.shape[1], dtype=np.int32),
            }
            (hidden,) = self.session.run(None, feed)
            for row, i in enumerate(part):
                states[i] = hidden[row, lengths[row] - 1].copy()
        return time.perf_counter() - start, np.stack(states)


class LlamaCpp:
    """llama.cpp through llama-cpp-python; a batch's size is in tokens."""

    sizes = [512, 2048]

    def __init__(self, path, threads):
        import llama_cpp

        def load(tokens):
            return llama_cpp.Llama(
                path,
                embedding=True,
                pooling_type=llama_cpp.LLAMA_POOLING_TYPE_LAST,
                n_ctx=tokens,
                n_batch=tokens,
                n_ubatch=tokens,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )

        self.models = {tokens: load(tokens) for tokens in self.sizes}

    def run(self, work, batch_size):
        import numpy as np

        model = self.models[batch_size]
        start = time.perf_counter()
        states = model.embed(work["prompts"], normalize=False, truncate=False)
        return time.perf_counter() - start, np.array(states, dtype=np.float32)


class Ours:
    """The command: `inbedder bench` for the time, `inbedder embed` for the states."""

    sizes = [None]

    def __init__(self, args, precision, threads):
        self.args, self.precision, self.threads = args, precision, threads
        self.reports = []

    def command(self, name, work):
        line = [self.args.binary, name, work["file"], "--model", self.args.model]
        line += ["--threads", str(self.threads), "--precision", self.precision]
        for question in work["questions"]:
            line += ["-q", question]
        return line

    def run(self, work, _):
        line = self.command("bench", work) + ["--rounds", "1", "--json"]
        report = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        self.reports.append(report)
        return report["seconds"][0], None

    def states(self, work, folder):
        import numpy as np

        out = os.path.join(folder, f"{self.precision}.npy")
        subprocess.run(self.command("embed", work) + ["-o", out, "--force", "--quiet"], check=True)
        vectors = np.load(out)
        return vectors.reshape(-1, vectors.shape[-1])

    def share(self):
        """Share of the register peak of the last round."""
        report = self.reports[-1]
        return report["operations"] / report["seconds"][0] / report["peak_operations_per_second"]
