/* A quick echo that knows how its calls come. What its payload says it does to the memory that it shares with
 * the gateway; then it waits for its end. */
#include "magpie.h"

static struct magpie_place *place_after(const struct magpie_worker *worker, size_t count)
{
        size_t number = (worker->next_place + count) % worker->place_count;

        return (struct magpie_place *)(void *)((char *)(worker->ring + 1) +
                                               number * worker->place_size);
}

/* A BELL, and so many bytes behind it. */
static void ring_bell_with(size_t length)
{
        static const unsigned char bell[MAGPIE_FRAME_MAX] = {MAGPIE_BELL};

        magpie_send_bytes(bell, MAGPIE_HEADER_SIZE + length);
}

static void ring_bell(void)
{
        ring_bell_with(0);
}

/* As the answer to the running call. */
static void put(struct magpie_worker *worker, int type, int flags, uint32_t id, const char *meta,
                uint32_t length)
{
        struct magpie_place *place = worker->place;

        memset(place->frame, 0, MAGPIE_RING_FRAME_MAX);
        place->frame[0] = (unsigned char)type;
        place->frame[1] = (unsigned char)flags;
        magpie_store(place->frame + 2, strlen(meta), 2);
        magpie_store(place->frame + 4, id, 4);
        memcpy(place->frame + MAGPIE_HEADER_SIZE, meta, strlen(meta));
        place->length = length;
        __atomic_store_n(&place->state, (uint32_t)MAGPIE_ANSWERED, __ATOMIC_SEQ_CST);
        ring_bell();
}

/* Returns only where a proper answer is still to come. */
static void misbehave(struct magpie_worker *worker, const char *command)
{
        uint32_t id = worker->number;

        if (strcmp(command, "too long") == 0)
                put(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, id, "", 60000);
        else if (strcmp(command, "no length") == 0)
                put(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, id, "", 0);
        else if (strcmp(command, "half a header") == 0)
                put(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, id, "", 8);
        else if (strcmp(command, "an error") == 0)
                put(worker, MAGPIE_ERROR, 0, id, "", MAGPIE_HEADER_SIZE);
        else if (strcmp(command, "half an answer") == 0)
                put(worker, MAGPIE_RESULT, 0, id, "", MAGPIE_HEADER_SIZE);
        else if (strcmp(command, "unknown id") == 0)
                put(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, id + 1, "", MAGPIE_HEADER_SIZE);
        else if (strcmp(command, "no header") == 0)
                put(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, id, "nothing\n",
                    MAGPIE_HEADER_SIZE + 8);
        else if (strcmp(command, "a heavy bell") == 0)
                ring_bell_with(30000);
        else
                return;
        for (;;)
                pause();
}

/* "forge": what lies behind is written over, and given up. */
static void forge(struct magpie_worker *worker)
{
        for (size_t i = 0; i + 1 < worker->place_count; i++)
                memset(place_after(worker, i)->frame, 'f', MAGPIE_RING_FRAME_MAX);
        _exit(1);
}

/* "bells": of nothing, for half a second. */
static void ring_bells(struct magpie_response *response)
{
        uint64_t end_us = magpie_now_us(CLOCK_MONOTONIC) + 500000;
        unsigned long count = 0;

        for (; magpie_now_us(CLOCK_MONOTONIC) < end_us; count++)
                ring_bell();
        magpie_print(response, "%lu", count);
}

/* "says": both words change all the time, for half a second. */
static void say_all(struct magpie_worker *worker)
{
        uint64_t end_us = magpie_now_us(CLOCK_MONOTONIC) + 500000;
        uint32_t value = 0;

        for (; magpie_now_us(CLOCK_MONOTONIC) < end_us; value++)
                for (size_t word = 0; word < sizeof(*worker->ring) / 4; word++)
                        ((volatile uint32_t *)worker->ring)[word] = value;
        memset(worker->ring, 0, sizeof(*worker->ring)); /* so that the answer is told */
}

static void handle(struct magpie_request *request, struct magpie_response *response)
{
        struct magpie_worker *worker = request->worker;
        char word[64];
        size_t length = magpie_read(request, word, sizeof(word) - 1);

        word[length] = '\0';
        if (strcmp(word, "where") == 0) {
                magpie_print(response, worker->place ? "ring" : "socket");
                return;
        }
        if (strcmp(word, "crash") == 0)
                _exit(1);
        while (strcmp(word, "hang") == 0)
                pause();
        if (strcmp(word, "fail") == 0) {
                magpie_fail(response, "Own.Error", "it was asked to");
                return;
        }
        if (strcmp(word, "large") == 0) {
                static char block[100000];
                memset(block, 'l', sizeof(block));
                magpie_write(response, block, sizeof(block));
                return;
        }
        if (strcmp(word, "print") == 0)
                (void)puts("by hand");
        if (worker->place && strcmp(word, "forge") == 0)
                forge(worker);
        if (worker->place && strcmp(word, "bells") == 0) {
                ring_bells(response);
                return;
        }
        if (worker->place && strcmp(word, "says") == 0)
                say_all(worker);
        if (worker->place)
                misbehave(worker, word);
        magpie_write(response, word, length);
}

int main(void)
{
        return magpie_serve(handle);
}
