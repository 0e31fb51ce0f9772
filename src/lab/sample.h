/* What the target and its machine looked like at one time. A figure that cannot be had is NaN. */
#pragma once

enum sample_figure {
        SAMPLE_CPU_USER,       /* processors in use by the target's code */
        SAMPLE_CPU_SYSTEM,     /* and by the kernel for it */
        SAMPLE_CPU_WAITING,    /* its threads that could run and had no processor, on average */
        SAMPLE_BUSIEST_THREAD, /* share of a processor */
        SAMPLE_MACHINE_CPU,    /* processors of the machine in use by anybody */
        SAMPLE_LAB_CPU,        /* and of these by the lab itself */
        SAMPLE_MEMORY,         /* bytes; what its processes share counts once */
        SAMPLE_DESCRIPTORS,    /* of that process which has most */
        SAMPLE_ESTABLISHED,    /* sockets of the target's port, by state */
        SAMPLE_SYN_RECEIVED,
        SAMPLE_CLOSE_WAIT,
        SAMPLE_TIME_WAIT,
        SAMPLE_ACCEPT_QUEUE, /* connections that wait for accept(2) */
        SAMPLE_OVERFLOWS,    /* connections a second that the accept queue had no room for */
        SAMPLE_SWITCHES,     /* times a second that its threads were given a processor */
        SAMPLE_RECEIVED,     /* bytes a second, all of its network namespace's interfaces */
        SAMPLE_SENT,
        SAMPLE_LOOP_LAG,    /* milliseconds, from its own metrics */
        SAMPLE_CONNECTIONS, /* the same */
        SAMPLE_COUNT,
};

struct sample {
        double at_s;  /* since the run began */
        double level; /* clients, or requests a second, that the plan wanted then */
        double values[SAMPLE_COUNT];
};

/* How much there is of it; NaN where nobody says. */
struct sample_limits {
        double values[SAMPLE_COUNT];
};

/* "cpuUser" and so on: the name in the JSON. */
const char *sample_name(enum sample_figure figure);
