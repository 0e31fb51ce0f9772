/* `magpie doctor`: runs the checks and tells what they found; see doctor.h. */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text.h"

#define DATA_DIR_DEFAULT "/var/lib/magpie"
#define SYSCTL_KEEP "lines NAME=VALUE in /etc/sysctl.d/magpie.conf"

static const struct {
        const char *title;
        const struct check *checks;
} groups[] = {
        {"Sandboxes", checks_kernel},
        {"Control groups", checks_cgroup},
        {"Limits", checks_limits},
        {"Live instances", checks_density},
        {"Outbound network", checks_network},
        {"This machine", checks_host},
};

static const char *verdict_name(enum verdict verdict)
{
        switch (verdict) {
        case VERDICT_OK:
                return "ok";
        case VERDICT_WARN:
                return "warn";
        case VERDICT_FAIL:
                return "fail";
        }
        return "";
}

static enum style verdict_style(enum verdict verdict)
{
        switch (verdict) {
        case VERDICT_OK:
                return STYLE_GOOD;
        case VERDICT_WARN:
                return STYLE_WARN;
        case VERDICT_FAIL:
                return STYLE_BAD;
        }
        return STYLE_PLAIN;
}

void finding_set(struct finding *finding, enum verdict verdict, char *found, const char *meaning,
                 const char *mend)
{
        finding->verdict = verdict;
        finding->found = found;
        finding->meaning = text_copy(meaning);
        finding->mend = mend ? text_copy(mend) : NULL;
}

static void finding_deinit(struct finding *finding)
{
        free(finding->found);
        free(finding->meaning);
        free(finding->mend);
        free(finding->raise);
}

static void print_finding(const struct check *check, const struct finding *finding)
{
        (void)printf("  %s%-4s%s  %-22s %s%s; %s%s\n",
                     style_on(stdout, verdict_style(finding->verdict)),
                     verdict_name(finding->verdict), style_on(stdout, STYLE_PLAIN), check->name,
                     finding->found, style_on(stdout, STYLE_DIM), finding->meaning,
                     style_on(stdout, STYLE_PLAIN));
        if (finding->mend)
                (void)printf("        %smend it:%s %s\n", style_on(stdout, STYLE_BOLD),
                             style_on(stdout, STYLE_PLAIN), finding->mend);
        if (finding->raise)
                (void)printf("        %sraise it:%s %s\n", style_on(stdout, STYLE_BOLD),
                             style_on(stdout, STYLE_PLAIN), finding->raise);
}

static void add_finding(cJSON *list, const struct check *check, const struct finding *finding)
{
        cJSON *item = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(item, "check", check->name);
        (void)cJSON_AddStringToObject(item, "verdict", verdict_name(finding->verdict));
        (void)cJSON_AddStringToObject(item, "found", finding->found);
        (void)cJSON_AddStringToObject(item, "meaning", finding->meaning);
        if (finding->mend)
                (void)cJSON_AddStringToObject(item, "mend", finding->mend);
        if (finding->raise)
                (void)cJSON_AddStringToObject(item, "raise", finding->raise);
        (void)cJSON_AddItemToArray(list, item);
}

/* Runs a group; `list` is where the findings go, NULL to print them. Counts by verdict. */
static void run_group(const struct doctor *doctor, const struct check *check, cJSON *list,
                      unsigned counts[VERDICT_FAIL + 1])
{
        for (; check->name; check++) {
                AUTO(finding_deinit) struct finding finding = {0};
                check->look(doctor, check, &finding);
                counts[finding.verdict]++;
                if (list)
                        add_finding(list, check, &finding);
                else
                        print_finding(check, &finding);
        }
}

static void print_keeping(void)
{
        (void)printf("\nWhat sysctl -w sets lasts until the next boot: " SYSCTL_KEEP " keep it.\n");
}

static void print_sum(const unsigned counts[VERDICT_FAIL + 1])
{
        (void)fflush(stdout);
        if (counts[VERDICT_FAIL] > 0)
                say_error("this machine cannot run functions yet: %u to mend, %u to consider",
                          counts[VERDICT_FAIL], counts[VERDICT_WARN]);
        else if (counts[VERDICT_WARN] > 0)
                say_done("this machine can run functions; %u things to consider",
                         counts[VERDICT_WARN]);
        else
                say_done("this machine is ready");
}

static int doctor_run(struct cli *cli, int argc, char **argv)
{
        AUTO(json_free) cJSON *list = NULL;
        const char *environment = getenv("MAGPIE_DATA_DIR");
        struct doctor doctor = {.data_dir = environment && *environment ? environment : NULL};
        const struct option options[] = {
                {"data-dir", 0, OPTION_TEXT, "DIR", "where the node keeps its data",
                 &doctor.data_dir},
                {0},
        };
        unsigned counts[VERDICT_FAIL + 1] = {0};
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_doctor, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        doctor.data_dir_is_said = doctor.data_dir != NULL;
        if (!doctor.data_dir)
                doctor.data_dir = DATA_DIR_DEFAULT;
        list = cli->json ? cJSON_CreateArray() : NULL;
        for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
                if (!list)
                        (void)printf("%s%s%s%s\n", i > 0 ? "\n" : "", style_on(stdout, STYLE_BOLD),
                                     groups[i].title, style_on(stdout, STYLE_PLAIN));
                run_group(&doctor, groups[i].checks, list, counts);
        }
        if (list)
                print_json(list);
        else
                print_keeping();
        print_sum(counts);
        return counts[VERDICT_FAIL] > 0 ? CLI_FAILED : CLI_OK;
}

const struct verb verb_doctor = {
        .name = "doctor",
        .arguments = "[OPTIONS]",
        .summary = "check whether this machine can run functions",
        .about = "Looks at everything a node needs of its machine. Each line says ok, warn or "
                 "fail,\n"
                 "what that means, and the command that mends it. Exit code 1 when something\n"
                 "fails. As root it also tries out control groups, on one of its own.\n"
                 "What sysctl -w sets lasts until the next boot: " SYSCTL_KEEP "\nkeep it.",
        .examples = "  sudo magpie doctor\n"
                    "  magpie doctor -o json\n",
        .group = VERB_NODE,
        .shared = VERB_SHOWS,
        .run = doctor_run,
};
