# SPDX-License-Identifier: Apache-2.0
"""What the real SmolLM2-135M-Instruct (Q4_1 GGUF) says, by transformers in float32.

The GGUF's weights are dequantized by gguf-py and put into LlamaForCausalLM, q and k rows moved back
to Hugging Face's order. Makes data/smollm2/generate.json: greedy continuations of chat and plain
prompts, and the negative log likelihood of every trained token of some rows of bitext-short.

Run: python make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf [--data DIR]
(versions: data/VERSIONS.txt; about two minutes on one core, 1.5 GB of memory)
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import common
import make_tokens

NEW_TOKENS, NLL_ROWS = 32, 8

CHATS = [
    "What is the capital of France?",
    "i need help to cancel my order",
    "Write a short poem about the sea.",
    "What is 12 + 30?",
    "Name three primary colors.",
    "Translate to French: Good morning, my friend.",
]
PLAIN = ["Once upon a time", "def fibonacci(n):\n"]

# (Hugging Face, GGUF)
NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}


def unpermute_rows(x, heads):
    """GGUF `llama` row order (neighbouring pairs) to Hugging Face's (halves)."""
    pairs = x.reshape(heads, x.shape[0] // heads // 2, 2, *x.shape[1:])
    return pairs.swapaxes(1, 2).reshape(x.shape)


def read_model(path):
    """The GGUF as a LlamaForCausalLM in float32."""
    reader = gguf.GGUFReader(path)

    def key(name):
        return reader.fields["llama." + name].contents()

    cfg = LlamaConfig(
        vocab_size=key("vocab_size"), hidden_size=key("embedding_length"),
        intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"),
        num_attention_heads=key("attention.head_count"),
        num_key_value_heads=key("attention.head_count_kv"),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=key("context_length"), tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")},
        bos_token_id=1, eos_token_id=2, pad_token_id=2, attn_implementation="eager")
    tensors = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
               for t in reader.tensors}
    state = {"model.embed_tokens.weight": tensors.pop("token_embd.weight"),
             "model.norm.weight": tensors.pop("output_norm.weight")}
    heads = {"self_attn.q_proj": cfg.num_attention_heads,
             "self_attn.k_proj": cfg.num_key_value_heads}
    for i in range(cfg.num_hidden_layers):
        for hf, name in NAMES.items():
            x = tensors.pop(f"blk.{i}.{name}.weight")
            if hf in heads:
                x = unpermute_rows(x, heads[hf])
            state[f"model.layers.{i}.{hf}.weight"] = x
    assert not tensors, f"left over: {list(tensors)}"
    model = LlamaForCausalLM(cfg).float().eval()
    missing, unexpected = model.load_state_dict(
        {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}, strict=False)
    assert missing in ([], ["lm_head.weight"]) and not unexpected
    model.tie_weights()
    return model


@torch.no_grad()
def greedy(model, prompt):
    """The argmax of each step, stopping after <|im_end|>; and the smallest gap between the best
    and the second logit, which says how near the choice was.
    """
    ids, gap = torch.tensor([prompt]), float("inf")
    out = model(input_ids=ids, use_cache=True)
    new = []
    while True:
        top = out.logits[0, -1].topk(2).values
        gap = min(gap, float(top[0] - top[1]))
        new.append(int(out.logits[0, -1].argmax()))
        if len(new) == NEW_TOKENS or new[-1] == model.config.eos_token_id:
            return new, gap
        out = model(input_ids=torch.tensor([new[-1:]]), past_key_values=out.past_key_values,
                    use_cache=True)


@torch.no_grad()
def nll_of_row(model, ids, labels):
    """The negative log likelihood of each trained token, in the order of the row."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    target = torch.tensor(labels[1:])
    nll = torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="none")
    return [float(x) for x in nll[target != -100]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--data", type=Path, default=common.REPO / "examples" / "data",
                        help="folder of the datasets (%(default)s)")
    parser.add_argument("--out", type=Path, default=common.DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)

    tok, template = make_tokens.smollm2_tokenizer(args.model)
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|im_start|>",
                                   eos_token="<|im_end|>", chat_template=template)
    model = read_model(args.model)
    prompts = [(text, fast.apply_chat_template([{"role": "user", "content": text}], tokenize=False,
                                               add_generation_prompt=True)) for text in CHATS]
    generated, rows = [], []
    for text, rendered in prompts + [(t, t) for t in PLAIN]:
        ids = tok.encode(rendered, add_special_tokens=False).ids
        new, gap = greedy(model, ids)
        answer = tok.decode(new, skip_special_tokens=False)
        generated.append({"prompt": text, "chat": rendered != text, "prompt_ids": ids,
                          "new_ids": new, "text": answer, "smallest_logit_gap": round(gap, 4)})
        print(f"{text!r} -> {answer!r} (gap {gap:.4f})")
    for row in make_tokens.read_rows(args.data / "bitext-short" / "test.jsonl")[:NLL_ROWS]:
        ids, labels = make_tokens.ids_and_labels(tok, fast, row)
        nll = nll_of_row(model, ids, labels)
        first = next(i for i, x in enumerate(labels) if x != -100)
        rows.append({"ids": ids, "first_trained": first,
                     "nll": [float(f"{x:.7g}") for x in nll]})
        print(f"nll of {len(nll)} tokens: mean {sum(nll) / len(nll):.4f}")
    path = args.out / "smollm2" / "generate.json"
    path.parent.mkdir(parents=True, exist_ok=True)

    def lines(items):
        return ",\n".join(json.dumps(i, ensure_ascii=False, separators=(",", ":")) for i in items)
    text = '{"generate":[\n' + lines(generated) + '\n],\n"nll":[\n' + lines(rows) + "\n]}\n"
    path.write_text(text, encoding="utf-8")
    common.write_versions()


if __name__ == "__main__":
    main()
