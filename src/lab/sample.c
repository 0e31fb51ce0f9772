/* The figures' names; see sample.h. */
#include "lab/sample.h"

const char *sample_name(enum sample_figure figure)
{
        static const char *const names[SAMPLE_COUNT] = {
                [SAMPLE_CPU_USER] = "cpuUser",
                [SAMPLE_CPU_SYSTEM] = "cpuSystem",
                [SAMPLE_CPU_WAITING] = "cpuWaiting",
                [SAMPLE_BUSIEST_THREAD] = "busiestThread",
                [SAMPLE_MACHINE_CPU] = "machineCpu",
                [SAMPLE_LAB_CPU] = "labCpu",
                [SAMPLE_MEMORY] = "memory",
                [SAMPLE_DESCRIPTORS] = "descriptors",
                [SAMPLE_ESTABLISHED] = "established",
                [SAMPLE_SYN_RECEIVED] = "synReceived",
                [SAMPLE_CLOSE_WAIT] = "closeWait",
                [SAMPLE_TIME_WAIT] = "timeWait",
                [SAMPLE_ACCEPT_QUEUE] = "acceptQueue",
                [SAMPLE_OVERFLOWS] = "listenOverflows",
                [SAMPLE_SWITCHES] = "contextSwitches",
                [SAMPLE_RECEIVED] = "bytesReceived",
                [SAMPLE_SENT] = "bytesSent",
                [SAMPLE_LOOP_LAG] = "loopLag",
                [SAMPLE_CONNECTIONS] = "connections",
        };

        return names[figure];
}
