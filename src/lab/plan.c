/* Stages and ramps; see plan.h. */
#include "lab/plan.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/registry/function.h"

#include <assert.h>
#include <errno.h>
#include <math.h>

#define FRACTION_DIGITS_MAX 6
#define STAGE_PARTS_MAX 3

void plan_init(struct plan *plan, enum plan_kind kind)
{
        *plan = (struct plan){.kind = kind};
}

uint64_t plan_duration_ns(const struct plan *plan)
{
        const struct plan_stage *last;

        if (plan->count == 0)
                return 0;
        last = &plan->stages[plan->count - 1];
        return last->start_ns + last->duration_ns;
}

/* Requests that begin in the stage's first `at_ns`. */
static double stage_starts(const struct plan_stage *stage, uint64_t at_ns)
{
        double seconds = (double)at_ns / (double)NS_PER_S;
        double whole = (double)stage->duration_ns / (double)NS_PER_S;

        return stage->from * seconds + (stage->to - stage->from) * seconds * seconds / 2 / whole;
}

int plan_add(struct plan *plan, double from, double to, uint64_t duration_ns, struct err *err)
{
        const struct plan_stage *last = plan->count > 0 ? &plan->stages[plan->count - 1] : NULL;
        uint64_t start_ns = plan_duration_ns(plan);

        if (plan->count == PLAN_STAGES_MAX)
                return err_set(err, -E2BIG, "there are more than %d stages", PLAN_STAGES_MAX);
        if (duration_ns == 0)
                return err_set(err, -EINVAL, "a stage of no time has no figures");
        if (duration_ns > PLAN_FOREVER || start_ns > PLAN_FOREVER)
                return err_set(err, -EINVAL, "the stages take longer than anybody will wait");
        plan->stages[plan->count++] = (struct plan_stage){
                .from = from,
                .to = to,
                .start_ns = start_ns,
                .duration_ns = duration_ns,
                .starts_before =
                        last ? last->starts_before + stage_starts(last, last->duration_ns) : 0,
        };
        return 0;
}

/* --- text ------------------------------------------------------------------------------------ */

/* Digits, and for a rate perhaps a dot and more of them. */
static bool number_parse(struct slice text, bool has_fraction, double *ret_number)
{
        size_t at = 0, fraction = 0;
        double number = 0, unit = 1;

        for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++)
                number = number * 10 + (text.data[at] - '0');
        if (at == 0 || number > PLAN_LEVEL_MAX)
                return false;
        if (has_fraction && at < text.length && text.data[at] == '.') {
                for (at++; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
                        unit /= 10;
                        number += unit * (text.data[at] - '0');
                        fraction++;
                }
                if (fraction == 0 || fraction > FRACTION_DIGITS_MAX)
                        return false;
        }
        *ret_number = number;
        return at == text.length;
}

int plan_parse_level(enum plan_kind kind, struct slice text, double *ret_level, struct err *err)
{
        if (number_parse(text, kind == PLAN_RATE, ret_level))
                return 0;
        return err_set(err, -EINVAL, "'%s' is not a number of %s", text_quote(text).text,
                       kind == PLAN_RATE ? "requests a second" : "clients");
}

/* Takes text up to and without `mark` off the front, or all that is left. */
static struct slice take_until(struct slice *text, char mark)
{
        const char *end = text->length > 0 ? memchr(text->data, mark, text->length) : NULL;
        size_t length = end ? (size_t)(end - text->data) : text->length;
        struct slice taken = slice_make(text->data, length);

        *text = slice_skip(*text, end ? length + 1 : length);
        return taken;
}

static int plan_parse_stage(struct plan *plan, struct slice text, size_t parts_min, struct err *err)
{
        struct slice parts[STAGE_PARTS_MAX] = {0}, rest = text;
        const char *form = parts_min == STAGE_PARTS_MAX ? "FROM:TO:TIME, such as 0:2000:60s"
                                                        : "LEVEL:TIME, such as 100:10s";
        uint64_t duration_ms;
        double from = 0, to;
        size_t count = 0;
        int r;

        while (rest.length > 0 && count < STAGE_PARTS_MAX)
                parts[count++] = take_until(&rest, ':');
        if (rest.length > 0 || count < parts_min)
                return err_set(err, -EINVAL, "'%s' is not of the form %s", text_quote(text).text,
                               form);
        r = plan_parse_level(plan->kind, parts[0], &from, err);
        to = from;
        if (r == 0 && count == STAGE_PARTS_MAX)
                r = plan_parse_level(plan->kind, parts[1], &to, err);
        if (r == 0)
                r = duration_parse(parts[count - 1], &duration_ms, err);
        if (r == 0 && duration_ms > PLAN_FOREVER / NS_PER_MS)
                r = err_set(err, -EINVAL, "'%s' is too long a time",
                            text_quote(parts[count - 1]).text);
        return r < 0 ? r : plan_add(plan, from, to, duration_ms * NS_PER_MS, err);
}

int plan_parse_stages(struct plan *plan, struct slice text, struct err *err)
{
        int r;

        do
                r = plan_parse_stage(plan, take_until(&text, ','), 2, err);
        while (r == 0 && text.length > 0);
        return r;
}

int plan_parse_ramp(struct plan *plan, struct slice text, struct err *err)
{
        return plan_parse_stage(plan, text, STAGE_PARTS_MAX, err);
}

/* --- time ------------------------------------------------------------------------------------ */

size_t plan_stage_at(const struct plan *plan, uint64_t at_ns)
{
        size_t low = 0, high = plan->count;

        assert(plan->count > 0);
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (plan->stages[middle].start_ns <= at_ns)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

double plan_level_max(const struct plan *plan)
{
        double most = 0;

        for (size_t i = 0; i < plan->count; i++)
                most = fmax(most, fmax(plan->stages[i].from, plan->stages[i].to));
        return most;
}

double plan_level(const struct plan *plan, uint64_t at_ns)
{
        const struct plan_stage *stage;

        if (at_ns >= plan_duration_ns(plan))
                return 0;
        stage = &plan->stages[plan_stage_at(plan, at_ns)];
        return stage->from + (stage->to - stage->from) * (double)(at_ns - stage->start_ns) /
                                     (double)stage->duration_ns;
}

/* Solves stage_starts(stage, t) = starts, without taking near equals from one another. */
static uint64_t stage_time_of(const struct plan_stage *stage, double starts)
{
        double whole = (double)stage->duration_ns / (double)NS_PER_S;
        double slope = (stage->to - stage->from) / whole;
        double root = stage->from * stage->from + 2 * slope * starts;
        double divisor = stage->from + sqrt(fmax(root, 0));
        double ns = divisor > 0 ? 2 * starts / divisor * (double)NS_PER_S : 0;

        return ns < (double)stage->duration_ns ? (uint64_t)(ns + 0.5) : stage->duration_ns;
}

uint64_t plan_time_of(const struct plan *plan, double starts)
{
        for (size_t i = 0; i < plan->count; i++) {
                const struct plan_stage *stage = &plan->stages[i];
                double inside = starts - stage->starts_before;
                if (inside < stage_starts(stage, stage->duration_ns))
                        return stage->start_ns + stage_time_of(stage, fmax(inside, 0));
        }
        return UINT64_MAX;
}

struct plan_moment plan_moment_at(const struct plan *plan, uint64_t at_ns)
{
        uint64_t end_ns = plan_duration_ns(plan), begin_ns, piece;
        struct plan_moment moment = {.stage = plan_stage_at(plan, at_ns),
                                     .is_after_end = at_ns >= end_ns};
        const struct plan_stage *stage = &plan->stages[moment.stage];

        begin_ns = moment.is_after_end ? end_ns : stage->start_ns;
        piece = (at_ns - begin_ns) / PLAN_MOMENT_NS;
        moment.start_ns = begin_ns + piece * PLAN_MOMENT_NS;
        moment.end_ns = moment.start_ns + PLAN_MOMENT_NS;
        if (!moment.is_after_end && moment.end_ns > stage->start_ns + stage->duration_ns)
                moment.end_ns = stage->start_ns + stage->duration_ns;
        return moment;
}
