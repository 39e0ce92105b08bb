# SPDX-License-Identifier: Apache-2.0
"""Chat templates that the goldens are rendered with.

SmolLM2's comes from the GGUF file, those of Qwen, Llama-3, Gemma and Phi-3 from the package `trl`
(Apache-2.0; the texts are the model publishers'). The others stand here: the Mistral v3 and tekken
ones are reduced to plain chat, the rest are written as the publishers wrote them.
"""

from importlib import resources

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}")

ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
    "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}")

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}"
    "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}" + ALTERNATE +
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}")

MISTRAL_V02 = (
    "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}"
    "{% endif %}{% endfor %}")

MISTRAL_V3 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is defined and tools is not none and loop.last %}
            {{- "[AVAILABLE_TOOLS] " + tools | tojson + "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""

MISTRAL_TEKKEN = (MISTRAL_V3.replace('"[INST] "', '"[INST]"').replace("_TOOLS] ", "_TOOLS]")
                  .replace('" " + message["content"]|trim + eos', 'message["content"] + eos'))

MISTRAL_V7 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + '[/INST]' }}{% elif message['role'] == 'system' %}"
    "{{ '[SYSTEM_PROMPT] ' + message['content'] + '[/SYSTEM_PROMPT]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% else %}"
    "{{ raise_exception('Only user, system and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}")

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""


def trl(name):
    return (resources.files("trl") / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def families(smollm2):
    """(name, template, bos_token, eos_token) of every family."""
    llama3 = ("<|begin_of_text|>", "<|eot_id|>")
    return [
        ("chatml", CHATML, "<s>", "<|im_end|>"),
        ("smollm2", smollm2, "<|im_start|>", "<|im_end|>"),
        ("qwen2.5", trl("qwen2_5"), None, "<|im_end|>"),
        ("qwen3", trl("qwen3"), None, "<|im_end|>"),
        ("llama-3", trl("llama3"), *llama3),
        ("llama-3.1", trl("llama3_1"), *llama3),
        ("llama-2", LLAMA2, "<s>", "</s>"),
        ("mistral-v0.2", MISTRAL_V02, "<s>", "</s>"),
        ("mistral-v3", MISTRAL_V3, "<s>", "</s>"),
        ("mistral-v3-tekken", MISTRAL_TEKKEN, "<s>", "</s>"),
        ("mistral-v7", MISTRAL_V7, "<s>", "</s>"),
        ("gemma", trl("gemma"), "<bos>", "<eos>"),
        ("gemma-3", trl("gemma3"), "<bos>", "<eos>"),
        ("zephyr", ZEPHYR, "<s>", "</s>"),
        ("phi-3", trl("phi3"), "<s>", "<|endoftext|>"),
    ]
