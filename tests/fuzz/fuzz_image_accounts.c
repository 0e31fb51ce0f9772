/* passwd, group and who is looked for, with NULs between them. */
#include "adapters/images/accounts.h"
#include "core/registry/image.h"
#include "fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size);
        struct slice rest = slice_make(copy, size);
        struct slice wanted = fuzz_take_until(&rest, '\0');
        struct slice users = fuzz_take_until(&rest, '\0');
        char *text = strndup(wanted.data, wanted.length);
        struct account account;
        struct err err = {0};
        int r;

        FUZZ_EXPECT(text);
        r = account_find(text, users, rest, &account, &err);
        FUZZ_EXPECT((r < 0) == (err.code < 0));
        FUZZ_EXPECT(r < 0 || (account.user <= IMAGE_ID_MAX && account.group <= IMAGE_ID_MAX));
        free(text);
        free(copy);
        return 0;
}
