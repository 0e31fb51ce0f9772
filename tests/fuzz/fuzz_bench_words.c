/* What people write on the command line of `magpie bench`: stages, URLs, headers, thresholds.
 * Input: a byte that says which, then the text. */
#include "fuzzing.h"
#include "lab/plan.h"
#include "lab/request.h"
#include "lab/thresholds.h"

#include <math.h>

static void read_plan(struct slice text, enum plan_kind kind)
{
        static struct plan plan;
        struct err err = {0};
        uint64_t end_ns;

        plan_init(&plan, kind);
        if (plan_parse_stages(&plan, text, &err) < 0) {
                FUZZ_EXPECT(err.text[0]);
                return;
        }
        end_ns = plan_duration_ns(&plan);
        FUZZ_EXPECT(plan.count > 0 && end_ns > 0);
        for (int part = 0; part < 16; part++) {
                uint64_t at_ns = end_ns / 16 * (uint64_t)part;
                struct plan_moment moment = plan_moment_at(&plan, at_ns);
                double level = plan_level(&plan, at_ns);
                FUZZ_EXPECT(level >= 0 && level <= plan_level_max(&plan) * 1.000001);
                FUZZ_EXPECT(moment.start_ns <= at_ns && at_ns < moment.end_ns);
                FUZZ_EXPECT(moment.stage < plan.count);
        }
        FUZZ_EXPECT(kind != PLAN_RATE || plan_time_of(&plan, 0) == UINT64_MAX ||
                    plan_time_of(&plan, 0) < end_ns);
}

static void read_url(struct slice text)
{
        struct request_form form = {.method = SLICE("GET")};
        struct buffer buffer;
        struct url url;
        struct err err = {0};

        if (url_parse(text, &url, &err) < 0) {
                FUZZ_EXPECT(err.text[0]);
                return;
        }
        FUZZ_EXPECT(url.port > 0 && url.host.length > 0);
        FUZZ_EXPECT(url.target.length == 0 || url.target.data[0] == '/' ||
                    url.target.data[0] == '?');
        form.url = &url;
        buffer_init(&buffer, 65536);
        FUZZ_EXPECT(request_write(&buffer, &form, &err) == 0);
        /* Nothing in a URL makes another line. */
        FUZZ_EXPECT(memmem(buffer.data, buffer.length, "\r\n\r\n", 4) ==
                    buffer.data + buffer.length - 4);
        buffer_deinit(&buffer);
}

static void read_header(struct slice text)
{
        const struct url url = {.authority = SLICE("h"), .host = SLICE("h"), .port = 80};
        struct request_form form = {.url = &url, .method = SLICE("GET"), .header_count = 1};
        struct buffer buffer;
        struct err err = {0};

        form.headers[0] = text;
        buffer_init(&buffer, 65536);
        if (request_write(&buffer, &form, &err) == 0)
                FUZZ_EXPECT(memmem(buffer.data, buffer.length, "\r\n\r\n", 4) ==
                            buffer.data + buffer.length - 4);
        buffer_deinit(&buffer);
}

static void read_thresholds(struct slice text)
{
        static struct tally tally;
        struct thresholds thresholds = {0};
        struct err err = {0};
        double value;

        if (thresholds_parse(&thresholds, text, &err) < 0)
                return;
        tally_init(&tally);
        tally.good = 1;
        histogram_record(&tally.latency, 1000000, 1);
        for (size_t i = 0; i < thresholds.count; i++) {
                (void)threshold_is_met(&thresholds.items[i], &tally, 1, &value);
                FUZZ_EXPECT(!isnan(value));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice text;

        if (size == 0)
                return 0;
        text = slice_make((const char *)data + 1, size - 1);
        switch (data[0] % 5) {
        case 0:
                read_plan(text, PLAN_CLIENTS);
                break;
        case 1:
                read_plan(text, PLAN_RATE);
                break;
        case 2:
                read_url(text);
                break;
        case 3:
                read_header(text);
                break;
        default:
                read_thresholds(text);
                break;
        }
        return 0;
}
