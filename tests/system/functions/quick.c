/* A quick echo: calls are put ahead of others in it. "c..." crashes, "h..." hangs. */
#include "magpie.h"

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        char word[64];
        size_t length = magpie_read(request, word, sizeof(word));

        if (length > 0 && word[0] == 'c')
                _exit(1);
        if (length > 0 && word[0] == 'h')
                for (;;)
                        pause();
        magpie_write(response, word, length);
}

int main(void)
{
        return magpie_serve(handle);
}
