/* What a process has opened for itself, and a copy of it must not share: epolls, eventfds, pipes and
 * devices without a state. A copy gets others of the same numbers, that are as those were. */
#pragma once

/* All from `from` on. 0 or a negative errno: -ENOTSUP where there is something of which no second can be
 * made, -E2BIG where there is too much. */
int descriptors_record(int from);

/* In a copy: closes whatever else it has from `from` on, and makes anew what was recorded. */
int descriptors_remake(int from);
