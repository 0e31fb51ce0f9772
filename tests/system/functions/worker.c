/* A native function by the C shim that does what its payload says. */
#include "magpie.h"

#include <signal.h>
#include <sys/wait.h>

static char block[65536];

#ifdef BOOT_MS
__attribute__((constructor)) static void boot_slowly(void)
{
        usleep(BOOT_MS * 1000);
}
#endif

static void eat_memory(void)
{
        for (;;) {
                char *more = malloc(1 << 20);
                if (more)
                        memset(more, 1, 1 << 20);
        }
}

/* "download BYTES": a stream. */
static void download(struct magpie_response *response, const char *count)
{
        size_t left = strtoull(count, NULL, 10);

        memset(block, 'x', sizeof(block));
        magpie_set_header(response, "content-type", "text/plain");
        magpie_write(response, "begin\n", 6);
        magpie_flush(response);
        while (left > 0) {
                size_t piece = left < sizeof(block) ? left : sizeof(block);
                magpie_write(response, block, piece);
                left -= piece;
        }
}

/* "count": how many bytes the whole payload has, and their sum. */
static void count(struct magpie_request *request, struct magpie_response *response, size_t length,
                  const char *first)
{
        unsigned long long total = 0, sum = 0;

        while (length > 0) {
                for (size_t i = 0; i < length; i++)
                        sum += (unsigned char)first[i];
                total += length;
                length = magpie_read(request, block, sizeof(block));
                first = block;
        }
        magpie_print(response, "%llu %llu", total, sum);
}

static void sleep_ms(const char *text)
{
        long ms = atol(text);
        struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        (void)nanosleep(&time, NULL);
}

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        static char word[65537];
        size_t length = magpie_read(request, word, sizeof(word) - 1);

        word[length] = '\0';
        if (strncmp(word, "count", 5) == 0) {
                count(request, response, length, word);
        } else if (strncmp(word, "download ", 9) == 0) {
                download(response, word + 9);
        } else if (strncmp(word, "break ", 6) == 0) { /* half an answer, then the end */
                magpie_print(response, "half");
                magpie_flush(response);
                _exit(atoi(word + 6));
        } else if (strncmp(word, "sleep ", 6) == 0) {
                sleep_ms(word + 6);
                magpie_print(response, "slept");
        } else if (strncmp(word, "exit ", 5) == 0) {
                _exit(atoi(word + 5));
        } else if (strcmp(word, "crash") == 0) {
                raise(SIGSEGV);
        } else if (strcmp(word, "memory") == 0) {
                eat_memory();
        } else if (strcmp(word, "memory of a child") == 0) {
                if (fork() == 0)
                        eat_memory();
                (void)wait(NULL);
                sleep_ms("60000");
        } else if (strcmp(word, "fail") == 0) {
                magpie_fail(response, "Own.Error", "it was asked to");
        } else if (strcmp(word, "calls") == 0) {
                static unsigned calls;
                magpie_print(response, "%u", ++calls);
        } else {
                magpie_write(response, word, length);
                while ((length = magpie_read(request, block, sizeof(block))) > 0)
                        magpie_write(response, block, length);
        }
}

int main(void)
{
        return magpie_serve(handle);
}
