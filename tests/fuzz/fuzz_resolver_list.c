/* resolv.conf: whatever it says, there are one to three servers, with addresses that connect(2)
 * takes, on port 53. */
#include "fuzzing.h"
#include "wire/resolver_list.h"

#include <arpa/inet.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *bytes = fuzz_copy(data, size);
        struct resolver_list list;

        resolver_list_parse(slice_make(bytes, size), &list);
        FUZZ_EXPECT(list.count >= 1 && list.count <= RESOLVERS_MAX);
        for (size_t i = 0; i < list.count; i++) {
                const union resolver_address *address = &list.addresses[i];
                if (address->base.sa_family == AF_INET)
                        FUZZ_EXPECT(address->v4.sin_port == htons(53));
                else
                        FUZZ_EXPECT(address->base.sa_family == AF_INET6 &&
                                    address->v6.sin6_port == htons(53));
                FUZZ_EXPECT(resolver_address_size(address) <= sizeof(*address));
        }
        free(bytes);
        return 0;
}
