/* What an error of a node means to the person at the terminal: a sentence, the next thing to do,
 * and an exit code. */
#pragma once

#include "base/err.h"
#include "cli/client.h"

/* Of an error in application/problem+json: does the node say so, or the function? What a function
 * answers always has Magpie-Start, which it cannot take away; where that is said of a call that
 * failed, the node's problem names this very call. */
bool problem_is_platforms(const struct reply *reply);

/* For an answer that is not 2xx. `function` is the name of the function it is about, else NULL. */
int problem_report(const struct reply *reply, const char *function);
/* Where a call's function says more of it. */
void problem_hint_logs(const char *function, const char *invocation);
/* A name that is the API's own: to ask for that function would be to ask for something else. Says so
 * and returns true; false for every other name. */
bool problem_report_reserved(const char *function);
/* For no answer at all. */
int problem_report_silence(const struct err *err);
/* The exit code alone. `reason` is the problem's stable word, "" where there was none. */
int problem_exit_code(int status, const char *reason);
