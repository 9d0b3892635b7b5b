// argmax: i[r] = the first column where x[r,:] is largest; NaN counts as −∞
//   layout    y: i32[R]; x: x_t[R, V] row-major
//   launch    grid = R, block = BLOCK; one block per row
//   aliasing  none
//   numerics  exact
//   limits    V < 2^24; a row of −∞ alone gives 0; any WAVE, any BLOCK
#include "sample/columns.h"

DEVICE void argmax_tile(int r, i32* y, const x_t* x) {
  const Indexed found = largest(x + size_t(r) * COLUMNS);
  if (thread_id() == 0) y[r] = found.index;
}

KERNEL void argmax(i32* y, const x_t* x, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) argmax_tile(r, y, x);
}
