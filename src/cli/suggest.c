/* The function that was probably meant; see suggest.h. */
#include "cli/suggest.h"

#include "base/auto.h"
#include "cli/output.h"
#include "cli/text.h"

void suggest_function(struct client *client, const char *name)
{
        const struct request request = {.method = "GET", .path = "/api/v1/functions/me"};
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(json_free) cJSON *functions = NULL;
        AUTO(text_list_deinit) struct text_list names = {0};
        const char *nearest;

        /* It is a courtesy: when it does not work out, nothing is said. */
        if (client_send(client, &request, &reply, NULL) < 0 || reply.status != 200)
                return;
        functions = cJSON_ParseWithLength(reply.body.data, reply.body.length);
        for (const cJSON *item = json_first(functions); item; item = item->next)
                text_list_add(&names, text_copy(json_text(item, "name")));
        nearest = names.count > 0 ? text_nearest(name, (const char *const *)names.items) : NULL;
        if (nearest)
                say_hint("did you mean '%s'?", nearest);
        else if (names.count > 0)
                say_hint("magpie ls shows what there is");
        else
                say_hint("you have none yet: magpie new hello makes one");
}
