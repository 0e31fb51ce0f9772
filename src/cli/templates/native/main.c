#include "magpie.h"

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        size_t length;
        const char *name = magpie_body(request, &length);

        printf("greeting %s\n", length > 0 ? name : "world"); /* the log: magpie logs */
        magpie_set_header(response, "content-type", "text/plain; charset=utf-8");
        magpie_print(response, "Hello, %s!\n", length > 0 ? name : "world");
}

int main(void)
{
        return magpie_serve(handle);
}
