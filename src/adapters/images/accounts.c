/* Users and groups of images; see accounts.h. */
#include "adapters/images/accounts.h"

#include "base/text.h"
#include "core/registry/image.h"

#include <errno.h>
#include <string.h>

#define FIELDS_MAX 7
#define QUOTE(slice) text_quote(slice).text

static struct slice take_until(struct slice *text, char end)
{
        const char *mark = text->length > 0 ? memchr(text->data, end, text->length) : NULL;
        size_t length = mark ? (size_t)(mark - text->data) : text->length;
        struct slice taken = slice_make(text->data, length);

        *text = slice_skip(*text, length + (mark ? 1 : 0));
        return taken;
}

/* The next line's fields; those that it does not have are empty. False at the end. */
static bool take_line(struct slice *text, struct slice ret_fields[FIELDS_MAX])
{
        struct slice line;

        if (text->length == 0)
                return false;
        line = take_until(text, '\n');
        for (size_t i = 0; i < FIELDS_MAX; i++)
                ret_fields[i] = take_until(&line, ':');
        return true;
}

static bool read_number(struct slice text, uint64_t *ret_number)
{
        uint64_t number = 0;

        if (text.length == 0 || text.length > 10)
                return false;
        for (size_t i = 0; i < text.length; i++) {
                if (text.data[i] < '0' || text.data[i] > '9')
                        return false;
                number = number * 10 + (uint64_t)(text.data[i] - '0');
        }
        *ret_number = number;
        return true;
}

static int take_id(const char *what, struct slice given, uint64_t number, uint32_t *ret_id,
                   struct err *err)
{
        if (number > IMAGE_ID_MAX)
                return err_set(err, -EINVAL,
                               "the image's %s '%s' has the number %llu: a sandbox has those up to "
                               "%u",
                               what, QUOTE(given), (unsigned long long)number, IMAGE_ID_MAX);
        *ret_id = (uint32_t)number;
        return 0;
}

/* name:password:uid:gid:comment:home:shell. A name is looked for before a number. */
static int find_user(struct slice wanted, struct slice users, struct account *account,
                     struct err *err)
{
        struct slice fields[FIELDS_MAX];
        uint64_t number, user, group;
        bool is_number = read_number(wanted, &number);

        while (take_line(&users, fields)) {
                if (!read_number(fields[2], &user) || !read_number(fields[3], &group) ||
                    !(slice_equal(fields[0], wanted) || (is_number && user == number)))
                        continue;
                if (fields[5].length <= ACCOUNT_HOME_MAX && fields[5].length > 0 &&
                    !memchr(fields[5].data, '\0', fields[5].length)) {
                        memcpy(account->home, fields[5].data, fields[5].length);
                        account->home[fields[5].length] = '\0';
                }
                if (take_id("user", wanted, user, &account->user, err) < 0)
                        return -EINVAL;
                return take_id("user's group", wanted, group, &account->group, err);
        }
        if (is_number)
                return take_id("user", wanted, number, &account->user, err);
        return err_set(err, -EINVAL, "the image's user '%s' is not in its /etc/passwd",
                       QUOTE(wanted));
}

/* name:password:gid:members */
static int find_group(struct slice wanted, struct slice groups, struct account *account,
                      struct err *err)
{
        struct slice fields[FIELDS_MAX];
        uint64_t number, group;

        if (read_number(wanted, &number))
                return take_id("group", wanted, number, &account->group, err);
        while (take_line(&groups, fields))
                if (slice_equal(fields[0], wanted) && read_number(fields[2], &group))
                        return take_id("group", wanted, group, &account->group, err);
        return err_set(err, -EINVAL, "the image's group '%s' is not in its /etc/group",
                       QUOTE(wanted));
}

int account_find(const char *text, struct slice users, struct slice groups,
                 struct account *ret_account, struct err *err)
{
        struct slice group = slice_of(text), user = take_until(&group, ':');
        struct account account = {0};
        int r = find_user(user.length > 0 ? user : SLICE("0"), users, &account, err);

        if (r == 0 && group.length > 0)
                r = find_group(group, groups, &account, err);
        if (r == 0)
                *ret_account = account;
        return r;
}
