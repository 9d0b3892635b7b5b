// gated_residual: y = sigmoid(gate) · x + residual, element by element
//   layout    y, gate, x, residual: N elements of f32, dense
//   launch    grid = ⌈N / TILE⌉, block = BLOCK; one block per TILE elements
//   aliasing  y may be any operand
//   numerics  in f32
//   limits    any N; any WAVE, any BLOCK
#ifndef P_TILE
#define P_TILE 2048  // elements of a block
#endif
#include "prelude/block.h"

constexpr int TILE = P_TILE;

DEVICE void gated_residual_tile(int tile, f32_t* y, const f32_t* gate, const f32_t* x, const f32_t* residual, int N) {
  const int end = min_int((tile + 1) * TILE, N);
  for (int i = tile * TILE + thread_id() * VEC; i < end; i += BLOCK * VEC) {
    const int n = end - i;
    const auto opened = load_tail<VEC>(x + i, n) / (fast_exp(-load_tail<VEC>(gate + i, n)) + 1.f);
    store_tail<VEC>(y + i, opened + load_tail<VEC>(residual + i, n), n);
  }
}

KERNEL void gated_residual(f32_t* y, const f32_t* gate, const f32_t* x, const f32_t* residual, i32 N) {
  for (int tile = block_id(); tile < ceil_div(N, TILE); tile += grid_size())
    gated_residual_tile(tile, y, gate, x, residual, N);
}
