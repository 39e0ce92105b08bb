#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/llama-q8_0.gguf: golden/data/llama as llama.cpp's converter writes it, with the linear
layers in Q8_0 by gguf-py's quantizer. Needs numpy, safetensors and gguf (0.19)."""
import json
import pathlib

import gguf
import numpy as np
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden" / "data" / "llama"
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def permute(w, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return (w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2)
            .reshape(w.shape))


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def main():
    config = json.loads((GOLDEN / "config.json").read_text())
    writer = gguf.GGUFWriter(HERE / "data" / "llama-q8_0.gguf", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    for name, w in load_file(GOLDEN / "model.safetensors").items():
        if "q_proj" in name:
            w = permute(w, config["num_attention_heads"])
        if "k_proj" in name:
            w = permute(w, config["num_key_value_heads"])
        kind = gguf.GGMLQuantizationType.F32
        if w.ndim == 2 and "embed" not in name:
            kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(np.ascontiguousarray(w), kind),
                          raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
