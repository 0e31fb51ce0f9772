/* Passwords and digests of credentials, by libsodium. */
#include "adapters/sodium/credentials_sodium.h"

#include "testing.h"

#include <errno.h>

static struct credentials *opened(void)
{
        struct credentials *credentials = NULL;

        ck_assert_int_eq(credentials_sodium_open(&credentials), 0);
        return credentials;
}

TEST(a_password_is_right_only_as_it_was)
{
        struct credentials *c = opened();
        char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];

        ck_assert_int_eq(c->ops->hash(c, SLICE("correct horse"), hash, NULL), 0);
        ck_assert_int_eq(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
        ck_assert(c->ops->verify(c, SLICE("correct horse"), hash));
        ck_assert(!c->ops->verify(c, SLICE("correct horsE"), hash));
        ck_assert(!c->ops->verify(c, SLICE(""), hash));
        ck_assert_int_eq(c->ops->hash(c, SLICE("correct horse"), again, NULL), 0);
        ck_assert_str_ne(hash, again);
        credentials_sodium_close(c);
}
TEST_END

TEST(what_is_no_hash_is_matched_by_no_password)
{
        struct credentials *c = opened();

        ck_assert(!c->ops->verify(c, SLICE("anything"), ""));
        ck_assert(!c->ops->verify(c, SLICE(""), ""));
        ck_assert(!c->ops->verify(c, SLICE("anything"), "anything"));
        ck_assert(!c->ops->verify(c, SLICE("anything"), "$argon2id$broken"));
        credentials_sodium_close(c);
        credentials_sodium_close(NULL);
}
TEST_END

TEST(a_password_has_a_least_number_of_characters_and_a_most_of_bytes)
{
        static char longest[1025];
        struct credentials *c = opened();
        struct err err;

        memset(longest, 'x', sizeof(longest));
        ck_assert_int_eq(c->ops->validate(c, SLICE("12345678"), &err), 0);
        ck_assert_int_eq(c->ops->validate(c, SLICE("1234567"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "password has 7 characters: at least 8 are needed");
        ck_assert_int_eq(c->ops->validate(c, SLICE("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"), &err),
                         -EINVAL);
        ck_assert_int_eq(c->ops->validate(c, slice_make(longest, 1024), &err), 0);
        ck_assert_int_eq(c->ops->validate(c, slice_make(longest, 1025), &err), -EINVAL);
        ck_assert_str_eq(err.text, "password has 1025 bytes: at most 1024 are allowed");
        credentials_sodium_close(c);
}
TEST_END

TEST(a_digest_depends_on_the_credential_and_on_the_process)
{
        struct credentials *c = opened(), *other = opened();
        struct credential_digest one, same, different;

        c->ops->digest(c, SLICE("Bearer a"), &one);
        c->ops->digest(c, SLICE("Bearer a"), &same);
        ck_assert_mem_eq(&one, &same, sizeof(one));
        c->ops->digest(c, SLICE("Bearer b"), &different);
        ck_assert_mem_ne(&one, &different, sizeof(one));
        other->ops->digest(other, SLICE("Bearer a"), &different);
        ck_assert_mem_ne(&one, &different, sizeof(one));
        credentials_sodium_close(c);
        credentials_sodium_close(other);
}
TEST_END

TEST_MAIN("credentials", a_password_is_right_only_as_it_was,
          what_is_no_hash_is_matched_by_no_password,
          a_password_has_a_least_number_of_characters_and_a_most_of_bytes,
          a_digest_depends_on_the_credential_and_on_the_process)
