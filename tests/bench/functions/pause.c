/* Sleeps for as many milliseconds as it was compiled for, and answers. */
#include "magpie.h"

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

        (void)request;
        nanosleep(&pause, NULL);
        magpie_print(response, "{\"slept\":%d}", PAUSE_MS);
}

int main(void)
{
        return magpie_serve(handle);
}
