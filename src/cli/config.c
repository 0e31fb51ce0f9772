/* The file of tokens; see config.h.
 *
 * {"http://127.0.0.1:8080": {"email": "you@example.org", "token": "..."}}. It is replaced as a
 * whole by rename(2), so that a reader never sees half of it. */
#include "cli/config.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/output.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE_MAX (1u << 20)

static char *config_folder(void)
{
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

        if (config && *config == '/') /* the XDG specification: relative ones are to be ignored */
                return text_format("%s/magpie", config);
        if (!home || !*home) {
                const struct passwd *user = getpwuid(getuid());
                home = user ? user->pw_dir : "/";
        }
        return text_format("%s/.config/magpie", home);
}

static char *config_path(void)
{
        AUTO(memory_free) char *folder = config_folder();
        return text_format("%s/tokens.json", folder);
}

/* An empty object where there is no file yet. */
static int config_read(cJSON **ret_tokens, struct err *err)
{
        AUTO(memory_free) char *path = config_path();
        AUTO(buffer_deinit) struct buffer text;
        cJSON *tokens;
        int r;

        buffer_init(&text, CONFIG_FILE_MAX);
        r = file_read(path, &text, err);
        if (r == -ENOENT || r == -ENOTDIR) {
                tokens = cJSON_CreateObject();
                if (!tokens)
                        return err_set(err, -ENOMEM, "out of memory");
                *ret_tokens = tokens;
                return 0;
        }
        if (r < 0)
                return r;
        tokens = cJSON_ParseWithLength(text.data, text.length);
        if (!cJSON_IsObject(tokens)) {
                cJSON_Delete(tokens);
                return err_set(err, -EINVAL, "'%s' is damaged; delete it and log in again", path);
        }
        *ret_tokens = tokens;
        return 0;
}

static int config_make_folder(struct err *err)
{
        AUTO(memory_free) char *folder = config_folder();

        for (char *at = folder + 1; *at; at++) {
                if (*at != '/')
                        continue;
                *at = '\0';
                (void)mkdir(folder, 0700); /* what is wrong shows at the last one */
                *at = '/';
        }
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return err_errno(err, -errno, "cannot make the folder '%s'", folder);
        return 0;
}

static int config_write(const cJSON *tokens, struct err *err)
{
        AUTO(memory_free) char *path = config_path();
        AUTO(memory_free) char *fresh = text_format("%s.XXXXXX", path);
        AUTO(memory_free) char *text = cJSON_Print(tokens);
        AUTO(fd_close) int fd = -1;
        int r = config_make_folder(err);

        if (r < 0)
                return r;
        if (!text)
                return err_set(err, -ENOMEM, "out of memory");
        fd = mkostemp(fresh, O_CLOEXEC); /* 0600 from the start */
        if (fd < 0)
                return err_errno(err, -errno, "cannot write '%s'", fresh);
        r = fd_write_all(fd, text, strlen(text));
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(fresh);
                return err_errno(err, r, "cannot write '%s'", path);
        }
        return 0;
}

int config_load_token(const char *url, char **ret_token, struct err *err)
{
        AUTO(json_free) cJSON *tokens = NULL;
        const char *token;
        int r = config_read(&tokens, err);

        if (r < 0)
                return r;
        token = json_text(cJSON_GetObjectItemCaseSensitive(tokens, url), "token");
        *ret_token = *token ? text_copy(token) : NULL;
        return 0;
}

int config_keep_token(const char *url, const char *email, const char *token, struct err *err)
{
        AUTO(json_free) cJSON *tokens = NULL;
        cJSON *entry;
        int r = config_read(&tokens, err);

        if (r < 0)
                return r;
        cJSON_DeleteItemFromObjectCaseSensitive(tokens, url);
        entry = cJSON_AddObjectToObject(tokens, url);
        if (!cJSON_AddStringToObject(entry, "email", email) ||
            !cJSON_AddStringToObject(entry, "token", token))
                return err_set(err, -ENOMEM, "out of memory");
        return config_write(tokens, err);
}

int config_forget_token(const char *url, struct err *err)
{
        AUTO(json_free) cJSON *tokens = NULL;
        int r = config_read(&tokens, err);

        if (r < 0)
                return r;
        if (!cJSON_HasObjectItem(tokens, url))
                return 0;
        cJSON_DeleteItemFromObjectCaseSensitive(tokens, url);
        return config_write(tokens, err);
}
