/* What the transport's complaints mean. The lines are skopeo 1.9's own. */
#include "adapters/images/skopeo_words.h"

#include "testing.h"

#define LINE(message)                                                                              \
        "time=\"2025-01-31T12:00:00Z\" level=fatal msg=\"Error parsing image name "                \
        "\\\"docker://h/a:1\\\": " message "\"\n"

TEST(each_complaint_has_its_meaning)
{
        static const struct {
                const char *output;
                enum image_result result;
        } cases[] = {
                {LINE("reading manifest 2 in h/a: manifest unknown: manifest unknown"),
                 IMAGE_UNKNOWN},
                {LINE("pinging container registry h: Get \\\"http://h/v2/\\\": dial tcp h: "
                      "connect: "
                      "connection refused"),
                 IMAGE_UNREACHABLE},
                {LINE("pinging container registry h: Get: dial tcp: lookup h: no such host"),
                 IMAGE_UNREACHABLE},
                {LINE("pinging container registry h: http: server gave HTTP response to HTTPS "
                      "client"),
                 IMAGE_UNREACHABLE},
                {LINE("reading manifest 1 in h/a: unauthorized: authentication required"),
                 IMAGE_NOT_ALLOWED},
                {LINE("errors: denied: requested access to the resource is denied"),
                 IMAGE_NOT_ALLOWED},
                {"level=fatal msg=\"writing blob: happened during read: Digest did not match\"",
                 IMAGE_CORRUPT},
                {"level=fatal msg=\"reading blob sha256:aa: Error fetching blob: invalid status "
                 "code "
                 "from registry 404 (Not Found)\"",
                 IMAGE_CORRUPT},
                {"level=fatal msg=\"writing blob: write /x: no space left on device\"",
                 IMAGE_DISK_FULL},
                {"level=fatal msg=\"writing blob: write /x: file too large\"", IMAGE_CORRUPT},
                {"level=warning msg=\"no space left on device\"\nlevel=fatal msg=\"other\"",
                 IMAGE_FAILED},
                {"", IMAGE_FAILED},
                {"panic", IMAGE_FAILED},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(skopeo_meaning(slice_of(cases[i].output)) == cases[i].result, "%s",
                              cases[i].output);
}
TEST_END

TEST(the_sentence_is_the_last_message_without_its_quotes)
{
        char sentence[SKOPEO_SENTENCE_MAX + 1];

        skopeo_sentence(
                SLICE("level=warning msg=\"first\"\nlevel=fatal msg=\"a \\\"b\\\" \\\\ c\" x=1"),
                sentence);
        ck_assert_str_eq(sentence, "a \"b\" \\ c");
        skopeo_sentence(SLICE("no logger\nat all\n"), sentence);
        ck_assert_str_eq(sentence, "no logger at all");
        skopeo_sentence(SLICE(""), sentence);
        ck_assert_str_eq(sentence, "");
}
TEST_END

TEST(a_long_sentence_keeps_its_end)
{
        char output[4000], sentence[SKOPEO_SENTENCE_MAX + 1];

        memset(output, 'x', sizeof(output));
        memcpy(output, "msg=\"", 5);
        memcpy(output + sizeof(output) - 8, "the end\"", 8);
        skopeo_sentence(slice_make(output, sizeof(output)), sentence);
        ck_assert_uint_le(strlen(sentence), SKOPEO_SENTENCE_MAX);
        ck_assert_str_eq(sentence + strlen(sentence) - 7, "the end");
}
TEST_END

TEST_MAIN("skopeo_words", each_complaint_has_its_meaning,
          the_sentence_is_the_last_message_without_its_quotes, a_long_sentence_keeps_its_end)
