// ring.h: the ring i32[SLOTS, R, 2] through which tokens reach a host that shares its memory: token and number of the step.
#pragma once
#ifndef P_SLOTS
#define P_SLOTS 4  // steps that the host may be behind
#endif
#include "prelude/atomic.h"

constexpr int SLOTS = P_SLOTS;

/** Row r of the step `now`. Token and number are one store: the host sees both or neither. */
DEVICE void publish_row(i32* ring, i32* next_positions, int now, int R, int r, int position, i32 token) {
  next_positions[r] = position < 0 ? position : position + 1;
  store_for_host((u64*)ring + size_t(now % SLOTS) * R + r, u64(u32(now + 1)) << 32 | u32(token));
}
