/* The least that magpie.h can be used for. */
#include "magpie.h"

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        (void)request;
        magpie_print(response, "%s", getenv("MAGPIE_BOOT_NS") ? "left behind" : "fine");
}

int main(void)
{
        return magpie_serve(handle);
}
