// gather_rows: y[r,:] = x[rows[r],:], bit by bit
//   layout    y: UNITS units a row, row-major; x: rows X_STRIDE units apart from X_OFFSET; rows: i32[R], indices into x
//   launch    grid = R, block = BLOCK; one block per row of y
//   aliasing  none
//   numerics  exact, any element type
//   limits    any row that is a whole number of units; any WAVE, any BLOCK
#ifndef P_UNIT_BYTES
#define P_UNIT_BYTES 16  // bytes that a thread moves at a time: 1, 2, 4, 8 or 16
#endif
#ifndef P_UNITS
#define P_UNITS 256  // units of a row
#endif
#ifndef P_X_STRIDE
#define P_X_STRIDE 256  // units from row to row of x
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // units before the first row of x
#endif
#include "prelude/block.h"

constexpr int UNITS = P_UNITS, X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;

template <int BYTES> struct unit_of {
  struct alignas(BYTES) type {
    u32 words[BYTES / 4];
  };
};
template <> struct unit_of<1> { typedef u8 type; };
template <> struct unit_of<2> { typedef u16 type; };
typedef unit_of<P_UNIT_BYTES>::type unit_t;

DEVICE void gather_rows_tile(int r, unit_t* y, const unit_t* x, const i32* rows) {
  const unit_t* const from = x + X_OFFSET + size_t(rows[r]) * X_STRIDE;
  unit_t* const to = y + size_t(r) * UNITS;
  for (int i = thread_id(); i < UNITS; i += BLOCK) to[i] = from[i];
}

KERNEL void gather_rows(unit_t* y, const unit_t* x, const i32* rows, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) gather_rows_tile(r, y, x, rows);
}
