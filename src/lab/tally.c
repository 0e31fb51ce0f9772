/* Adding up; see tally.h. */
#include "lab/tally.h"

#include <string.h>

void tally_init(struct tally *tally)
{
        memset(tally, 0, sizeof(*tally));
        histogram_init(&tally->latency);
        histogram_init(&tally->rejection);
        histogram_init(&tally->connecting);
        histogram_init(&tally->lab.turns);
        histogram_init(&tally->lab.starts);
}

void tally_clear(struct tally *tally)
{
        tally->good = tally->bytes_in = tally->bytes_out = 0;
        tally->connected = tally->connect_failures = tally->connections_max = 0;
        tally->after_end = tally->good_after_end = 0;
        tally->starved = tally->unanswered = 0;
        memset(tally->failures, 0, sizeof(tally->failures));
        memset(tally->statuses, 0, sizeof(tally->statuses));
        histogram_clear(&tally->latency);
        histogram_clear(&tally->rejection);
        histogram_clear(&tally->connecting);
        histogram_clear(&tally->lab.turns);
        histogram_clear(&tally->lab.starts);
        tally->lab.span_ns = tally->lab.cpu_ns = tally->lab.waiting_ns = 0;
        tally->lab.busiest = 0;
}

static void merge_load(struct lab_load *load, const struct lab_load *from)
{
        load->span_ns += from->span_ns;
        load->cpu_ns += from->cpu_ns;
        load->waiting_ns += from->waiting_ns;
        if (from->busiest > load->busiest)
                load->busiest = from->busiest;
        histogram_merge(&load->turns, &from->turns);
        histogram_merge(&load->starts, &from->starts);
}

void tally_merge(struct tally *tally, const struct tally *from, bool at_once)
{
        tally->good += from->good;
        for (int i = 0; i < FAILURE_COUNT; i++)
                tally->failures[i] += from->failures[i];
        for (int i = 0; i < TALLY_STATUSES; i++)
                tally->statuses[i] += from->statuses[i];
        tally->bytes_in += from->bytes_in;
        tally->bytes_out += from->bytes_out;
        tally->connected += from->connected;
        tally->connect_failures += from->connect_failures;
        tally->after_end += from->after_end;
        tally->good_after_end += from->good_after_end;
        tally->starved += from->starved;
        tally->unanswered += from->unanswered;
        if (at_once)
                tally->connections_max += from->connections_max;
        else if (from->connections_max > tally->connections_max)
                tally->connections_max = from->connections_max;
        histogram_merge(&tally->latency, &from->latency);
        histogram_merge(&tally->rejection, &from->rejection);
        histogram_merge(&tally->connecting, &from->connecting);
        merge_load(&tally->lab, &from->lab);
}

uint64_t tally_failed(const struct tally *tally)
{
        uint64_t failed = 0;

        for (int i = 0; i < FAILURE_COUNT; i++)
                failed += tally->failures[i];
        return failed;
}

uint64_t tally_requests(const struct tally *tally)
{
        return tally->good + tally_failed(tally);
}

uint64_t tally_answers(const struct tally *tally)
{
        return tally->good + tally->failures[FAILURE_STATUS];
}

double tally_error_rate(const struct tally *tally)
{
        uint64_t requests = tally_requests(tally);

        if (requests == 0)
                return tally->unanswered > 0 ? 1 : 0;
        return (double)tally_failed(tally) / (double)requests;
}

const char *failure_name(enum failure failure)
{
        switch (failure) {
        case FAILURE_REFUSED:
                return "refused";
        case FAILURE_CONNECT_TIMEOUT:
                return "connectTimeout";
        case FAILURE_TLS:
                return "tls";
        case FAILURE_RESET:
                return "reset";
        case FAILURE_TIMEOUT:
                return "timeout";
        case FAILURE_STATUS:
                return "non2xx";
        case FAILURE_SHORT:
                return "shortBody";
        case FAILURE_PROTOCOL:
                return "protocol";
        case FAILURE_LOCAL:
                return "local";
        case FAILURE_COUNT:
                break;
        }
        return "";
}

const char *failure_words(enum failure failure)
{
        switch (failure) {
        case FAILURE_REFUSED:
                return "connection refused";
        case FAILURE_CONNECT_TIMEOUT:
                return "no connection in time";
        case FAILURE_TLS:
                return "TLS failed";
        case FAILURE_RESET:
                return "connection reset, or ended without an answer";
        case FAILURE_TIMEOUT:
                return "no answer in time";
        case FAILURE_STATUS:
                return "answered with another status than 2xx";
        case FAILURE_SHORT:
                return "answer cut short";
        case FAILURE_PROTOCOL:
                return "not HTTP";
        case FAILURE_LOCAL:
                return "this machine ran out of descriptors or ports";
        case FAILURE_COUNT:
                break;
        }
        return "";
}
