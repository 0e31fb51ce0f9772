/* Numbers the way a person says them; see human.h. */
#include "cli/human.h"

#include "base/auto.h"
#include "cli/text.h"

#include <stdlib.h>

char *human_bytes(double bytes)
{
        static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
        size_t unit = 0;

        while (bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
                bytes /= 1024;
                unit++;
        }
        return text_format("%.*f %s", unit == 0 || bytes >= 100 ? 0 : 1, bytes, units[unit]);
}

char *human_age(const char *rfc3339, time_t now)
{
        static const struct {
                time_t seconds;
                const char *name;
        } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
        struct tm parts = {0};
        time_t age;

        if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &parts))
                return text_copy(rfc3339);
        age = now - timegm(&parts);
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (age >= units[i].seconds)
                        return text_format("%lld %s ago", (long long)(age / units[i].seconds),
                                           units[i].name);
        return text_copy("just now");
}

char *human_instances(double busy, double idle, double frozen, double starting)
{
        const struct {
                double count;
                const char *name;
        } states[] = {{busy, "busy"}, {starting, "starting"}, {idle, "idle"}, {frozen, "frozen"}};
        char *text = text_copy("");

        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
                AUTO(memory_free) char *before = text;
                if (states[i].count > 0)
                        text = text_format("%s%s%.0f %s", before, *before ? ", " : "",
                                           states[i].count, states[i].name);
                else
                        text = memory_steal(&before);
        }
        if (*text)
                return text;
        free(text);
        return text_copy("none");
}
