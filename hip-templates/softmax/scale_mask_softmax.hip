// scale_mask_softmax: y[t,h,:] = softmax(BY · x[t,h,l] where positions[t] − WINDOW < l ≤ positions[t], else −∞)
//   layout    y: y_t[T, H, L], x: x_t[T, H, L], row-major; positions: i32[T]
//   launch    grid = T · H, block = BLOCK; one block per row
//   aliasing  y may be x
//   numerics  f32, online maximum and sum; masked scores are not read; one rounding to y's type
//   limits    any sizes; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H
#endif
#ifndef P_BY
#define P_BY 0.125f  // factor of the scores
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
#include "softmax/row.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int HEADS = P_HEADS, WINDOW = P_WINDOW;
constexpr float BY = float(P_BY);

DEVICE void scale_mask_softmax_tile(int row, y_t* y, const x_t* x, const i32* positions, int L) {
  const x_t* const from = x + size_t(row) * L;
  const int position = positions[row / HEADS];
  const int first = WINDOW ? position - WINDOW + 1 : 0, last = min_int(position, L - 1);
  softmax_row(y + size_t(row) * L, L, [&](int l) {
    if (l > last || l + CHUNK <= first) return splat<CHUNK>(-INF);
    return only(load_tail<CHUNK>(from + l, L - l) * BY, first - l, last - l);
  });
}

KERNEL void scale_mask_softmax(y_t* y, const x_t* x, const i32* positions, i32 T, i32 L) {
  for (int row = block_id(); row < T * HEADS; row += grid_size()) scale_mask_softmax_tile(row, y, x, positions, L);
}
