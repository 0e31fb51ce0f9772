/* What may become of an instance; see instance.h. */
#include "core/pool/instance.h"

const char *instance_state_name(enum instance_state state)
{
        static const char *const names[INSTANCE_STATE_COUNT] = {
                [INSTANCE_BOOTING] = "booting", [INSTANCE_IDLE] = "idle",
                [INSTANCE_FROZEN] = "frozen",   [INSTANCE_BUSY] = "busy",
                [INSTANCE_ENDING] = "ending",
        };
        return names[state];
}

bool instance_may_become(enum instance_state from, enum instance_state to)
{
        static const bool allowed[INSTANCE_STATE_COUNT][INSTANCE_STATE_COUNT] = {
                [INSTANCE_BOOTING] =
                        {[INSTANCE_IDLE] = true, [INSTANCE_BUSY] = true, [INSTANCE_ENDING] = true},
                [INSTANCE_IDLE] = {[INSTANCE_FROZEN] = true,
                                   [INSTANCE_BUSY] = true,
                                   [INSTANCE_ENDING] = true},
                [INSTANCE_FROZEN] = {[INSTANCE_BUSY] = true, [INSTANCE_ENDING] = true},
                [INSTANCE_BUSY] = {[INSTANCE_IDLE] = true, [INSTANCE_ENDING] = true},
                [INSTANCE_ENDING] = {false},
        };
        return allowed[from][to];
}
