/* Frames from a sandbox: what is accepted encodes back to the same bytes, and its parts and headers
 * lie inside of the message. */
#include "fuzzing.h"
#include "wire/worker_protocol.h"

static void walk_headers(struct slice meta)
{
        const char *end = meta.data + meta.length;
        struct slice name, value;
        int error;

        while (worker_meta_next_header(&meta, &name, &value, &error)) {
                FUZZ_EXPECT(error == 0 && name.length > 0);
                FUZZ_EXPECT(value.data == name.data + name.length + 1);
                FUZZ_EXPECT(value.data + value.length < end);
                /* Nothing that could end a header or begin another one. */
                FUZZ_EXPECT(!memchr(name.data, ':', name.length));
                for (size_t i = 0; i < value.length; i++)
                        FUZZ_EXPECT(value.data[i] != '\r' && value.data[i] != '\n' &&
                                    value.data[i] != '\0');
        }
        FUZZ_EXPECT(error < 0 || meta.length == 0);
}

/* What a worker says of its start is within the time that has passed, or is not believed. */
static void check_start(uint64_t value)
{
        const uint64_t limits_us[] = {0, value & 0xffff, UINT32_MAX, 2ull * UINT32_MAX};
        struct worker_start start;

        for (size_t i = 0; i < sizeof(limits_us) / sizeof(limits_us[0]); i++) {
                if (worker_start_decode(value, limits_us[i], &start) < 0)
                        continue;
                FUZZ_EXPECT((uint64_t)start.interpreter_us + start.import_us <= limits_us[i]);
                FUZZ_EXPECT(worker_start_encode(&start) == value);
        }
        FUZZ_EXPECT(worker_start_decode(value, 2ull * UINT32_MAX, &start) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *message = fuzz_copy(data, size);
        char header[WORKER_HEADER_SIZE];
        struct worker_frame frame;
        struct slice meta, line;

        if (worker_frame_decode(message, size, &frame) == 0) {
                FUZZ_EXPECT(WORKER_HEADER_SIZE + frame.meta.length + frame.payload.length == size);
                FUZZ_EXPECT(frame.payload.data + frame.payload.length == message + size);
                worker_frame_encode_header(&frame, header);
                FUZZ_EXPECT(memcmp(header, message, sizeof(header)) == 0);
                walk_headers(frame.meta);
                if (frame.type == WORKER_READY)
                        check_start(frame.value);
                for (meta = frame.meta; worker_meta_next_line(&meta, &line);)
                        FUZZ_EXPECT(!memchr(line.data, '\n', line.length));
        }
        free(message);
        return 0;
}
