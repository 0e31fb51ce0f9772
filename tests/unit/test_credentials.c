/* Passwords and digests of credentials, by libsodium. */
#include "adapters/sodium/credential.h"
#include "adapters/sodium/password.h"

#include "testing.h"

#include <errno.h>

TEST(a_password_is_right_only_as_it_was)
{
        char hash[PASSWORD_HASH_SIZE], again[PASSWORD_HASH_SIZE];

        ck_assert_int_eq(password_hash(SLICE("correct horse"), hash, NULL), 0);
        ck_assert_int_eq(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
        ck_assert_int_eq(password_verify(SLICE("correct horse"), hash), PASSWORD_RIGHT);
        ck_assert_int_eq(password_verify(SLICE("correct horsE"), hash), PASSWORD_WRONG);
        ck_assert_int_eq(password_verify(SLICE(""), hash), PASSWORD_WRONG);
        ck_assert_int_eq(password_hash(SLICE("correct horse"), again, NULL), 0);
        ck_assert_str_ne(hash, again);
}
TEST_END

TEST(a_hash_that_is_none_is_wrong_for_every_password)
{
        ck_assert_int_eq(password_verify(SLICE("anything"), ""), PASSWORD_WRONG);
        ck_assert_int_eq(password_verify(SLICE(""), ""), PASSWORD_WRONG);
        ck_assert_int_eq(password_verify(SLICE("anything"), "anything"), PASSWORD_WRONG);
        ck_assert_int_eq(password_verify(SLICE("anything"), "$argon2id$broken"), PASSWORD_WRONG);
}
TEST_END

TEST(a_password_has_a_least_number_of_characters_and_a_most_of_bytes)
{
        static char longest[PASSWORD_MAX_LENGTH + 1];
        struct err err;

        memset(longest, 'x', sizeof(longest));
        ck_assert_int_eq(password_validate(SLICE("12345678"), &err), 0);
        ck_assert_int_eq(password_validate(SLICE("1234567"), &err), -EINVAL);
        ck_assert_str_eq(err.text, "password has 7 characters: at least 8 are needed");
        ck_assert_int_eq(password_validate(SLICE("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"), &err),
                         -EINVAL);
        ck_assert_int_eq(password_validate(slice_make(longest, PASSWORD_MAX_LENGTH), &err), 0);
        ck_assert_int_eq(password_validate(slice_make(longest, PASSWORD_MAX_LENGTH + 1), &err),
                         -EINVAL);
        ck_assert_str_eq(err.text, "password has 1025 bytes: at most 1024 are allowed");
}
TEST_END

TEST(a_digest_depends_on_key_and_credential)
{
        struct credential_key key, other;
        struct credential_digest one, same, different;

        ck_assert_int_eq(credential_key_make(&key), 0);
        ck_assert_int_eq(credential_key_make(&other), 0);
        credential_digest(&key, SLICE("Bearer a"), &one);
        credential_digest(&key, SLICE("Bearer a"), &same);
        ck_assert_mem_eq(&one, &same, sizeof(one));
        credential_digest(&key, SLICE("Bearer b"), &different);
        ck_assert_mem_ne(&one, &different, sizeof(one));
        credential_digest(&other, SLICE("Bearer a"), &different);
        ck_assert_mem_ne(&one, &different, sizeof(one));
}
TEST_END

TEST_MAIN("credentials", a_password_is_right_only_as_it_was,
          a_hash_that_is_none_is_wrong_for_every_password,
          a_password_has_a_least_number_of_characters_and_a_most_of_bytes,
          a_digest_depends_on_key_and_credential)
