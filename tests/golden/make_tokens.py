# SPDX-License-Identifier: Apache-2.0
"""Tokenizer and chat-template goldens, made by tokenizers, transformers and sentencepiece.

Makes data/tokens/*.hash (ids and labels of every row of the datasets under SmolLM2's tokenizer and
template), data/tokenizers/ (tiny tokenizers of each family with test vectors, and vectors for the
real SmolLM2 and stories260K) and data/chat.json. README.md beside this file has the formats.

Run: python make_tokens.py --smollm2 SmolLM2-135M-Instruct.Q4_1.gguf [--data DIR] [--stories FILE]
(versions: data/VERSIONS.txt)
"""

import argparse
import json
import shutil
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)
from transformers import PreTrainedTokenizerFast

import common
import templates

DATASETS = ["banking77", "bitext-short", "bitext-support", "crosswoz-zh", "gsm8k",
            "self-instruct-seed"]
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


# ---------------------------------------------------------------- SmolLM2 and the hashes

def smollm2_tokenizer(path):
    """The tokenizer and chat template of a GGUF whose `pre` is smollm.

    Built here and not by transformers, which (5.24) loses Digits when it reads a GGUF.
    """
    fields = gguf.GGUFReader(path).fields
    get = {k: fields["tokenizer." + k].contents() for k in
           ("ggml.tokens", "ggml.token_type", "ggml.merges", "ggml.pre", "chat_template")}
    assert get["ggml.pre"] == "smollm"
    tokens = get["ggml.tokens"]
    merges = [tuple(m.split(" ")) for m in get["ggml.merges"]]
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in
                            zip(tokens, get["ggml.token_type"]) if kind == 3])
    check_smollm2(tok)
    return tok, get["chat_template"]


def check_smollm2(tok):
    """Known ids of the real tokenizer, and llama.cpp's fingerprint of the family."""
    known = {"Hello, we can use": [19556, 28, 392, 416, 722],
             "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
             "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
             "  multiple   spaces": [216, 2701, 256, 5600], "\n": [198]}
    for text, ids in known.items():
        assert tok.encode(text, add_special_tokens=False).ids == ids, text
    ids = tok.encode(FINGERPRINT, add_special_tokens=False).ids
    assert common.sha256(str(ids).encode()) == \
        "855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249"


FINGERPRINT = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n\U0001f680 (normal) \U0001f636\u200d"
    "\U0001f32b\ufe0f (multiple emojis concatenated) \u2705 \U0001f999\U0001f999 3 33 333 3333 "
    "33333 333333 3333333 33333333 3.3 3..3 3...3 \u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796"
    "\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785\U0001f601 ?\u6211\u60f3\u5728apple\u5de5\u4f5c"
    "1314151\u5929\uff5e ------======= \u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b"
    "\u0433\u0430\u0440\u0441\u043a\u0438 ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told "
    "he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL")


def read_rows(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def messages_of(row):
    user = row["instruction"] + ("\n" + row["input"] if row["input"] else "")
    return [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]


def ids_and_labels(tok, fast, row):
    """Token ids of the rendered chat; labels of the answer and its end of turn, else -100."""
    messages = messages_of(row)
    text = fast.apply_chat_template(messages, tokenize=False)
    head = fast.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    start, end = len(head), len(head) + len(row["output"]) + len("<|im_end|>")
    assert text == head + row["output"] + "<|im_end|>\n"
    enc = tok.encode(text, add_special_tokens=False)
    for a, b in enc.offsets:  # no token may stand on both sides of the border
        assert b <= start or a >= start, (row, text[a:b])
    return enc.ids, [i if start <= a < end else -100 for i, (a, _) in zip(enc.ids, enc.offsets)]


def write_hashes(tok, fast, data, out):
    out.mkdir(parents=True, exist_ok=True)
    for name in DATASETS:
        for split in ("train", "valid", "test"):
            lines, tokens, trained = [], 0, 0
            for row in read_rows(data / name / f"{split}.jsonl"):
                ids, labels = ids_and_labels(tok, fast, row)
                row_bytes = common.int32_bytes(ids) + common.int32_bytes(labels)
                lines.append(common.sha256(row_bytes)[:8])
                tokens, trained = tokens + len(ids), trained + sum(x != -100 for x in labels)
            (out / f"{name}-{split}.hash").write_text("".join(x + "\n" for x in lines))
            print(f"{name}-{split}: {len(lines)} rows, {tokens} tokens, {trained} trained")


def write_one_row(tok, fast, data, out):
    """One row in full, to find out what differs when the hashes do."""
    row = read_rows(data / "bitext-short" / "test.jsonl")[0]
    ids, labels = ids_and_labels(tok, fast, row)
    common.write_json_lines(out / "example.json", [{"ids": ids}, {"labels": labels}])


# ---------------------------------------------------------------- tiny tokenizers

def corpus(data):
    texts = []
    for name in ("bitext-support", "gsm8k", "crosswoz-zh", "self-instruct-seed"):
        for row in read_rows(data / name / "train.jsonl")[:100]:
            texts += [row["instruction"], row["input"], row["output"]]
    return [t for t in texts if t] + ["    if x:\n        return  x\n\n"] * 20


def train_bpe(texts, pre, size, normalizer=None, alphabet=None, limit=None):
    """(vocabulary in id order, merges) of a BPE trained on the texts."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre
    if normalizer is not None:
        tok.normalizer = normalizer
    more = {"limit_alphabet": limit} if limit else {"initial_alphabet": alphabet}
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=[], **more)
    tok.train_from_iterator(texts, trainer)
    model = json.loads(tok.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    return vocab, [tuple(m) for m in model["merges"]]


def byte_level(regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    byte_level(False)])


def numbered(tokens):
    return {t: i for i, t in enumerate(tokens)}


def special(*texts):
    return [AddedToken(t, special=True, normalized=False) for t in texts]


def with_bos(tok, bos, more=()):
    template = processors.TemplateProcessing(single=[bos, "$A"],
                                             pair=[bos, "$A", f"{bos}:1", "$B:1"],
                                             special_tokens=[(bos, tok.token_to_id(bos))])
    tok.post_processor = processors.Sequence([*more, template]) if more else template


def make_llama3(texts):
    pre = split_then_bytes(LLAMA3_SPLIT)
    vocab, merges = train_bpe(texts, pre, 420, alphabet=pre_tokenizers.ByteLevel.alphabet())
    # ignore_merges shows only if a token cannot be reached: drop the merges of some last ones.
    parts = {p for m in merges for p in m}
    drop = [m for m in merges if len(m[0] + m[1]) > 4 and m[0] + m[1] not in parts][-12:]
    tok = Tokenizer(models.BPE(numbered(vocab), [m for m in merges if m not in drop],
                               ignore_merges=True))
    tok.pre_tokenizer, tok.decoder = pre, decoders.ByteLevel()
    tok.add_special_tokens(special("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                   "<|end_header_id|>", "<|eot_id|>"))
    with_bos(tok, "<|begin_of_text|>", [processors.ByteLevel(trim_offsets=True)])
    return tok, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>",
                 "chat_template": templates.trl("llama3")}


def make_qwen2(texts):
    pre = split_then_bytes(QWEN_SPLIT)
    vocab, merges = train_bpe(texts, pre, 420, normalizers.NFC(),
                              pre_tokenizers.ByteLevel.alphabet())
    tok = Tokenizer(models.BPE(numbered(vocab), merges))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizers.NFC(), pre, decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in
                    ("<think>", "</think>")])
    return tok, {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
                 "add_bos_token": False, "chat_template": templates.trl("qwen2_5")}


def make_gpt2(texts):
    vocab, merges = train_bpe(texts, byte_level(True), 420,
                              alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok = Tokenizer(models.BPE(numbered(vocab + ["<|endoftext|>"]), merges))
    tok.pre_tokenizer, tok.decoder = byte_level(True), decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.add_special_tokens(special("<|endoftext|>"))
    return tok, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                 "unk_token": "<|endoftext|>"}


def make_smollm(texts, chat_template):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
    vocab, merges = train_bpe(texts, pre, 420, alphabet=pre_tokenizers.ByteLevel.alphabet())
    # Merges that only a pre-tokenizer without Digits could reach.
    wrong = [("Ġ", "1"), ("1", "2"), ("Ċ", "2"), ("3", "3")]
    vocab, merges = vocab + [a + b for a, b in wrong], merges + wrong
    head = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tok = Tokenizer(models.BPE(numbered(head + vocab), merges))
    tok.pre_tokenizer, tok.decoder = pre, decoders.ByteLevel()
    tok.add_special_tokens(special(*head))
    # Whitespace before this one is swallowed, and it must stand alone: the rarer flags.
    tok.add_tokens([AddedToken("<mask>", lstrip=True, single_word=True, normalized=True)])
    return tok, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
                 "chat_template": chat_template}


SPM_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
               decoders.Strip(" ", 1, 0)]


def spm_parts(texts, size):
    """Vocabulary and merges as sentencepiece makes them: no merge across a word's start."""
    norm = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    vocab, merges = train_bpe(texts, pre_tokenizers.Split("▁", "merged_with_next"), size, norm,
                              limit=100)
    runs = [("▁", "▁"), ("▁▁", "▁▁")]
    return vocab + [a + b for a, b in runs], merges + runs, norm


def make_mistral(texts):
    vocab, merges, norm = spm_parts(texts, 230)
    head = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tok = Tokenizer(models.BPE(numbered(head + vocab), merges, unk_token="<unk>", fuse_unk=True,
                               byte_fallback=True))
    tok.normalizer, tok.decoder = norm, decoders.Sequence(SPM_DECODER)
    tok.add_special_tokens(special("<unk>", "<s>", "</s>"))
    with_bos(tok, "<s>")
    whole = {"content": "<s>", "lstrip": False, "normalized": False, "rstrip": False,
             "single_word": False, "__type": "AddedToken"}
    return tok, {"add_bos_token": True, "add_eos_token": False, "bos_token": whole,
                 "eos_token": {**whole, "content": "</s>"}, "unk_token": "<unk>",
                 "chat_template": [{"name": "default", "template": templates.MISTRAL_V3}]}


def make_metaspace(texts):
    vocab, merges, _ = spm_parts(texts, 230)
    tok = Tokenizer(models.BPE(numbered(["<unk>", "<s>", "</s>"] + vocab), merges,
                               unk_token="<unk>", fuse_unk=True, byte_fallback=False))
    tok.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tok.decoder = decoders.Sequence(SPM_DECODER)
    tok.add_special_tokens(special("<unk>", "<s>", "</s>"))
    with_bos(tok, "<s>")
    return tok, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                 "chat_template": templates.ZEPHYR}


OLD_MERGES = {"gpt2", "smollm", "mistral"}  # "a b"; the others keep ["a", "b"]


def save_tokenizer(name, tok, config, out):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    value = json.loads(tok.to_str())
    if name in OLD_MERGES:
        value["model"]["merges"] = [" ".join(m) for m in value["model"]["merges"]]
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    common.write_json(folder / "tokenizer_config.json", {
        **config, "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast"})
    tok = Tokenizer.from_file(str(path))  # what the file says counts
    common.write_json_lines(folder / "vectors.json", vectors(tok))
    print(f"{name}: {tok.get_vocab_size()} tokens, {path.stat().st_size} bytes")


# ---------------------------------------------------------------- vectors

TEXTS = [
    "", " ", "  ", "   ", "a", " a", "a ", "  a", "a  b", "a   b    c", "\n", "\n\n", " \n ", "\t",
    "a\tb\t\tc", "a\n\nb \n c\t", "line\r\nline\r\n\r\nend", "\r", "x \r\n y", "\u00a0x\u00a0y",
    "\u3000全角\u3000空格", "a\u2028b\u2029c\u0085d", "\u200bzero\u200bwidth", "\ufeffbom",
    "Hello, we can use", "Hello world! 123", "  multiple   spaces", "Café déjà vu.",
    "I'm don't WE'LL you'Re 'S 's it'S THEY'VE d'", "I\u2019m don\u2019t", "12345 67", "1234567890",
    "a  1\n\n2", "a b  12", "3.14 1,000,000 -5 +7% $9.99", "x1y22z333", "٣٤٥ १२३ ५",
    "½ ² Ⅷ ① 一二三", "日本語 🙂",
    "你好，世界！今天是2024年5月17日。", "顾客：这个酒店的电话是多少啊？", "안녕하세요 세계", "สวัสดีชาวโลก",
    "नमस्ते दुनिया", "مرحبا بالعالم، كيف الحال؟", "Привет, мир! Ёж", "ἀρχὴ τοῦ λόγου",
    "e\u0301 A\u030a \u1100\u1161\u11a8 \u0915\u093c", "é Å 각 क़", "\u212b \ufb01 \u2126 ２",
    "a\u0323\u0307 a\u0307\u0323",
    "👨‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️", "\U0001f636\u200d\U0001f32b\ufe0f", "𝒳 𐍈 \U0010ffff",
    "def f(x):\n    return x", "for(i=0;i<n;++i){a[i]+=b[i];}", "{\"a\": [1, 2, {\"b\": null}]}",
    "https://example.com/a?b=c&d=%20#e", "user@example.com", "!!!???...---===", "<b>&amp;</b>",
    "`code` **bold** _it_", "#### 5", "▁x▁ ▁▁", "Ġx Ċ",
    "aaaaaaaaaaaaaaaaaaaaaaaa", "The the THE tHe",
    "ſ ß ẞ İ ı ǅ", "\u0001\u001f\u007f\u0080\u009f", "end with space ", "end with newline\n",
    FINGERPRINT,
]
SPECIAL_TEXTS = [
    "<|im_start|>user\nHi<|im_end|>", "x</s>y", "<s>a</s> b</s>", " <s> a", "<|endoftext|>",
    "a<|endoftext|> b", "a <|eot_id|>\n<|begin_of_text|>b", "<think>\nhm\n</think>\n\nyes",
    "<|im_end|><|im_end|>", "<|im_start", "<unk>x", "<0x41>", "a <mask> b", "a<mask>b",
    "a  <mask>.",
]
LONG = [("unbelievable", 250), ("x", 3000), ("7", 300), (" ", 500), ("汉字", 150),
        ("é\u0301", 100)]


def entry(text, ids, ids_special, decoded):
    """special_prefix + ids is what encoding with special tokens gives; decoded only if not text."""
    e = {"text": text, "ids": ids}
    prefix = ids_special[:len(ids_special) - len(ids)]
    assert ids_special == prefix + ids
    if prefix:
        e["special_prefix"] = prefix
    if decoded != text:
        e["decoded"] = decoded
    return e


def long_entry(part, count, ids):
    return {"text": part, "repeat": count, "count": len(ids),
            "sha256": common.sha256(common.int32_bytes(ids))}


def vectors(tok, texts=TEXTS + SPECIAL_TEXTS):
    out = []
    for text in texts:
        ids = tok.encode(text, add_special_tokens=False).ids
        decoded = tok.decode(ids, skip_special_tokens=False)
        out.append(entry(text, ids, tok.encode(text).ids, decoded))
    for part, count in LONG:
        out.append(long_entry(part, count, tok.encode(part * count, add_special_tokens=False).ids))
    return out


def stories_vectors(path):
    """sentencepiece with remove_extra_whitespaces off, which is what the GGUF says (it has no such
    key); with it on, as tok512.model itself has it, the ids are `ids_trimmed` where they differ."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    trimmed = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    proto.normalizer_spec.remove_extra_whitespaces = False
    sp = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    out = []
    for text in TEXTS:
        ids = sp.encode(text)
        out.append(entry(text, ids, [sp.bos_id()] + ids, sp.decode(ids)))
        if trimmed.encode(text) != ids:
            out[-1]["ids_trimmed"] = trimmed.encode(text)
    return out + [long_entry(part, n, sp.encode(part * n)) for part, n in LONG]


# ---------------------------------------------------------------- chat templates

def turns(*contents):
    """A leading None means: no system message. Then user and assistant in turn."""
    out = [] if contents[0] is None else [{"role": "system", "content": contents[0]}]
    return out + [{"role": ("user", "assistant")[i % 2], "content": c}
                  for i, c in enumerate(contents[1:])]


CHATS = [
    (turns(None, "Hi"), True, {}),
    (turns(None, "Hi", "Hello!"), False, {}),
    (turns("Be brief.", "Hi"), True, {}),
    (turns("Be brief.", "Hi", "Hello!"), False, {}),
    (turns("Count.", "One", "Two", "Three", "Four"), False, {}),
    (turns("Count.", "One", "Two", "Three"), True, {}),
    (turns("  S \n", " \n U ", "  A\n\n", "\tU2 \n", " A2  "), False, {}),
    (turns("", "Hi", ""), False, {}),
    (turns(None, "你好", "a <b> & \"c\" 'd' {{ e }} {% f %}"), False, {}),
]
QWEN3_CHATS = [
    (turns(None, "Hi"), True, {"enable_thinking": False}),
    (turns(None, "Hi", "<think>\nhm\n</think>\n\nHello!"), False, {}),
    (turns(None, "Hi", "<think>\nhm\n</think>\n\nHello!", "Bye"), True, {}),
    (turns("S", "1", "<think>a</think>b", "2", "<think>\nc\n</think>\n\nd"), False, {}),
]


def chat_family(name, template, bos, eos):
    tok = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token=bos,
                                  eos_token=eos, chat_template=template)
    cases = []
    for messages, generation, options in CHATS + (QWEN3_CHATS if name == "qwen3" else []):
        case = {"messages": messages, "add_generation_prompt": generation, **options}
        try:
            case["text"] = tok.apply_chat_template(messages, tokenize=False, **options,
                                                   add_generation_prompt=generation)
        except Exception as e:  # a template that refuses: what it says is the golden
            case["error"] = str(e)
        cases.append(case)
    return {"name": name, "template": template, "bos_token": bos, "eos_token": eos, "cases": cases}


def write_chat(path, smollm2):
    """A JSON array; one case a line."""
    def dump(v):
        return json.dumps(v, ensure_ascii=False, separators=(",", ":"))
    parts = []
    for family in (chat_family(*f) for f in templates.families(smollm2)):
        cases = family.pop("cases")
        head = ",\n".join(f"{dump(k)}:{dump(v)}" for k, v in family.items())
        parts.append("{" + head + ",\n\"cases\":[\n" + ",\n".join(map(dump, cases)) + "\n]}")
    path.write_text("[\n" + ",\n".join(parts) + "\n]\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=common.REPO / "examples" / "data",
                        help="folder of the datasets (%(default)s)")
    parser.add_argument("--smollm2", type=Path, required=True,
                        help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--stories", type=Path, help="tok512.model of stories260K",
                        default=common.REPO / "examples/models/stories260K/tok512.model")
    parser.add_argument("--out", type=Path, default=common.DATA)
    parser.add_argument("--no-hashes", action="store_true", help="leave the dataset hashes alone")
    args = parser.parse_args()

    tok, template = smollm2_tokenizer(args.smollm2)
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|im_start|>",
                                   eos_token="<|im_end|>", chat_template=template)
    out = args.out / "tokenizers"
    texts = corpus(args.data)
    save_tokenizer("llama3", *make_llama3(texts), out)
    save_tokenizer("qwen2", *make_qwen2(texts), out)
    save_tokenizer("gpt2", *make_gpt2(texts), out)
    save_tokenizer("smollm", *make_smollm(texts, template), out)
    save_tokenizer("mistral", *make_mistral(texts), out)
    save_tokenizer("metaspace", *make_metaspace(texts), out)
    common.write_json_lines(out / "smollm2.vectors.json", vectors(tok))
    common.write_json_lines(out / "stories260K.vectors.json", stories_vectors(args.stories))
    write_chat(args.out / "chat.json", template)
    write_one_row(tok, fast, args.data, args.out / "tokens")
    if not args.no_hashes:
        write_hashes(tok, fast, args.data, args.out / "tokens")
    common.write_versions()


if __name__ == "__main__":
    main()
