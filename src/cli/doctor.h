/* `magpie doctor`: can this machine run functions, and how many?
 *
 * Each check looks at one thing and fills in a finding. The checks stand in tables, one a file:
 * doctor_kernel.c (what sandboxes are made of), doctor_cgroup.c, doctor_limits.c (how many of
 * anything), doctor_density.c (how many instances), doctor_network.c (outbound network),
 * doctor_host.c (what else a node needs).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

/* Owned texts. */
struct finding {
        enum verdict verdict;
        char *found;   /* what is there: "Linux 6.1.0" */
        char *meaning; /* a sentence: what that means for functions */
        char *mend;    /* the command that mends it; NULL where there is nothing to mend */
        char *raise;   /* the command by which more would be possible; mostly NULL */
};

struct doctor {
        const char *data_dir;
        bool data_dir_is_said; /* by a person, who expects it to be there */
};

struct check {
        const char *name; /* NULL at the end of a table */
        void (*look)(const struct doctor *doctor, const struct check *check,
                     struct finding *ret_finding);
        /* For checks that share a look(): what they look at, and what is enough. */
        const char *subject;
        uint64_t least;   /* below: VERDICT_WARN */
        uint64_t minimum; /* below: VERDICT_FAIL */
        const char *meaning;
};

extern const struct check checks_kernel[], checks_cgroup[], checks_limits[], checks_density[],
        checks_network[], checks_host[];

/* Fill in a finding. `meaning` and `mend` are copied; mend may be NULL. `found` is taken over. */
void finding_set(struct finding *finding, enum verdict verdict, char *found, const char *meaning,
                 const char *mend);
