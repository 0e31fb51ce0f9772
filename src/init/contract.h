/* The contracts between magpie and a function. One file each. */
#pragma once

#include "init/outcome.h"

/* The contract that words[0] names, with the rest of the words. */
struct outcome contract_run(char *const *words);

/* CLOCK_MONOTONIC in nanoseconds, from "park" to whoever says READY, who removes it. */
#define BOOT_TIME_VARIABLE "MAGPIE_BOOT_NS"

/* The number of the signal that asks the program to end; SIGTERM where it is not there. It is an image's
 * (StopSignal), and magpie-init's to read: the program does not see it. */
#define STOP_SIGNAL_VARIABLE "MAGPIE_STOP_SIGNAL"

/* "park": the sandbox has no function yet. A BOOT frame brings environment and command line. */
struct outcome contract_park(void);

/* "adopt": the agent's nursery puts a process into the sandbox that speaks for itself. */
struct outcome contract_adopt(void);

/* "shim": the program itself speaks the worker protocol on descriptor 3. Runs it once. */
struct outcome contract_shim(char *const *arguments);

/* "exec": any program, run once an invocation; magpie-init speaks the worker protocol for it. Its
 * arguments come before the payload. Returns when the gateway has closed the socket, or what comes
 * over it is not the protocol. */
struct outcome contract_exec(char *const *command);

/* "http": a server, started once, that listens on the loopback; each invocation is a request to it.
 * `port` is decimal digits. */
struct outcome contract_http(const char *port, char *const *command);

/* "lambda": a program, started once, that fetches invocations by the AWS Lambda Runtime API, which
 * magpie-init serves on the loopback. */
struct outcome contract_lambda(char *const *command);
