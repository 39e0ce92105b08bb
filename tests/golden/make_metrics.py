# SPDX-License-Identifier: Apache-2.0
"""Metrics of answers beside expected ones, as their reference implementations compute them.

Makes data/metrics.json: sets of rows (real answers, edge cases, drawn texts), each metric's value of
the set, of every row where the value is a mean, and of a drawn resample of the rows.

Run: python make_metrics.py     (versions: in the file itself)
Needed: sacrebleu, rouge-score, scikit-learn, scipy, regex, transformers < 5 (SQuAD's evaluation).
"""

import collections
import importlib.metadata
import json
import math
import pathlib
import string
import unicodedata

import numpy as np
import regex
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import accuracy_score, f1_score
from transformers.data.metrics import squad_metrics

# Expected answers of the first test rows of bitext-short (Bitext Innovations, CDLA-Sharing 1.0) and
# crosswoz-zh (thu-coai/CrossWOZ, Apache 2.0), and what SmolLM2-135M-Instruct.Q4_1 answers: greedy,
# 40 tokens.
BITEXT = [
    ("We appreciate your feedback! You can leave a review for a product by going to its page on our site and clicking the 'Write a Review' button.",
     "I'm sorry for any misunderstanding, but as a product review AI, I'm designed to provide feedback and suggestions. I'm here to assist you with any product or service you're considering. However,"),
    ("If you're having trouble registering, please contact our support team at support@example.com, and we'll assist you in creating your account.",
     "I'm sorry to inform you that I'm unable to assist with your specific needs. However, I can certainly help you with any other issues you're facing. If you have any specific questions or concerns"),
    ("You can reach our customer service team via the 'Contact Us' page on our website, by email at support@example.com, or by calling us at (123) 456-7890.",
     "I'm sorry for any misunderstanding, but as a chatbot designed to assist with customer service, I'm designed to provide assistance with any type of customer service interaction. I'm not equipped to assist with"),
    ("You can download your invoice from the 'Order History' section of your account. If you need further assistance, our customer support is here to help.",
     "I'm sorry to inform you that I'm unable to assist with your specific bill #12588. However, I can help you with other related issues, such as getting your credit card"),
    ("Placing an order is easy! Just add the items you want to your cart, proceed to checkout, and follow the prompts. If you need assistance, we're here to help.",
     "I'm here to help you craft a custom product that showcases your skills and creativity. What can I assist you with today? Do you have a product idea in mind, or would you like to discuss"),
    ("Your invoice can be found in the 'Order History' section of your account. If you encounter any issues or need a physical copy, please contact our customer service.",
     "To give a quick look at the invoice from Ms. Hawkings, I'd recommend using a digital tool or a spreadsheet. Here's a suggested approach:\n\n1. Open a web browser and navigate"),
    ("To subscribe to our newsletter, simply enter your email address in the subscription box on our homepage. You'll be the first to know about special offers and new products!",
     "I'm sorry for any misunderstanding, but as a chatbot designed to assist with digital services, I don't have the ability to sign up to your company newsletter. I'm here to assist with digital"),
    ("If you're having trouble registering, please contact our support team at support@example.com, and we'll assist you in creating your account.",
     "The most reliable and trustworthy way to report a registration problem is to contact the official website of the company you are registering with. This website is a trusted resource for all types of information, including registration details"),
]

CROSSWOZ = [
    ("不客气。",
     "你是客服。根据已知信息回复顾客。\n\n所以，你是客服。根"),
    ("电话是010-62165588。",
     "你是客服。根据已知信息回复顾客。\n\n已知信息：酒店�"),
    ("为您推荐十渡拒马乐园。",
     "你是客服。根据已知信息回复顾客。\n\n已知信息：景点名�"),
    ("电话是010-82150018。",
     "你是客服。根据已知信息回复顾客。\n\n已知信息：餐馆"),
    ("电话是81313630。",
     "你是客服。根据已知信息回复顾客。\n\n已知信息：餐馆"),
    ("建议您到万寿山转转，这个时节去正好。",
     "你是客服。根据已知信息回复顾客。\n\n已知信息：景点名�"),
]

EDGES = [
    ("", ""), ("", "x"), ("x", ""), ("   ", "\n"), ("...", "!?"), ("...", "..."), ("!", "the"),
    ("The cat sat.", "the cat sat"), ("A dog", "dog"), ("an a the", ""), ("a.b.c", "a.b c"),
    ("😀 yes", "😀 yes"), ("👩‍👩‍👧", "👩"), ("42", "#### 42"), ("#### 1,234.50", "so it is #### 1234.5 done 7"),
    ("#### -3", "10-3"), ("#### 5", "####"), ("costs $0.5", "costs .5"), ("1/2 or 3.", "3"), ("2-3", "3"), ("x -3", "-3.0"),
    ('{"a": [1, 2.5e3, null]}', '{"a": [1, 2.5e3, null]}'), ('{"a":1}', '{"a":1'), ("[]", " [] \n"), ("true", '{"a":1,"a":2}'),
    ("null", "NaN"), ('"x"', "'x'"), ("1", "01"), ("[1]", "[1,]"), ("{}", "{} {}"), ("0", "-0.0"),
    ("Größe", "größe"), ("naïve café", "naive cafe"), ("e\u0301te\u0301", "été"), ("Привет, мир", "привет мир"),
    ("日本語です", "日本語 です"), ("東京", "东京"), ("東京都知事選挙です", "東京都知事選挙"), ("next\u0085line", "next line"), ("ภาษาไทยที่ดี", "ภาษาไทยดี"), ("你好 world 再见", "world 你好"),
    ("한국어 문장", "한국어"), ("مرحبا بالعالم", "مرحبا"), ("１２３ ＡＢＣ", "123 ABC"), ("½ ² Ⅷ", "½ 2 VIII"),
    ("it&amp;lt;s &quot;so&quot; &gt;", 'it<s "so" >'), ("<skipped>well-\nknown", "wellknown"), ("1.5,2.5 3,4", "1.5, 2.5 3, 4"),
    ("10-12", "10 - 12"), ("a" * 70, "a" * 60), ("tab\tnbsp\u00a0ideographic\u3000fs\x1cx", "tab nbsp ideographic fs x"),
]

LABELS = [("card_arrival", "card_arrival"), ("card_arrival", " card_arrival\n"), ("lost_card", "card_arrival"),
          ("lost_card", "lost card"), ("top_up", "top_up"), ("top_up", "top_up"), ("top_up", "lost_card"),
          ("exchange_rate", "something else"), ("exchange_rate ", "exchange_rate"), ("refund", "")]

PIECES = ["a", "An", "the", "cat", "cats", "Dog.", "it's", "3.14", "1,000", "-5", "7-", "x-\ny", "&amp;", "&lt;b&gt;",
          "&quot;", "<skipped>", "“q”", "—", "…", "你", "好", "我们", "。", "，", "２", "カタ", "の", "한국", "ไทย", "ที่",
          "é", "Größe", "ß", "\u0301", "😀", "...", ",,", "a.b", ".", "1.", " ", " ", " ", "\t", "\u00a0", "\u3000", "𠀀",
          "½", "नमस्ते", "مرحبا", "привет", "[x]", "{y}", "_", "`", "~", "%", "'", "\"", "####", "9"]
HAN = ["你", "好", "我们", "推荐", "酒店", "电话", "是", "的", "。", "，", "？", "“", "”", "（", "）", "…", "1", "3.5", "-", "OK", " "]


# ---- the rules of docs/metrics.md, where graft goes past a reference ----

UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Tibetan}\p{Myanmar}\p{Khmer}&&\p{L}]\p{M}*",
                         flags=regex.V1)


def apart(text):
    """Letters of scripts without spaces, with their marks, as words of their own."""
    return UNSPACED.sub(r" \g<0> ", text)


class Words:
    """rouge-score's tokenizer, past ASCII too."""

    def tokenize(self, text):
        return regex.findall(r"[\p{L}\p{M}\p{N}]+", apart(text).lower())


SCRIPTS = ("Latin Greek Cyrillic Armenian Hebrew Arabic Devanagari Bengali Gurmukhi Gujarati Tamil Telugu Kannada Malayalam "
           "Sinhala Thai Lao Tibetan Myanmar Georgian Hangul Ethiopic Khmer Kana Han").split()


def script(text):
    count = collections.Counter()
    for c in text:
        if not unicodedata.category(c).startswith("L"):
            continue
        for s in SCRIPTS:
            pattern = {"Kana": r"[\p{Hiragana}\p{Katakana}]", "Han": r"[\p{Han}\p{Bopomofo}]"}.get(s, r"\p{Script=%s}" % s)
            if regex.match(pattern, c):
                count[s] += 1
    if count["Kana"]:
        count["Kana"] += count.pop("Han", 0)
    if not count or max(count.values()) == 0:
        return None
    return max(SCRIPTS, key=lambda s: (count[s], -SCRIPTS.index(s)))


def chinese(texts):
    text = "".join(texts)
    han = len(regex.findall(r"[\p{Han}\p{Bopomofo}&&\p{L}]", text, flags=regex.V1))
    return han > 0 and 2 * han >= len(regex.findall(r"\p{L}", text))


NUMBER = regex.compile(r"(?:(?<![0-9A-Za-z])-)?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)")


def number(text):
    marker = text.find("####")
    if marker >= 0:
        found = NUMBER.search(text, marker + 4)
        found = found.group() if found else None
    else:
        found = NUMBER.findall(text)
        found = found[-1] if found else None
    return None if found is None else float(found.replace(",", ""))


def is_json(text):
    def unique(pairs):
        if len({k for k, _ in pairs}) != len(pairs):
            raise ValueError("doubled key")
        return dict(pairs)

    def refuse(name):
        raise ValueError(name)

    try:
        json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        return True
    except ValueError:
        return False


def style_counts(text):
    text = "\x02" + regex.sub(r"[\s\x1c-\x1f]+", " ", text) + "\x03"
    return collections.Counter(text[i:i + n] for n in (1, 2, 3) for i in range(len(text) - n + 1))


def style_vectors(texts, grams):
    spread, lengths = np.zeros(513), np.zeros(32)
    for text in texts:
        for gram, count in style_counts(text).items():
            spread[grams.get(gram, 512)] += count
        lengths[min(31, int(math.floor(2 * math.log2(len(text) + 1) + 1e-12)))] += 1
    return spread, lengths


def style(train, answers):
    total = collections.Counter()
    for text in train:
        total += style_counts(text)
    top = sorted(total, key=lambda g: (-total[g], [ord(c) for c in g] + [0] * (6 - len(g))))[:512]
    grams = {g: i for i, g in enumerate(top)}
    a, b = style_vectors(answers, grams), style_vectors(train, grams)
    return float(1 - (jensenshannon(a[0], b[0], base=2) + jensenshannon(a[1], b[1], base=2)) / 2)


# ---- the references ----

def row_scores(rows):
    """name: one score a row, None where the row does not count."""
    rouge = rouge_scorer.RougeScorer(["rougeL"], tokenizer=Words())
    plain = rouge_scorer.RougeScorer(["rougeL"])
    out = collections.defaultdict(list)
    for row in rows:
        want, got = row["expected"], row["answer"]
        out["loss"].append(row["nll"] / row["predicted"])
        out["exact_match"].append(want.encode() == got.encode())
        out["exact_match_normalized"].append(squad_metrics.compute_exact(want, got))
        out["token_f1"].append(squad_metrics.compute_f1(apart(want), apart(got)))
        out["rouge_l"].append(rouge.score(want, got)["rougeL"].fmeasure)
        if (want + got).isascii():
            assert out["rouge_l"][-1] == plain.score(want, got)["rougeL"].fmeasure, (want, got)
        expected = number(want)
        out["number_match"].append(None if expected is None else expected == number(got))
        out["accuracy"].append(want.strip() == got.strip())
        out["json_valid"].append(is_json(got))
        out["answer_length"].append(len(got))
        out["same_script"].append(None if script(want) is None else script(want) == script(got))
        out["cut_off"].append(not row["ended"])
    return {name: [None if s is None else float(s) for s in scores] for name, scores in out.items()}


def values(rows, labels, zh, train):
    want, got = [r["expected"] for r in rows], [r["answer"] for r in rows]
    out = {}
    for name, scores in row_scores(rows).items():
        counted = [s for s in scores if s is not None]
        out[name] = math.fsum(counted) / len(counted) if counted else None
    out["loss"] = math.fsum(r["nll"] for r in rows) / sum(r["predicted"] for r in rows)
    out["perplexity"] = math.exp(out["loss"])
    out["bleu"] = BLEU(tokenize="zh" if zh else "13a").corpus_score(got, [want]).score
    out["chrf"] = CHRF().corpus_score(got, [want]).score
    out["length_ratio"] = sum(map(len, got)) / sum(map(len, want))
    true, guess = [t.strip() for t in want], [t.strip() for t in got]
    assert abs(out["accuracy"] - accuracy_score(true, guess)) < 1e-15
    there = sorted(set(labels) & (set(true) | set(guess)))
    out["macro_f1"] = float(f1_score(true, guess, labels=there, average="macro", zero_division=0))
    out["style"] = style(train, got)
    return out


def make_set(name, pairs, train, random):
    rows = [{"expected": want, "answer": got, "ended": bool(random.integers(2)),
             "nll": float(random.uniform(0, 50)), "predicted": int(random.integers(1, 40))} for want, got in pairs]
    draw = [int(i) for i in random.integers(len(rows), size=len(rows))]
    labels = {r["expected"].strip() for r in rows}
    zh = chinese(r["expected"] for r in rows)
    return {"name": name, "train": train, "rows": rows, "chinese": zh, "row_scores": row_scores(rows),
            "values": values(rows, labels, zh, train), "draw": draw,
            "draw_values": values([rows[i] for i in draw], labels, zh, train)}


def drawn(random, pieces, count):
    def text():
        return "".join(random.choice(pieces, size=random.integers(0, 14)))

    pairs = []
    for _ in range(count):
        want = text()
        got = want + text() if random.random() < 0.3 else text()
        pairs.append((str(want), str(got)))
    return pairs


def main():
    random = np.random.default_rng(7)
    english, han = [want for want, _ in BITEXT], [want for want, _ in CROSSWOZ]
    sets = [make_set("bitext-short", BITEXT, english, random), make_set("crosswoz-zh", CROSSWOZ, han, random),
            make_set("edges", EDGES, english + han, random), make_set("labels", LABELS, english, random),
            make_set("drawn", drawn(random, PIECES, 120), english + han, random),
            make_set("drawn-zh", drawn(random, HAN, 60), han, random)]
    names = ["sacrebleu", "rouge-score", "scikit-learn", "scipy", "regex", "transformers"]
    versions = {name: importlib.metadata.version(name) for name in names}
    out = {"versions": versions, "sets": sets}
    path = pathlib.Path(__file__).parent / "data" / "metrics.json"
    path.write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


main()
