/* The table of outcomes; see outcome.h. */
#include "core/invoker/outcome.h"

const struct outcome_answer *outcome_answer(enum outcome outcome)
{
        static const struct outcome_answer answers[OUTCOME_COUNT] = {
                [OUTCOME_SUCCEEDED] = {200, "succeeded", "Succeeded", 0},
                [OUTCOME_FUNCTION_ERROR] = {502, "function.error", "The function failed", 0},
                [OUTCOME_FUNCTION_EXITED] = {502, "function.exited", "The function's process ended",
                                             0},
                [OUTCOME_FUNCTION_OUT_OF_MEMORY] = {502, "function.out_of_memory",
                                                    "The function ran out of memory", 0},
                [OUTCOME_FUNCTION_TIMEOUT] = {504, "function.timeout",
                                              "The function ran out of time", 0},
                [OUTCOME_FUNCTION_PROTOCOL] = {502, "function.protocol",
                                               "The function's process broke the worker protocol",
                                               0},
                [OUTCOME_FUNCTION_INIT] = {502, "function.init", "The function could not be loaded",
                                           0},
                [OUTCOME_FUNCTION_BACKING_OFF] = {503, "function.backing_off",
                                                  "The function keeps failing to load", 1},
                [OUTCOME_RESPONSE_TOO_LARGE] = {502, "response.too_large",
                                                "The function's response is too large", 0},
                [OUTCOME_THROTTLED] = {429, "throttled", "Too many requests", 1},
                [OUTCOME_OVERLOADED] = {503, "overloaded", "The server is overloaded", 1},
                [OUTCOME_DRAINING] = {503, "draining", "The server is going down", 1},
                [OUTCOME_PLATFORM] = {502, "platform.error", "The platform failed", 1},
                [OUTCOME_ABANDONED] = {499, "abandoned", "The client went away", 0},
        };
        return &answers[outcome];
}
