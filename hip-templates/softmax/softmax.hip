// softmax: y[r,l] = e^(x[r,l] − max_l x) / Σ_l e^(x[r,l] − max_l x)
//   layout    y: y_t[rows, L], x: x_t[rows, L], row-major
//   launch    grid = rows, block = BLOCK; one block per row
//   aliasing  y may be x
//   numerics  f32, online maximum and sum; a row of −∞ alone gives NaN; one rounding to y's type
//   limits    any sizes; any WAVE, any BLOCK
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#include "softmax/row.h"

typedef P_X x_t;
typedef P_Y y_t;

DEVICE void softmax_tile(int row, y_t* y, const x_t* x, int L) {
  const x_t* const from = x + size_t(row) * L;
  softmax_row(y + size_t(row) * L, L, [&](int l) { return only(load_tail<CHUNK>(from + l, L - l), 0, L - l - 1); });
}

KERNEL void softmax(y_t* y, const x_t* x, i32 rows, i32 L) {
  for (int row = block_id(); row < rows; row += grid_size()) softmax_tile(row, y, x, L);
}
