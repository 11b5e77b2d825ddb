"""One GGUF file's weights in the form that each peer loads, made once into a folder.

    dense/               transformers, safetensors in f32
    f32.gguf … q8_0.gguf llama.cpp, quantised by the gguf package from the f32 of the original
    f32.onnx, int8.onnx  onnxruntime: the same layers down to the last hidden state, no head; its own
                         fused operators (GroupQueryAttention, SimplifiedLayerNormalization) as its
                         generators write them; int8 by its quantize_dynamic

Nothing is trained or calibrated: every file holds the numbers of the original, rounded to its type.
"""

import os
from pathlib import Path


def load_tokenizer(gguf):
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    folder, name = os.path.split(os.path.abspath(gguf))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The model's own tokenizer splits numbers into digits; transformers (5.23) forgets it for GGUF.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def dense(gguf, folder):
    """Dense f32 safetensors, so that no peer reads quantised blocks."""
    target = Path(folder) / "dense"
    if not target.exists():
        import torch
        from transformers import AutoModelForCausalLM

        where, name = os.path.split(os.path.abspath(gguf))
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        model.model.save_pretrained(target)
    return str(target)


def quantised(gguf, folder, name):
    """The same GGUF with every matrix in one type."""
    import gguf as format
    from gguf.quants import dequantize, quantize

    target = Path(folder) / f"{name}.gguf"
    if target.exists():
        return str(target)
    kind = format.GGMLQuantizationType[name.upper()]
    reader = format.GGUFReader(gguf)
    writer = format.GGUFWriter(target.with_suffix(".part"), reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture", "general.file_type", "general.quantization")):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        numbers = dequantize(tensor.data, tensor.tensor_type)
        stored = kind if len(tensor.shape) > 1 else format.GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, quantize(numbers, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    target.with_suffix(".part").rename(target)
    return str(target)


def onnx_f32(gguf, folder):
    """The layers as a graph: ids [batch, length], last [batch] (position of each row's last token),
    length → states of all positions."""
    target = Path(folder) / "f32.onnx"
    if target.exists():
        return str(target)
    import onnx
    import torch
    from onnx import TensorProto, helper, numpy_helper
    from transformers import AutoModel

    model = AutoModel.from_pretrained(dense(gguf, folder), dtype=torch.float32)
    config, weights = model.config, {k: v.numpy() for k, v in model.state_dict().items()}
    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(values, name))
        return name

    def node(op, inputs, output, domain="", **attributes):
        nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def linear(x, name):
        matrix = constant(f"{name}.weight", weights[f"{name}.weight"].T.copy())
        return node("MatMul", [x, matrix], f"{name}.out")

    def norm(x, name):
        scale = constant(f"{name}.weight", weights[f"{name}.weight"])
        return node("SimplifiedLayerNormalization", [x, scale], f"{name}.out", epsilon=config.rms_norm_eps)

    size = config.hidden_size // config.num_attention_heads
    theta = getattr(config, "rope_parameters", None) or {"rope_theta": getattr(config, "rope_theta", None)}
    inverse = theta["rope_theta"] ** (-torch.arange(0, size, 2).double() / size)
    angles = torch.outer(torch.arange(8192).double(), inverse)
    cos, sin = constant("cos", angles.cos().float().numpy()), constant("sin", angles.sin().float().numpy())
    x = node("Gather", [constant("embedding", weights["embed_tokens.weight"]), "ids"], "embedded")
    for i in range(config.num_hidden_layers):
        layer = f"layers.{i}"
        h = norm(x, f"{layer}.input_layernorm")
        q, k, v = (linear(h, f"{layer}.self_attn.{p}_proj") for p in "qkv")
        mixed = f"{layer}.mixed"
        nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                [q, k, v, "", "", "last", "length", cos, sin],
                [mixed, f"{layer}.keys", f"{layer}.values"],
                domain="com.microsoft",
                num_heads=config.num_attention_heads,
                kv_num_heads=config.num_key_value_heads,
                do_rotary=1,
                rotary_interleaved=0,
            )
        )
        x = node("Add", [x, linear(mixed, f"{layer}.self_attn.o_proj")], f"{layer}.attended")
        h = norm(x, f"{layer}.post_attention_layernorm")
        gate, up = linear(h, f"{layer}.mlp.gate_proj"), linear(h, f"{layer}.mlp.up_proj")
        gated = node("Mul", [gate, node("Sigmoid", [gate], f"{layer}.sigmoid")], f"{layer}.silu")
        h = node("Mul", [gated, up], f"{layer}.units")
        x = node("Add", [x, linear(h, f"{layer}.mlp.down_proj")], f"{layer}.out")
    norm(x, "norm")
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "llama",
        [
            tensor("ids", TensorProto.INT64, ["batch", "length"]),
            tensor("last", TensorProto.INT32, ["batch"]),
            tensor("length", TensorProto.INT32, []),
        ],
        [tensor("norm.out", TensorProto.FLOAT, ["batch", "length", config.hidden_size])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), target)
    return str(target)


def onnx_int8(gguf, folder):
    """onnxruntime's dynamic quantisation, with its defaults."""
    target = Path(folder) / "int8.onnx"
    if not target.exists():
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            onnx_f32(gguf, folder),
            target,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            # Its shape inference does not know its own fused operators.
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    return str(target)
