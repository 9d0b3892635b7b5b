// read_all: reads memory and does nothing with it: what a device's memory gives, the yardstick of memory-bound kernels
//   A kernel of the runtime: it implements no op and is part of no program.
//   layout    from: f32[tiles · TILE_VECTORS · BLOCK · 4], 16-byte aligned; out: f32[1], written only for a sum that no
//             memory has, so that the reads stay
//   launch    any grid, block = BLOCK; TILE_VECTORS loads of 16 bytes in flight a thread
//   limits    any number of tiles
#ifndef P_TILE_VECTORS
#define P_TILE_VECTORS 8  // vectors of 16 bytes that a thread reads of a tile
#endif
#include "prelude/vec.h"

constexpr int TILE_VECTORS = P_TILE_VECTORS;

KERNEL void read_all(f32_t* out, const f32_t* from, i32 tiles) {
  float sum = 0.f;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) {
    const f32_t* const start = from + (size_t(tile) * TILE_VECTORS * BLOCK + thread_id()) * 4;
    vec<float, 4> v[TILE_VECTORS];
    UNROLL for (int i = 0; i < TILE_VECTORS; i++) v[i] = load_nt<4>(start + size_t(i) * BLOCK * 4);
    UNROLL for (int i = 0; i < TILE_VECTORS; i++) sum += hsum(v[i]);
  }
  if (sum == 1.2345678e30f) out[0] = sum;
}
