"""One small tensor of every supported GGUF type, and its numbers as gguf-py dequantises them.

    python golden/gguf/make.py

types.gguf and types.safetensors hold the same tensors, [8, 512], named `t.<TYPE>`. gguf-py cannot
quantise the K types: theirs are random blocks with small finite scales.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

HERE = Path(__file__).parent
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where a block's f16 scales stand: offset, bytes.
SCALES = {"Q2_K": (80, 4), "Q3_K": (108, 2), "Q4_K": (0, 4), "Q5_K": (0, 4), "Q6_K": (208, 2)}


def blocks(kind, generator):
    if kind.name not in SCALES:
        return gguf.quants.quantize(generator.standard_normal((8, 512)).astype(np.float32), kind)
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    data = generator.integers(0, 256, (8, 512 // numbers * size), dtype=np.uint8)
    rows = data.reshape(-1, size)
    scales = generator.uniform(0.001, 0.02, (len(rows), 2)).astype(np.float16)
    at, length = SCALES[kind.name]
    rows[:, at : at + length] = np.frombuffer(scales.tobytes(), np.uint8).reshape(-1, 4)[:, :length]
    return data


def main():
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(HERE / "types.gguf"), "llama")
    expected = {}
    for name in TYPES:
        kind = Type[name]
        data = blocks(kind, generator)
        numbers = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(8, 512)
        expected[f"t.{name}"] = np.ascontiguousarray(numbers)
        writer.add_tensor(f"t.{name}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, HERE / "types.safetensors")


if __name__ == "__main__":
    main()
