/* What many clients have of something that is bounded; see egress_names_parts.h. */
#include "agent/egress_names_parts.h"

#include <stdlib.h>

struct names_client {
        struct list link;
        in_addr_t address;
        struct list places; /* the oldest first */
        size_t count;
};

void names_share_init(struct names_share *share, size_t most, size_t most_per_client,
                      void (*end)(struct names_place *place))
{
        *share = (struct names_share){.most = most, .most_per_client = most_per_client, .end = end};
        list_init(&share->clients);
}

static struct names_client *find(const struct names_share *share, in_addr_t address)
{
        struct names_client *client;

        LIST_FOR_EACH (client, &share->clients, link)
                if (client->address == address)
                        return client;
        return NULL;
}

static struct names_client *add(struct names_share *share, in_addr_t address)
{
        struct names_client *client = calloc(1, sizeof(*client));

        if (!client)
                return NULL;
        client->address = address;
        list_init(&client->places);
        list_init(&client->link);
        list_push_back(&share->clients, &client->link);
        return client;
}

/* Somebody who has more than `count`. NULL: nobody. */
static struct names_client *find_richest(const struct names_share *share, size_t count)
{
        struct names_client *client, *found = NULL;

        LIST_FOR_EACH (client, &share->clients, link)
                if (client->count > count) {
                        found = client;
                        count = client->count;
                }
        return found;
}

static bool make_room(struct names_share *share, size_t own_count)
{
        struct names_client *richest;

        if (share->count < share->most)
                return true;
        richest = find_richest(share, own_count);
        if (!richest)
                return false;
        share->end(CONTAINER_OF(richest->places.next, struct names_place, link));
        return true;
}

bool names_share_enter(struct names_share *share, struct names_place *place, in_addr_t address)
{
        struct names_client *client = find(share, address);
        size_t own_count = client ? client->count : 0;

        if (own_count >= share->most_per_client || !make_room(share, own_count))
                return false;
        if (!client)
                client = add(share, address);
        if (!client)
                return false;
        place->client = client;
        list_init(&place->link);
        list_push_back(&client->places, &place->link);
        client->count++;
        share->count++;
        return true;
}

void names_share_leave(struct names_share *share, struct names_place *place)
{
        struct names_client *client = place->client;

        list_remove(&place->link);
        share->count--;
        if (--client->count > 0)
                return;
        list_remove(&client->link);
        free(client);
}
