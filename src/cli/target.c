/* Which node, and as whom; see target.h. */
#include "cli/target.h"

#include "base/auto.h"
#include "cli/config.h"
#include "cli/files.h"
#include "cli/text.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define URL_DEFAULT "http://127.0.0.1:8080"
#define DATA_DIR_DEFAULT "/var/lib/magpie"
#define TOKEN_MAX 4096

static void url_free(CURLU **url)
{
        curl_url_cleanup(*url);
}

static void curl_text_free(char **text)
{
        curl_free(*text);
}

int target_normalize(const char *text, char **ret_url, struct err *err)
{
        AUTO(memory_free)
        char *full = strstr(text, "://") ? text_copy(text) : text_format("http://%s", text);
        AUTO(url_free) CURLU *url = curl_url();
        AUTO(curl_text_free) char *scheme = NULL, *user = NULL, *query = NULL, *plain = NULL;
        char *result;

        if (!url)
                return err_set(err, -ENOMEM, "out of memory");
        if (curl_url_set(url, CURLUPART_URL, full, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
            (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
                return err_set(err, -EINVAL, "'%s' is not the address of a node, like %s", text,
                               URL_DEFAULT);
        if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK ||
            curl_url_get(url, CURLUPART_QUERY, &query, 0) == CURLUE_OK)
                return err_set(err, -EINVAL, "the address of a node has no user and no query: '%s'",
                               text);
        (void)curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
        if (curl_url_get(url, CURLUPART_URL, &plain, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
                return err_set(err, -EINVAL, "'%s' is not the address of a node", text);

        result = text_copy(plain);
        for (size_t length = strlen(result); length > 0 && result[length - 1] == '/'; length--)
                result[length - 1] = '\0';
        *ret_url = result;
        return 0;
}

int target_url(const struct cli *cli, char **ret_url, struct err *err)
{
        const char *environment = getenv("MAGPIE_URL");

        if (cli->server)
                return target_normalize(cli->server, ret_url, err);
        if (environment && *environment)
                return target_normalize(environment, ret_url, err);
        return target_normalize(URL_DEFAULT, ret_url, err);
}

bool target_is_local(const char *text)
{
        AUTO(url_free) CURLU *url = curl_url();
        AUTO(curl_text_free) char *host = NULL;

        if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
                return false;
        if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
                return true;
        /* 127.0.0.0/8; not a name that begins like one. */
        return text_starts_with(host, "127.") && strspn(host, "0123456789.") == strlen(host);
}

/* The administrator's token in that folder. *ret_token is NULL where there is no node, or one that
 * is not ours to read. */
static int folder_token(const char *folder, char **ret_token, struct err *err)
{
        AUTO(memory_free) char *path = text_format("%s/admin.token", folder);
        AUTO(buffer_deinit) struct buffer text;
        int r;

        *ret_token = NULL;
        buffer_init(&text, TOKEN_MAX);
        r = file_read(path, &text, err);
        if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
                return 0;
        if (r < 0)
                return r;
        while (text.length > 0 && isspace((unsigned char)text.data[text.length - 1]))
                text.length--;
        if (text.length > 0)
                *ret_token = text_copy_span(text.data, text.length);
        return 0;
}

/* The port that a URL means. The caller frees; NULL where it is none. */
static char *url_port(const char *text)
{
        AUTO(url_free) CURLU *url = curl_url();
        AUTO(curl_text_free) char *port = NULL;

        if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
                return NULL;
        return text_copy(port);
}

static int administrator_token(const char *url, char **ret_token, struct err *err)
{
        const char *data_dir = getenv("MAGPIE_DATA_DIR");
        AUTO(memory_free) char *port = url_port(url);
        AUTO(memory_free) char *shown = text_format("%s/%s", NODES_DIR, port ? port : "none");
        int r;

        if (data_dir && *data_dir)
                return folder_token(data_dir, ret_token, err);
        r = folder_token(shown, ret_token, err);
        if (r == 0 && !*ret_token)
                r = folder_token(DATA_DIR_DEFAULT, ret_token, err);
        return r;
}

int target_token(const char *url, char **ret_token, struct err *err)
{
        const char *environment = getenv("MAGPIE_TOKEN");
        char *token = NULL;
        int r;

        if (environment && *environment) {
                *ret_token = text_copy(environment);
                return 0;
        }
        r = config_load_token(url, &token, err);
        /* The administrator's token must not travel to another machine. */
        if (r == 0 && !token && target_is_local(url))
                r = administrator_token(url, &token, err);
        if (r == 0)
                *ret_token = token;
        return r;
}
