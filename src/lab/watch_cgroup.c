/* A control group of the target, v2 or v1; see watch_parts.h and cgroups(7). What a folder of a v1
 * controller does not have, it does not say. */
#include "lab/watch_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define TEXT_SIZE 8192

static bool group_read(const struct watched_group *group, const char *name, char text[TEXT_SIZE])
{
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s/%s", group->folder, name);
        return watch_read(path, text, TEXT_SIZE) > 0;
}

static double group_number(const struct watched_group *group, const char *name)
{
        char text[TEXT_SIZE];

        return group_read(group, name, text) ? watch_number(text, "") : NAN;
}

/* Of two, the one that is there. */
static double either(double first, double second)
{
        return isnan(first) ? second : first;
}

/* Without what the kernel has read from files and would give back first. */
static double group_memory(const struct watched_group *group)
{
        double used = either(group_number(group, "memory.current"),
                             group_number(group, "memory.usage_in_bytes"));
        double files = NAN;
        char text[TEXT_SIZE];

        /* v1 tells those of its children apart. */
        if (group_read(group, "memory.stat", text))
                files = either(watch_number(text, "total_inactive_file"),
                               watch_number(text, "inactive_file"));
        return isnan(files) ? used : fmax(0, used - files);
}

void watched_group_take(struct watched_group *group, double seconds, double values[SAMPLE_COUNT])
{
        double user_s = NAN, system_s = NAN, memory;
        char text[TEXT_SIZE];

        if (!group->folder)
                return;
        if (group_read(group, "cpu.stat", text)) {
                user_s = watch_number(text, "user_usec") / 1e6;
                system_s = watch_number(text, "system_usec") / 1e6;
        }
        user_s = either(user_s, group_number(group, "cpuacct.usage_user") / 1e9);
        system_s = either(system_s, group_number(group, "cpuacct.usage_sys") / 1e9);
        if (!isnan(user_s) && !isnan(system_s)) {
                values[SAMPLE_CPU_USER] = rate_of(&group->user, user_s, seconds);
                values[SAMPLE_CPU_SYSTEM] = rate_of(&group->system, system_s, seconds);
        }
        memory = group_memory(group);
        if (!isnan(memory))
                values[SAMPLE_MEMORY] = memory;
}

void watched_group_limits(const struct watched_group *group, double limits[SAMPLE_COUNT])
{
        double memory, quota, period;
        char text[TEXT_SIZE];

        if (!group->folder)
                return;
        memory = either(group_number(group, "memory.max"),
                        group_number(group, "memory.limit_in_bytes"));
        if (!isnan(memory))
                limits[SAMPLE_MEMORY] = fmin(memory, limits[SAMPLE_MEMORY]);
        if (group_read(group, "cpu.max", text) && sscanf(text, "%lf %lf", &quota, &period) == 2)
                limits[SAMPLE_CPU_USER] = fmin(quota / period, limits[SAMPLE_CPU_USER]);
        quota = group_number(group, "cpu.cfs_quota_us");
        period = group_number(group, "cpu.cfs_period_us");
        if (quota > 0 && period > 0)
                limits[SAMPLE_CPU_USER] = fmin(quota / period, limits[SAMPLE_CPU_USER]);
}
