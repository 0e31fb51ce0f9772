/* problem+json (RFC 9457) to words and an exit code; see problem.h. */
#include "cli/problem.h"

#include "base/auto.h"
#include "cli/output.h"
#include "cli/text.h"
#include "core/registry/function.h"

#include <errno.h>
#include <string.h>

/* By the reason alone: one status has many, and a hint that does not fit is worse than none. */
static const struct {
        const char *reason, *hint;
} hints[] = {
        {"function.out_of_memory", "give it more: magpie deploy --memory 256MiB, in its folder"},
        {"function.timeout", "give it longer: magpie deploy --timeout 60s, in its folder"},
        {"throttled", "too many calls at once; wait a little and try again"},
        {"overloaded", "the node is busy; wait a little and try again"},
        {"draining", "the node is stopping; try again when it is back"},
        {"starting", "the node has just begun; wait a little and try again"},
        {"payload.too_large", "send less, or let the function fetch what it needs"},
        {"image.credentials",
         "say who you are: MAGPIE_REGISTRY_USER and MAGPIE_REGISTRY_PASSWORD, or docker login"},
        {"image.no_transport", "on the node: apt-get install -y skopeo"},
        {"image.pulls", "wait until one of your pulls has ended, and try again"},
        {"image.registry",
         "who runs the node says where images may come from: magpie serve --registries"},
};

static const char *problem_hint(const struct reply *reply, const char *reason)
{
        if (reply->status == 401 || (strcmp(reason, "taken") == 0 && reply->remedy_is_requests))
                return reply->remedy;
        for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
                if (strcmp(hints[i].reason, reason) == 0)
                        return hints[i].hint;
        return NULL;
}

int problem_exit_code(int status, const char *reason)
{
        if (strcmp(reason, "function.timeout") == 0 || status == 504 || status == 408)
                return CLI_TIMED_OUT;
        if (status >= 500 &&
            (text_starts_with(reason, "function.") || text_starts_with(reason, "response.")))
                return CLI_FUNCTION_FAILED;
        if (status == 401 || status == 403)
                return CLI_DENIED;
        if (status == 404)
                return CLI_NOT_FOUND;
        return CLI_FAILED;
}

static cJSON *problem_parse(const struct reply *reply)
{
        return cJSON_ParseWithLength(reply->body.data ? reply->body.data : "", reply->body.length);
}

bool problem_is_platforms(const struct reply *reply)
{
        AUTO(json_free) cJSON *problem = NULL;

        if (!*reply->start)
                return true;
        problem = problem_parse(reply);
        return *json_text(problem, "reason") && *reply->invocation_id &&
               strcmp(json_text(problem, "invocationId"), reply->invocation_id) == 0;
}

/* The first of these that the problem has. */
static const char *problem_sentence(const cJSON *problem)
{
        static const char *const keys[] = {"detail", "message", "title"};

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                if (*json_text(problem, keys[i]))
                        return json_text(problem, keys[i]);
        return NULL;
}

/* Somebody else's lines, as they are but for `indent` before each. */
static void print_lines(const char *text, const char *indent)
{
        while (*text) {
                size_t length = strcspn(text, "\n");
                (void)fputs(indent, stderr);
                print_foreign(stderr, slice_make(text, length));
                (void)fputc('\n', stderr);
                text += length + (text[length] == '\n');
        }
}

/* What the handler threw: {"errorType","errorMessage","stackTrace":[...]}. */
static void print_trace(const cJSON *error)
{
        const cJSON *trace = cJSON_GetObjectItemCaseSensitive(error, "stackTrace");

        for (const cJSON *line = json_first(trace); line; line = line->next)
                print_lines(cJSON_IsString(line) ? line->valuestring : "", "    ");
}

/* What was wrong, in the node's words. A compiler's keep their lines and columns. */
static void print_sentence(const struct reply *reply, const char *sentence, const char *function)
{
        size_t first = sentence ? strcspn(sentence, "\n") : 0;
        const char *rest = sentence ? sentence + first + strspn(sentence + first, "\n") : "";

        if (!sentence) {
                say_error("the node answered with status %d", reply->status);
        } else if (*rest && reply->status < 500) {
                say_error("the node does not take %s:", function ? function : "that");
                print_lines(sentence, "");
        } else {
                say_error("%.*s", (int)first, sentence);
                print_lines(rest, "    ");
        }
}

void problem_hint_logs(const char *function, const char *invocation)
{
        say_hint("what it wrote: magpie logs %s --invocation %s", function, invocation);
}

int problem_report(const struct reply *reply, const char *function)
{
        AUTO(json_free) cJSON *problem = problem_parse(reply);
        const char *sentence = problem_sentence(problem), *reason = json_text(problem, "reason");
        const char *hint = problem_hint(reply, reason);
        const char *invocation = json_text(problem, "invocationId");

        if (reply->status == 404 && function) {
                say_error("there is no function '%s'", function);
                return CLI_NOT_FOUND;
        }
        if (reply->is_strangers)
                say_error("you are not logged in");
        else
                print_sentence(reply, sentence, function);
        print_trace(cJSON_GetObjectItemCaseSensitive(problem, "error"));
        if (hint)
                say_hint("%s", hint);
        if (*invocation && function)
                problem_hint_logs(function, invocation);
        return problem_exit_code(reply->status, reason);
}

bool problem_report_reserved(const char *function)
{
        if (!function_name_is_reserved(slice_of(function)))
                return false;
        say_error("there is no function '%s': the name is taken by the API itself", function);
        return true;
}

int problem_report_silence(const struct err *err)
{
        if (err->code == -EPIPE) /* our own reader has gone: nothing to say, nobody to say it to */
                return CLI_FAILED;
        say_error("%s", err->text);
        if (err->code == -ECONNREFUSED)
                say_hint("start a node: magpie serve; or name another: --server URL or MAGPIE_URL");
        return err->code == -ETIMEDOUT ? CLI_TIMED_OUT : CLI_FAILED;
}
