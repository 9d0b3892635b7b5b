// unary: y = op(x), element by element: scale, silu, gelu, sigmoid, tanh, softcap
//   layout    rows × cols elements; y: y_t, dense; x: x_t, rows X_STRIDE apart from X_OFFSET
//   launch    grid = rows · ⌈cols / TILE⌉, block = BLOCK; one block per TILE columns of a row
//   aliasing  y may be x where their rows coincide
//   numerics  in f32, functions within 4 ulp; one rounding to y's type
//   limits    any sizes; only where rows = 1 may cols be no multiple of P_ALIGN; any WAVE, any BLOCK
#ifndef P_OP
#define P_OP Silu  // one of the structs of operations.h
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#ifndef P_X_STRIDE
#define P_X_STRIDE 0  // elements from row to row of x
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // elements before the first row of x
#endif
#ifndef P_TILE
#define P_TILE 2048  // elements of a block
#endif
#include "elementwise/operations.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int CHUNK = min_int(VEC, P_ALIGN), TILE = P_TILE, X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;

DEVICE void unary_tile(int tile, y_t* y, const x_t* x, int cols) {
  const int parts = ceil_div(cols, TILE), row = tile / parts, first = tile % parts * TILE;
  const x_t* const from = x + X_OFFSET + size_t(row) * X_STRIDE;
  y_t* const to = y + size_t(row) * cols;
  const int end = min_int(first + TILE, cols);
  for (int i = first + thread_id() * CHUNK; i < end; i += BLOCK * CHUNK)
    store_tail<CHUNK>(to + i, map(load_tail<CHUNK>(from + i, end - i), P_OP{}), end - i);
}

KERNEL void unary(y_t* y, const x_t* x, i32 rows, i32 cols) {
  const int tiles = rows * ceil_div(cols, TILE);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) unary_tile(tile, y, x, cols);
}
