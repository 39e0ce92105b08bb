/* SPDX-License-Identifier: Apache-2.0
 *
 * graft generate and graft chat: the model answers, token by token as they come.
 */
#include "cli/cli.h"

#include "generate/generator.h"
#include "session/source.h"

#include <stdio.h>
#include <string.h>

struct talk {
    struct source source;
    struct session *session;
    struct generator *generator;
    struct detokenizer stream;
    struct str piece;
    int64_t max_new_tokens, length;
    struct sample_options sample;
    bool quiet; /* collect, do not print */
    struct str answer;
};

static enum graft_status read_options(const struct cli_args *args, struct talk *t, struct error *e)
{
    int64_t seed = 0;
    enum graft_status status =
        cli_int(args, "max-new-tokens", 1, 1 << 20, 256, &t->max_new_tokens, e);
    if (status == GRAFT_OK)
        status = cli_float(args, "temperature", 0, 100, 0, &t->sample.temperature, e);
    if (status == GRAFT_OK) status = cli_float(args, "top-p", 0.001, 1, 1, &t->sample.top_p, e);
    if (status == GRAFT_OK) status = cli_int(args, "seed", 0, INT64_MAX, 0, &seed, e);
    t->sample.seed = (uint64_t)seed;
    t->quiet = cli_flag(args, "json");
    return status;
}

/* length: tokens of prompt and answer that there must be room for. */
static enum graft_status start(struct talk *t, const struct cli_args *args, int64_t length,
                               struct error *e)
{
    int64_t context = model_config(t->session->model)->context;
    t->length = length < context ? length : context;
    struct generator_size size = {.slots = 1,
                                  .length = (size_t)t->length,
                                  .tokens = (size_t)t->length < 256 ? (size_t)t->length : 256};
    const char *backend = cli_value(args, "backend");
    const struct settings *s = t->source.settings;
    struct device_request device = source_device(s, backend);
    enum graft_status status = generator_plan(t->session, &size, &t->generator, e);
    if (status == GRAFT_OK) status = session_start(t->session, &device, e);
    if (status == GRAFT_OK && t->source.request.adapter_count != 0)
        status = session_load_adapters(t->session, t->source.folders, e);
    if (status == GRAFT_OK) status = generator_compile(t->generator, e);
    return status;
}

static void end(struct talk *t)
{
    generator_destroy(t->generator);
    session_close(t->session);
    source_free(&t->source);
    str_free(&t->piece);
    str_free(&t->answer);
}

static void on_token(void *context, size_t prompt, int32_t id)
{
    struct talk *t = context;
    (void)prompt;
    str_clear(&t->piece);
    if (id >= 0)
        detokenizer_push(&t->stream, id, &t->piece);
    else
        detokenizer_finish(&t->stream, &t->piece);
    if (t->piece.length == 0) return;
    str_add(&t->answer, t->piece.data, t->piece.length);
    if (t->quiet) return;
    fwrite(t->piece.data, 1, t->piece.length, stdout);
    fflush(stdout);
}

static bool stop(void *context)
{
    return cli_stop_requested(context);
}

static enum graft_status answer(struct talk *t, const struct token_list *prompt, struct error *e)
{
    size_t room = (size_t)t->max_new_tokens;
    int32_t *ids = mem_zalloc(room, sizeof *ids);
    if (ids == NULL) return error_memory(e, "an answer", room * sizeof *ids);
    struct generate_prompt p = {prompt->ids, prompt->count};
    struct generate_answer a = {.ids = ids};
    struct generate_request request = {.prompts = &p,
                                       .answers = &a,
                                       .count = 1,
                                       .max_new_tokens = room,
                                       .sample = t->sample,
                                       .on_token = on_token,
                                       .stop = stop,
                                       .context = t};
    str_clear(&t->answer);
    detokenizer_begin(&t->stream, t->session->tokenizer, true);
    enum graft_status status = generator_run(t->generator, &request, e);
    mem_free(ids);
    return status;
}

/* A prompt is a user's turn where the model has a chat template (and --raw is not given), else text
 * that the model goes on with. */
static enum graft_status encode(const struct talk *t, const char *text, bool raw,
                                struct token_list *ids, struct error *e)
{
    struct chat_message message = {"user", text, strlen(text)};
    enum graft_status status = session_begin_prompt(t->session, ids, e);
    if (status != GRAFT_OK) return status;
    if (t->session->has_chat && !raw)
        return conversation_prompt(t->session->tokenizer, &t->session->chat, &message, 1, ids, e);
    return tokenizer_encode(t->session->tokenizer, text, strlen(text), true, ids, e);
}

int command_generate(const struct cli_args *args)
{
    struct error e = {0};
    struct talk t = {0};
    struct token_list ids = {0};
    const char *prompt = cli_value(args, "prompt");
    if (prompt == NULL) {
        error_set(&e, GRAFT_E_INVALID, "--prompt is missing; give the text to answer");
        return cli_fail(&e);
    }
    size_t good = utf8_check(prompt, strlen(prompt));
    if (prompt[good] != '\0') {
        error_set(&e, GRAFT_E_INVALID,
                  "--prompt: not UTF-8 at byte %zu (0x%02X): convert it to UTF-8", good,
                  (unsigned)(unsigned char)prompt[good]);
        return cli_fail(&e);
    }
    cli_signals_begin();
    enum graft_status status = read_options(args, &t, &e);
    if (status == GRAFT_OK)
        status = source_open(args->arguments[0], cli_value(args, "model"), &t.source, &e);
    if (status == GRAFT_OK) status = session_open(&t.source.request, &t.session, &e);
    if (status == GRAFT_OK) status = encode(&t, prompt, cli_flag(args, "raw"), &ids, &e);
    if (status == GRAFT_OK) status = start(&t, args, (int64_t)ids.count + t.max_new_tokens, &e);
    if (status == GRAFT_OK) status = answer(&t, &ids, &e);
    int exit_status = EXIT_DONE;
    if (status != GRAFT_OK)
        exit_status = cli_fail(&e);
    else if (t.quiet)
        exit_status = cli_print_json(json_pack("{s:s, s:s, s:I}", "prompt", prompt, "answer",
                                               t.answer.length != 0 ? t.answer.data : "",
                                               "prompt_tokens", (json_int_t)ids.count));
    else
        putchar('\n');
    token_list_free(&ids);
    end(&t);
    return exit_status;
}

/* Chat */

struct history {
    struct chat_message *messages;
    char **texts;
    size_t count, capacity, text_capacity;
};

static bool remember(struct history *h, const char *role, const char *text)
{
    char *copy = mem_strdup(text);
    if (copy == NULL ||
        !array_reserve(&h->messages, &h->capacity, h->count + 1, sizeof *h->messages) ||
        !array_reserve(&h->texts, &h->text_capacity, h->count + 1, sizeof *h->texts)) {
        mem_free(copy);
        return false;
    }
    h->texts[h->count] = copy;
    h->messages[h->count++] = (struct chat_message){role, copy, strlen(copy)};
    return true;
}

/* All but the first `kept` messages. */
static void forget(struct history *h, size_t kept)
{
    while (h->count > kept) mem_free(h->texts[--h->count]);
}

static void history_free(struct history *h)
{
    forget(h, 0);
    mem_free(h->texts);
    mem_free(h->messages);
}

/* One line of input without its end; false at the end of the input. */
static bool read_line(struct str *line)
{
    int c;
    str_clear(line);
    while ((c = getchar()) != EOF && c != '\n') str_putc(line, (char)c);
    return c != EOF || line->length != 0;
}

static enum graft_status turn(struct talk *t, struct history *h, const char *text, struct error *e)
{
    struct token_list ids = {0};
    if (!remember(h, "user", text)) return error_memory(e, "the conversation", 0);
    enum graft_status status = session_begin_prompt(t->session, &ids, e);
    if (status == GRAFT_OK)
        status = conversation_prompt(t->session->tokenizer, &t->session->chat, h->messages,
                                     h->count, &ids, e);
    if (status == GRAFT_OK && ids.count + 1 >= (size_t)t->length)
        status = error_set(e, GRAFT_E_INVALID,
                           "the conversation has %zu tokens with this turn, and an answer after it "
                           "must fit into %lld: say it shorter, or start anew",
                           ids.count, (long long)t->length);
    if (status == GRAFT_OK) {
        status = answer(t, &ids, e);
        putchar('\n');
    }
    if (status == GRAFT_OK &&
        !remember(h, "assistant", t->answer.length != 0 ? t->answer.data : ""))
        status = error_memory(e, "the conversation", 0);
    token_list_free(&ids);
    return status;
}

/* A turn that is wrong in itself is said and forgotten, and the talk goes on; *exit_status tells of
 * it. Another failure ends the talk. */
static enum graft_status take_turn(struct talk *t, struct history *h, const char *text,
                                   int *exit_status, struct error *e)
{
    size_t before = h->count;
    enum graft_status status = turn(t, h, text, e);
    if (cli_exit_status(status) != EXIT_REQUEST) return status;
    fflush(stdout);
    fprintf(stderr, "graft: %s; this turn is forgotten\n", e->text);
    *exit_status = EXIT_REQUEST;
    forget(h, before);
    return GRAFT_OK;
}

int command_chat(const struct cli_args *args)
{
    struct error e = {0};
    struct talk t = {0};
    struct history h = {0};
    struct str line = {0};
    enum { CHAT_LENGTH = 4096 };
    enum graft_status status = read_options(args, &t, &e);
    if (status == GRAFT_OK)
        status = source_open(args->arguments[0], cli_value(args, "model"), &t.source, &e);
    if (status == GRAFT_OK) status = session_open(&t.source.request, &t.session, &e);
    if (status == GRAFT_OK && !t.session->has_chat)
        status = error_set(&e, GRAFT_E_INVALID,
                           "%s has no chat template; use graft generate --raw to go on with a text",
                           args->arguments[0]);
    if (status == GRAFT_OK) status = start(&t, args, CHAT_LENGTH, &e);
    bool prompts = cli_is_terminal(0) && cli_is_terminal(2);
    int exit_status = EXIT_DONE;
    while (status == GRAFT_OK) {
        if (prompts) fputs("> ", stderr);
        if (!read_line(&line)) break;
        if (line.length != 0) status = take_turn(&t, &h, line.data, &exit_status, &e);
    }
    if (status != GRAFT_OK) exit_status = cli_fail(&e);
    str_free(&line);
    history_free(&h);
    end(&t);
    return exit_status;
}
