// binary: y = op(a, b), element by element: add, mul. b may have one row for all rows of a
//   layout    rows × cols elements; y: y_t, dense; a: a_t and b: b_t, rows A_STRIDE and B_STRIDE apart; a stride of
//             −1 stands for cols, one of 0 repeats the row
//   launch    grid = rows · ⌈cols / TILE⌉, block = BLOCK; one block per TILE columns of a row
//   aliasing  y may be a; it may be b where b is not repeated
//   numerics  in f32; one rounding to y's type
//   limits    any sizes; only where rows = 1 may cols be no multiple of P_ALIGN; any WAVE, any BLOCK
#ifndef P_OP
#define P_OP Plus  // one of the structs of operations.h
#endif
#ifndef P_A
#define P_A f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_B
#define P_B f32_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#ifndef P_A_STRIDE
#define P_A_STRIDE -1  // elements from row to row
#endif
#ifndef P_A_OFFSET
#define P_A_OFFSET 0  // elements before the first row
#endif
#ifndef P_B_STRIDE
#define P_B_STRIDE -1
#endif
#ifndef P_B_OFFSET
#define P_B_OFFSET 0
#endif
#ifndef P_TILE
#define P_TILE 2048  // elements of a block
#endif
#include "elementwise/operations.h"

typedef P_A a_t;
typedef P_B b_t;
typedef P_Y y_t;
constexpr int CHUNK = min_int(VEC, P_ALIGN), TILE = P_TILE;
constexpr int A_STRIDE = P_A_STRIDE, A_OFFSET = P_A_OFFSET, B_STRIDE = P_B_STRIDE, B_OFFSET = P_B_OFFSET;

DEVICE size_t row_start(int row, int stride, int cols) { return size_t(row) * (stride < 0 ? cols : stride); }

DEVICE void binary_tile(int tile, y_t* y, const a_t* a, const b_t* b, int cols) {
  const int parts = ceil_div(cols, TILE), row = tile / parts, first = tile % parts * TILE;
  a += A_OFFSET + row_start(row, A_STRIDE, cols);
  b += B_OFFSET + row_start(row, B_STRIDE, cols);
  y += size_t(row) * cols;
  const int end = min_int(first + TILE, cols);
  for (int i = first + thread_id() * CHUNK; i < end; i += BLOCK * CHUNK) {
    const int n = end - i;
    store_tail<CHUNK>(y + i, zip(load_tail<CHUNK>(a + i, n), load_tail<CHUNK>(b + i, n), P_OP{}), n);
  }
}

KERNEL void binary(y_t* y, const a_t* a, const b_t* b, i32 rows, i32 cols) {
  const int tiles = rows * ceil_div(cols, TILE);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) binary_tile(tile, y, a, b, cols);
}
