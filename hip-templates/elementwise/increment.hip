// increment: y = x + BY, of i32: positions that advance on the device
//   layout    y, x: i32[n]
//   launch    grid = ⌈n / TILE⌉, block = BLOCK; one block per TILE elements
//   aliasing  y may be x
//   numerics  wraps at 2³²
//   limits    any n ≥ 0; any WAVE, any BLOCK
#ifndef P_BY
#define P_BY 1  // what is added
#endif
#ifndef P_TILE
#define P_TILE 1024  // elements of a block
#endif
#include "prelude/block.h"

constexpr u32 BY = u32(P_BY);
constexpr int TILE = P_TILE;

DEVICE void increment_tile(int tile, i32* y, const i32* x, int n) {
  const int end = min_int((tile + 1) * TILE, n);
  for (int i = tile * TILE + thread_id(); i < end; i += BLOCK) y[i] = i32(u32(x[i]) + BY);
}

KERNEL void increment(i32* y, const i32* x, i32 n) {
  for (int tile = block_id(); tile < ceil_div(n, TILE); tile += grid_size()) increment_tile(tile, y, x, n);
}
