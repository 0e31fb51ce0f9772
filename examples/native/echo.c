/* The body comes back: magpie invoke native -d 'anything'. Of any size, in bounded memory. */
#include "magpie.h"

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        char piece[16384];
        size_t length;

        while ((length = magpie_read(request, piece, sizeof(piece))) > 0)
                magpie_write(response, piece, length);
}

int main(void)
{
        return magpie_serve(handle);
}
