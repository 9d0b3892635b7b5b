// causal_mask: y[t,h,l] = x[t,h,l] where positions[t] − WINDOW < l ≤ positions[t], else −∞
//   layout    y: y_t[T, H, L], x: x_t[T, H, L], row-major; positions: i32[T]
//   launch    grid = T · H · ⌈L / TILE⌉, block = BLOCK; one block per TILE columns of a row
//   aliasing  y may be x
//   numerics  exact
//   limits    any sizes; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H
#endif
#ifndef P_WINDOW
#define P_WINDOW 0  // positions a query sees, itself included; 0: all
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_TILE
#define P_TILE 2048  // columns of a block
#endif
#include "prelude/block.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int HEADS = P_HEADS, WINDOW = P_WINDOW, TILE = P_TILE;

DEVICE void causal_mask_tile(int tile, y_t* y, const x_t* x, const i32* positions, int L) {
  const int parts = ceil_div(L, TILE), row = tile / parts;
  const int last = positions[row / HEADS], first = WINDOW ? last - WINDOW + 1 : 0;
  const int from = tile % parts * TILE, end = min_int(from + TILE, L);
  const size_t start = size_t(row) * L;
  for (int l = from + thread_id(); l < end; l += BLOCK)
    y[start + l] = l >= first && l <= last ? y_t(float(x[start + l])) : y_t(-INF);
}

KERNEL void causal_mask(y_t* y, const x_t* x, const i32* positions, i32 T, i32 L) {
  const int tiles = T * HEADS * ceil_div(L, TILE);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) causal_mask_tile(tile, y, x, positions, L);
}
