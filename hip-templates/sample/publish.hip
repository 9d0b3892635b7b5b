// publish: ring[step mod N, r] = (token[r], step + 1); next_step = step + 1; next_positions = positions + 1
//   method    a token and its step are one store: the host, which shares the ring's memory, sees both or neither
//   layout    ring: i32[N, R, 2], 8-byte aligned; token, positions, next_positions: i32[R]; step, next_step: i32[1]
//   launch    grid = 1, block = BLOCK
//   aliasing  next_positions may be positions, next_step may be step
//   numerics  exact
//   limits    step ≥ 0; a negative position, of a row without a request, stays; any WAVE, any BLOCK
#ifndef P_SLOTS
#define P_SLOTS 4  // N, steps that the host may be behind
#endif
#include "prelude/atomic.h"

constexpr int SLOTS = P_SLOTS;

DEVICE void publish_tile(i32* ring, i32* next_positions, i32* next_step, const i32* token, const i32* positions,
                         const i32* step, int R) {
  const int now = step[0];
  block_sync();  // every thread has read the step
  u64* const slot = (u64*)ring + size_t(now % SLOTS) * R;
  KEEP_LOOP for (int r = thread_id(); r < R; r += BLOCK) {
    const int position = positions[r];
    next_positions[r] = position < 0 ? position : position + 1;
    store_for_host(slot + r, u64(u32(now + 1)) << 32 | u32(token[r]));
  }
  if (thread_id() == 0) next_step[0] = now + 1;
}

KERNEL void publish(i32* ring, i32* next_positions, i32* next_step, const i32* token, const i32* positions, const i32* step,
                    i32 R) {
  for (int tile = block_id(); tile < 1; tile += grid_size())
    publish_tile(ring, next_positions, next_step, token, positions, step, R);
}
