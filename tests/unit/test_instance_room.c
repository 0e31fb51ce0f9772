/* What may be ahead in one instance fits its socket, whether or not its worker reads. */
#include "base/auto.h"
#include "gateway/instance.h"

#include "testing.h"

#include <sys/socket.h>

TEST(a_running_call_and_all_ahead_of_it_fit_a_socket_that_nobody_reads)
{
        static const char frame[AHEAD_FRAME_MAX];
        int ends[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        for (int i = 0; i < 1 + POOL_AHEAD_MAX; i++)
                ck_assert_int_eq(send(ends[0], frame, sizeof(frame), MSG_DONTWAIT), sizeof(frame));
        fd_close(&ends[0]);
        fd_close(&ends[1]);
}
TEST_END

TEST_MAIN("instance room", a_running_call_and_all_ahead_of_it_fit_a_socket_that_nobody_reads)
