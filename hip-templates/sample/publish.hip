// publish: ring[step mod N, r] = (token[r], step + 1); next_step = step + 1; next_positions = positions + 1
//   method    as ring.h has it
//   layout    ring: i32[N, R, 2], 8-byte aligned; token, positions, next_positions: i32[R]; step, next_step: i32[1]
//   launch    grid = 1, block = BLOCK
//   aliasing  next_positions may be positions, next_step may be step
//   numerics  exact
//   limits    step ≥ 0; a negative position, of a row without a request, stays; any WAVE, any BLOCK
#include "sample/ring.h"

DEVICE void publish_tile(i32* ring, i32* next_positions, i32* next_step, const i32* token, const i32* positions,
                         const i32* step, int R) {
  const int now = step[0];
  block_sync();  // every thread has read the step
  KEEP_LOOP for (int r = thread_id(); r < R; r += BLOCK) publish_row(ring, next_positions, now, R, r, positions[r], token[r]);
  if (thread_id() == 0) next_step[0] = now + 1;
}

KERNEL void publish(i32* ring, i32* next_positions, i32* next_step, const i32* token, const i32* positions, const i32* step,
                    i32 R) {
  for (int tile = block_id(); tile < 1; tile += grid_size())
    publish_tile(ring, next_positions, next_step, token, positions, step, R);
}
