/* Running skopeo; see skopeo.h. */
#include "adapters/images/skopeo.h"

#include "adapters/images/skopeo_words.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/base64.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TICK_MS 100
#define WORDS_MAX 12
#define ENVIRONMENT_MAX 16
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"
#define COMPLAINT_MAX 16384

/* What of our environment is its business: the ways to the network, and what it may trust. */
static const char *const inherited[] = {
        "PATH",        "HTTP_PROXY", "HTTPS_PROXY",   "NO_PROXY",     "http_proxy",
        "https_proxy", "no_proxy",   "SSL_CERT_FILE", "SSL_CERT_DIR", "CONTAINERS_REGISTRIES_CONF"};

struct run {
        const struct skopeo *skopeo;
        char program[4096], home[4200], temporary[4200];
        char variables[ENVIRONMENT_MAX][512];
        char *environment[ENVIRONMENT_MAX + 3];
        char *words[WORDS_MAX + 1];
        pid_t pid;
        int pid_fd, output_fd, complaint_fd;
        struct buffer *output; /* NULL: thrown away */
        struct buffer complaint;
        struct err *err;
};

/* Credentials ------------------------------------------------------------------------------------- */

static char *credentials_text(const char *registry, const char *user, const char *password)
{
        cJSON *document = cJSON_CreateObject(), *list = cJSON_AddObjectToObject(document, "auths");
        char *plain = NULL, *encoded = NULL, *text = NULL;
        size_t size = strlen(user) + strlen(password) + 2;

        plain = malloc(size);
        encoded = malloc(BASE64_ENCODED_MAX(size) + 1);
        if (plain && encoded) {
                size_t length = (size_t)snprintf(plain, size, "%s:%s", user, password);
                length = base64_encode(BASE64_STANDARD, plain, length, encoded);
                encoded[length] = '\0';
                cJSON *entry = cJSON_AddObjectToObject(list, registry);
                if (cJSON_AddStringToObject(entry, "auth", encoded))
                        text = cJSON_PrintUnformatted(document);
                explicit_bzero(plain, size);
                explicit_bzero(encoded, length);
        }
        cJSON_Delete(document);
        free(plain);
        free(encoded);
        return text;
}

int skopeo_write_credentials(int folder_fd, const char *registry, const char *user,
                             const char *password)
{
        AUTO(fd_close) int fd = -1;
        char *text = user ? credentials_text(registry, user, password ? password : "")
                          : strdup("{\"auths\":{}}");
        size_t length = text ? strlen(text) : 0;
        int r = 0;

        if (!text)
                return -ENOMEM;
        fd = openat(folder_fd, SKOPEO_AUTHENTICATION,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, length) != (ssize_t)length)
                r = errno ? -errno : -EIO;
        explicit_bzero(text, length);
        free(text);
        return r;
}

/* Starting ---------------------------------------------------------------------------------------- */

static bool find_program(char *ret_path, size_t size)
{
        const char *path = getenv("PATH");

        for (const char *part = path ? path : PATH_DEFAULT;;) {
                size_t length = strcspn(part, ":");
                (void)snprintf(ret_path, size, "%.*s/skopeo", (int)length, part);
                if (length > 0 && access(ret_path, X_OK) == 0)
                        return true;
                part += length;
                if (*part++ == '\0')
                        return false;
        }
}

static void make_environment(struct run *run)
{
        size_t count = 0;

        (void)snprintf(run->home, sizeof(run->home), "HOME=%s", run->skopeo->folder);
        (void)snprintf(run->temporary, sizeof(run->temporary), "TMPDIR=%s", run->skopeo->folder);
        run->environment[count++] = run->home;
        run->environment[count++] = run->temporary;
        for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
                const char *value = getenv(inherited[i]);
                if (!value || snprintf(run->variables[i], sizeof(run->variables[i]), "%s=%s",
                                       inherited[i], value) >= (int)sizeof(run->variables[i]))
                        continue;
                run->environment[count++] = run->variables[i];
        }
        run->environment[count] = NULL;
}

/* Between fork() and exec(): only what is safe there (signal-safety(7)), for other threads of ours may
 * have held any lock. */
static void become_skopeo(const struct run *run, pid_t parent, int output_fd, int complaint_fd)
{
        const struct rlimit file_size = {run->skopeo->file_max, run->skopeo->file_max};
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        sigset_t none;

        sigemptyset(&none);
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
            dup2(output_fd >= 0 ? output_fd : null_fd, STDOUT_FILENO) < 0 ||
            dup2(complaint_fd, STDERR_FILENO) < 0 || chdir(run->skopeo->folder) < 0 ||
            setrlimit(RLIMIT_FSIZE, &file_size) < 0)
                _exit(126);
        /* Also those that are not close-on-exec: the lock of the data folder, for one. */
        (void)syscall(SYS_close_range, 3, ~0u, 0);
        (void)signal(SIGPIPE, SIG_DFL);
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execve(run->program, run->words, run->environment);
        _exit(127);
}

static enum image_result start(struct run *run)
{
        AUTO(fd_close) int output = -1, complaint = -1;
        pid_t parent = getpid();
        int ends[2];

        if (run->output) {
                if (pipe2(ends, O_CLOEXEC) < 0)
                        return image_fail(run->err, -errno, "starting skopeo");
                run->output_fd = ends[0];
                output = ends[1];
        }
        if (pipe2(ends, O_CLOEXEC) < 0)
                return image_fail(run->err, -errno, "starting skopeo");
        run->complaint_fd = ends[0];
        complaint = ends[1];
        run->pid = fork();
        if (run->pid == 0)
                become_skopeo(run, parent, output, complaint);
        if (run->pid < 0)
                return image_fail(run->err, -errno, "starting skopeo");
        (void)setpgid(run->pid, run->pid); /* whoever of us comes first */
        run->pid_fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
        return run->pid_fd < 0 ? image_fail(run->err, -errno, "watching skopeo") : IMAGE_READY;
}

/* Running ----------------------------------------------------------------------------------------- */

/* One read from a pipe; it is closed at its end. What is too much for `text` is lost, and *full says
 * so. */
static void take(int *fd, struct buffer *text, bool *full)
{
        char chunk[8192];
        ssize_t length = read(*fd, chunk, sizeof(chunk));

        if (length < 0 && errno == EINTR)
                return;
        if (length <= 0)
                fd_close(fd);
        else if (buffer_append(text, chunk, (size_t)length) < 0)
                *full = true;
}

static void keep_last(struct buffer *text)
{
        if (text->length > COMPLAINT_MAX)
                buffer_consume(text, text->length - COMPLAINT_MAX / 2);
}

/* Until it has ended and both pipes are empty. */
static enum image_result wait_for_end(struct run *run)
{
        bool ended = false, full = false, lost = false;
        enum image_result result = IMAGE_READY;

        while (!ended || run->complaint_fd >= 0 || run->output_fd >= 0) {
                struct pollfd fds[] = {
                        {.fd = ended ? -1 : run->pid_fd, .events = POLLIN},
                        {.fd = run->complaint_fd, .events = POLLIN},
                        {.fd = run->output_fd, .events = POLLIN},
                };
                if (poll(fds, 3, TICK_MS) < 0 && errno != EINTR)
                        return image_fail(run->err, -errno, "watching skopeo");
                ended = ended || fds[0].revents;
                if (fds[1].revents) {
                        take(&run->complaint_fd, &run->complaint, &lost);
                        keep_last(&run->complaint);
                }
                if (fds[2].revents)
                        take(&run->output_fd, run->output, &full);
                if (full)
                        return image_corrupt(run->err, "the registry sends more than a manifest or "
                                                       "a configuration may have");
                result = patience_check(&run->skopeo->patience, run->err);
                if (result == IMAGE_READY && run->skopeo->tick)
                        result = run->skopeo->tick(run->skopeo->context, run->err);
                if (result != IMAGE_READY)
                        return result;
        }
        return IMAGE_READY;
}

/* In our words; and its own behind them, for what nobody has foreseen. */
static enum image_result explain(const struct run *run, int status)
{
        static const char *const sentences[] = {
                [IMAGE_DISK_FULL] = "the disk is full",
                [IMAGE_CORRUPT] = "the registry sent something else than the image",
                [IMAGE_NOT_ALLOWED] =
                        "the registry asks for other credentials, or has no such repository",
                [IMAGE_UNKNOWN] = "the registry has no such image",
                [IMAGE_UNREACHABLE] = "the registry cannot be reached",
        };
        char sentence[SKOPEO_SENTENCE_MAX + 1];
        enum image_result result = skopeo_meaning(buffer_slice(&run->complaint));
        const char *ours = (size_t)result < sizeof(sentences) / sizeof(sentences[0])
                                   ? sentences[result]
                                   : NULL;

        skopeo_sentence(buffer_slice(&run->complaint), sentence);
        if (WIFSIGNALED(status) && !ours)
                (void)snprintf(sentence, sizeof(sentence), "it was ended by signal %d",
                               WTERMSIG(status));
        (void)err_set(run->err, -EIO, "%s (%s)", ours ? ours : "skopeo failed",
                      sentence[0] ? sentence : "it does not say why");
        return result;
}

static void run_deinit(struct run *run)
{
        if (run->pid > 0) {
                (void)kill(-run->pid, SIGKILL);
                while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        fd_close(&run->pid_fd);
        fd_close(&run->output_fd);
        fd_close(&run->complaint_fd);
        buffer_deinit(&run->complaint);
}

static enum image_result skopeo_run(struct run *run)
{
        enum image_result result;
        int status = 0;

        if (!find_program(run->program, sizeof(run->program))) {
                (void)err_set(run->err, -ENOENT,
                              "this server cannot pull images: it has no skopeo; "
                              "apt-get install -y skopeo");
                return IMAGE_NO_TRANSPORT;
        }
        make_environment(run);
        result = start(run);
        if (result == IMAGE_READY)
                result = wait_for_end(run);
        if (result != IMAGE_READY)
                return result;
        while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
                ;
        run->pid = 0;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? IMAGE_READY : explain(run, status);
}

static void run_init(struct run *run, const struct skopeo *skopeo, struct buffer *output,
                     struct err *err)
{
        run->skopeo = skopeo;
        run->output = output;
        run->pid_fd = run->output_fd = run->complaint_fd = -1;
        run->err = err;
        buffer_init(&run->complaint, 2 * COMPLAINT_MAX);
}

static void run_free(struct run **run)
{
        if (*run)
                run_deinit(*run);
        free(*run);
}

/* execve(2) takes words that it does not change for such that it might. */
static void add_word(struct run *run, const char *word)
{
        size_t count = 0;

        while (run->words[count])
                count++;
        if (count < WORDS_MAX)
                run->words[count] = (char *)(uintptr_t)word;
}

enum image_result skopeo_inspect(const struct skopeo *skopeo, const char *location,
                                 bool configuration, struct buffer *text, struct err *err)
{
        AUTO(run_free) struct run *run = calloc(1, sizeof(*run));
        char source[IMAGE_LOCATION_SIZE + 16];

        if (!run)
                return image_fail(err, -ENOMEM, "starting skopeo");
        run_init(run, skopeo, text, err);
        (void)snprintf(source, sizeof(source), "docker://%s", location);
        add_word(run, "skopeo");
        add_word(run, "inspect");
        add_word(run, "--raw");
        if (configuration)
                add_word(run, "--config");
        add_word(run, "--authfile");
        add_word(run, SKOPEO_AUTHENTICATION);
        add_word(run, skopeo->is_insecure ? "--tls-verify=false" : "--tls-verify=true");
        add_word(run, source);
        return skopeo_run(run);
}

enum image_result skopeo_copy(const struct skopeo *skopeo, const char *location, const char *layout,
                              struct err *err)
{
        AUTO(run_free) struct run *run = calloc(1, sizeof(*run));
        char source[IMAGE_LOCATION_SIZE + 16], target[64];

        if (!run)
                return image_fail(err, -ENOMEM, "starting skopeo");
        run_init(run, skopeo, NULL, err);
        (void)snprintf(source, sizeof(source), "docker://%s", location);
        (void)snprintf(target, sizeof(target), "oci:%s", layout);
        add_word(run, "skopeo");
        add_word(run, "copy");
        add_word(run, "--src-authfile");
        add_word(run, SKOPEO_AUTHENTICATION);
        add_word(run, skopeo->is_insecure ? "--src-tls-verify=false" : "--src-tls-verify=true");
        add_word(run, "--dest-oci-accept-uncompressed-layers");
        /* They have been looked at, where the machine's policy asks for that; a layout has no place for
         * them. */
        add_word(run, "--remove-signatures");
        add_word(run, source);
        add_word(run, target);
        return skopeo_run(run);
}
