/* Chance by a seed: xoshiro256** (Blackman and Vigna, 2018), filled by splitmix64. Not for
 * secrets. */
#pragma once

#include <stdint.h>

struct random {
        uint64_t state[4];
};

static inline void random_init(struct random *random, uint64_t seed)
{
        for (int i = 0; i < 4; i++) {
                uint64_t mixed = seed += 0x9e3779b97f4a7c15ull;
                mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
                mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
                random->state[i] = mixed ^ (mixed >> 31);
        }
}

static inline uint64_t random_next(struct random *random)
{
        uint64_t *state = random->state;
        uint64_t product = state[1] * 5, result = (product << 7 | product >> 57) * 9;
        uint64_t carried = state[1] << 17;

        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= carried;
        state[3] = state[3] << 45 | state[3] >> 19;
        return result;
}

/* Above 0 and at most 1. */
static inline double random_unit(struct random *random)
{
        return (double)((random_next(random) >> 11) + 1) * 0x1.0p-53;
}
