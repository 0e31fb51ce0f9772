/* HTTP to a node; see client.h. */
#include "cli/client.h"

#include "base/auto.h"
#include "base/clock.h"
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/target.h"
#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_SECONDS 10L
#define REPLY_MAX (256u << 20)

/* What the callbacks of one transfer need. */
struct transfer {
        const struct request *request;
        struct reply *reply;
        int sink_error; /* what on_data() or the reply's buffer said */
};

int client_open(struct client *client, const struct cli *cli)
{
        const char *given = getenv("MAGPIE_TOKEN");
        struct err err;

        *client = (struct client){.token_is_given = given && *given};
        /* libcurl writes to sockets that may be gone; a reader of ours that goes away
         * (`magpie logs | head`) is a write error as well. */
        (void)signal(SIGPIPE, SIG_IGN);
        if (target_url(cli, &client->url, &err) < 0) {
                say_error("%s", err.text);
                return CLI_USAGE;
        }
        if (target_token(client->url, &client->token, &err) < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        client->curl = curl_easy_init();
        if (!client->curl) {
                say_error("libcurl cannot be used");
                return CLI_FAILED;
        }
        return CLI_OK;
}

void client_close(struct client *client)
{
        curl_easy_cleanup(client->curl);
        free(client->url);
        free(client->token);
        *client = (struct client){0};
}

char *client_path(const char *format_with_one_text, const char *part)
{
        const char *hole = strstr(format_with_one_text, "%s");
        char *escaped = curl_easy_escape(NULL, part, (int)strlen(part));
        char *path = text_format("%.*s%s%s", (int)(hole - format_with_one_text),
                                 format_with_one_text, escaped ? escaped : "", hole + 2);

        curl_free(escaped);
        return path;
}

void reply_deinit(struct reply *reply)
{
        buffer_deinit(&reply->body);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
        struct transfer *transfer = context;
        size_t length = size * count;

        if (transfer->request->on_data && !transfer->reply->is_problem)
                transfer->sink_error = transfer->request->on_data(transfer->request->context,
                                                                  slice_make(data, length));
        else
                transfer->sink_error = buffer_append(&transfer->reply->body, data, length);
        return transfer->sink_error < 0 ? 0 : length;
}

/* The value of the header `name` where this line is one, else an empty slice. */
static struct slice header_value(struct slice line, const char *name)
{
        size_t length = strlen(name);
        struct slice value;

        if (line.length <= length || strncasecmp(line.data, name, length) != 0 ||
            line.data[length] != ':')
                return (struct slice){.data = ""};
        value = slice_skip(line, length + 1);
        while (value.length > 0 && isspace((unsigned char)value.data[0]))
                value = slice_skip(value, 1);
        while (value.length > 0 && isspace((unsigned char)value.data[value.length - 1]))
                value.length--;
        return value;
}

static void keep_header(struct slice line, const char *name, char *ret_text, size_t capacity)
{
        struct slice value = header_value(line, name);

        if (value.length == 0)
                return;
        if (value.length >= capacity)
                value.length = capacity - 1;
        memcpy(ret_text, value.data, value.length);
        ret_text[value.length] = '\0';
}

/* Header lines of every answer come here, a 100 Continue's included: a status line starts afresh. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
        struct transfer *transfer = context;
        struct reply *reply = transfer->reply;
        struct slice line = slice_make(data, size * count);
        struct slice type = header_value(line, "Content-Type");

        if (slice_starts_with(line, SLICE("HTTP/"))) {
                const char *space = memchr(data, ' ', line.length);
                /* libcurl has checked the line, and "\r\n" ends it. */
                reply->status = space ? (int)strtol(space + 1, NULL, 10) : 0;
                reply->is_problem = false;
                *reply->start = *reply->invocation_id = '\0';
        }
        if (reply->status >= 400 && slice_starts_with(type, SLICE("application/problem+json")))
                reply->is_problem = true;
        keep_header(line, "Magpie-Invocation-Id", reply->invocation_id,
                    sizeof(reply->invocation_id));
        keep_header(line, "Magpie-Start", reply->start, sizeof(reply->start));
        return line.length;
}

static size_t on_read(char *data, size_t size, size_t count, void *context)
{
        const struct transfer *transfer = context;
        ssize_t length;

        do {
                length = read(transfer->request->body_fd, data, size * count);
        } while (length < 0 && errno == EINTR);
        return length < 0 ? CURL_READFUNC_ABORT : (size_t)length;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
        const struct transfer *transfer = context;

        (void)down_total;
        (void)down;
        transfer->request->on_progress(transfer->request->context, (uint64_t)up,
                                       (uint64_t)up_total);
        return 0;
}

static void header_add(struct curl_slist **headers, const char *format, const char *value)
{
        AUTO(memory_free) char *line = text_format("%s%s", format, value);
        struct curl_slist *longer = curl_slist_append(*headers, line);

        if (longer)
                *headers = longer;
}

static void headers_free(struct curl_slist **headers)
{
        curl_slist_free_all(*headers);
}

static void set_body(CURL *curl, const struct transfer *transfer, struct curl_slist **headers)
{
        const struct request *request = transfer->request;
        struct stat info;

        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        header_add(headers, "Content-Type: ", request->content_type);
        if (!request->has_body_fd) {
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                                 request->body.data ? request->body.data : "");
                curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)request->body.length);
                return;
        }
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
        /* Files of /proc say that they are empty. */
        if (fstat(request->body_fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
                curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)(info.st_size - lseek(request->body_fd, 0, SEEK_CUR)));
        else
                header_add(headers, "Transfer-Encoding: ", "chunked");
}

static void set_options(struct client *client, struct transfer *transfer, const char *url,
                        char *error_text)
{
        CURL *curl = client->curl;

        curl_easy_reset(curl); /* keeps the connection */
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, transfer->request->method);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
        curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "magpie/" MAGPIE_VERSION);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
        if (target_is_local(client->url))
                curl_easy_setopt(curl, CURLOPT_PROXY, "");
        if (transfer->request->on_progress) {
                curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
                curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
                curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
        }
}

static bool reply_broke_off(const struct reply *reply, CURLcode code)
{
        return reply->status >= 200 && (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR);
}

static int transfer_error(const struct client *client, const struct transfer *transfer,
                          CURLcode code, const char *text, struct err *err)
{
        if (transfer->sink_error < 0)
                return err_errno(err, transfer->sink_error, "cannot take the answer");
        if (code == CURLE_COULDNT_CONNECT)
                return err_set(err, -ECONNREFUSED, "nothing answers at %s", client->url);
        if (code == CURLE_OPERATION_TIMEDOUT)
                return err_set(err, -ETIMEDOUT, "%s did not answer in time", client->url);
        return err_set(err, -EIO, "talking to %s failed: %s", client->url,
                       *text ? text : curl_easy_strerror(code));
}

static const char *client_remedy(const struct client *client)
{
        if (!client->token)
                return "log in: magpie login --email YOU; no account yet: magpie user create "
                       "--email YOU";
        if (client->token_is_given)
                return "the token is MAGPIE_TOKEN's: give another one, or unset it and magpie "
                       "login";
        return "log in again: magpie login --email YOU";
}

/* A function may answer with a problem of its own, which is its result like any other. */
static int hand_over_functions_problem(struct transfer *transfer)
{
        const struct request *request = transfer->request;
        struct reply *reply = transfer->reply;

        if (!reply->is_problem || problem_is_platforms(reply))
                return 0;
        reply->is_problem = false;
        if (request->on_data)
                transfer->sink_error =
                        request->on_data(request->context, buffer_slice(&reply->body));
        return transfer->sink_error;
}

int client_send(struct client *client, const struct request *request, struct reply *ret_reply,
                struct err *err)
{
        AUTO(memory_free) char *url = text_format("%s%s", client->url, request->path);
        AUTO(headers_free) struct curl_slist *headers = NULL;
        char error_text[CURL_ERROR_SIZE] = "";
        struct transfer transfer = {.request = request, .reply = ret_reply};
        uint64_t begun_ns = clock_now_ns();
        CURLcode code;

        *ret_reply = (struct reply){0};
        buffer_init(&ret_reply->body, REPLY_MAX);
        set_options(client, &transfer, url, error_text);
        if (request->content_type)
                set_body(client->curl, &transfer, &headers);
        if (client->token)
                header_add(&headers, "Authorization: Bearer ", client->token);
        curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);

        code = curl_easy_perform(client->curl);
        ret_reply->is_strangers = ret_reply->status == 401 && !client->token && !request->remedy;
        ret_reply->remedy_is_requests = request->remedy != NULL;
        ret_reply->remedy = request->remedy ? request->remedy : client_remedy(client);
        ret_reply->elapsed_ms = (double)(clock_now_ns() - begun_ns) / (double)NS_PER_MS;
        ret_reply->broke_off = reply_broke_off(ret_reply, code);
        /* A node that refuses a large body early may close while it is still being sent. */
        if (code == CURLE_SEND_ERROR && ret_reply->status >= 400)
                code = CURLE_OK;
        if (code != CURLE_OK || hand_over_functions_problem(&transfer) < 0)
                return transfer_error(client, &transfer, code, error_text, err);
        return 0;
}

int client_ask(struct client *client, const struct request *request, const char *function,
               struct reply *ret_reply)
{
        struct err err;
        int r = client_send(client, request, ret_reply, &err);

        if (r < 0)
                return problem_report_silence(&err);
        if (ret_reply->status >= 200 && ret_reply->status < 300)
                return CLI_OK;
        return problem_report(ret_reply, function);
}

int client_ask_json(struct client *client, const struct request *request, const char *function,
                    cJSON **ret_json)
{
        AUTO(reply_deinit) struct reply reply = {0};
        int exit_code = client_ask(client, request, function, &reply);

        if (exit_code != CLI_OK)
                return exit_code;
        *ret_json = cJSON_ParseWithLength(reply.body.data, reply.body.length);
        if (!*ret_json) {
                say_error("%s does not answer like a magpie node", client->url);
                say_hint("check the address: --server URL, or MAGPIE_URL");
                return CLI_FAILED;
        }
        return CLI_OK;
}
