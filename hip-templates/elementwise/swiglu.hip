// swiglu: y = silu(gate) · up, element by element
//   layout    rows × cols elements; y: y_t, dense; gate: gate_t and up: up_t, rows GATE_STRIDE and UP_STRIDE apart
//   launch    grid = rows · ⌈cols / TILE⌉, block = BLOCK; one block per TILE columns of a row
//   aliasing  y may be gate or up where their rows coincide
//   numerics  in f32; one rounding to y's type
//   limits    any sizes; only where rows = 1 may cols be no multiple of P_ALIGN; any WAVE, any BLOCK
#ifndef P_GATE
#define P_GATE f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_UP
#define P_UP f32_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#ifndef P_GATE_STRIDE
#define P_GATE_STRIDE 0  // elements from row to row
#endif
#ifndef P_GATE_OFFSET
#define P_GATE_OFFSET 0  // elements before the first row
#endif
#ifndef P_UP_STRIDE
#define P_UP_STRIDE 0
#endif
#ifndef P_UP_OFFSET
#define P_UP_OFFSET 0
#endif
#ifndef P_TILE
#define P_TILE 2048  // elements of a block
#endif
#include "elementwise/operations.h"

typedef P_GATE gate_t;
typedef P_UP up_t;
typedef P_Y y_t;
constexpr int CHUNK = min_int(VEC, P_ALIGN), TILE = P_TILE;
constexpr int GATE_STRIDE = P_GATE_STRIDE, GATE_OFFSET = P_GATE_OFFSET, UP_STRIDE = P_UP_STRIDE, UP_OFFSET = P_UP_OFFSET;

DEVICE void swiglu_tile(int tile, y_t* y, const gate_t* gate, const up_t* up, int cols) {
  const int parts = ceil_div(cols, TILE), row = tile / parts, first = tile % parts * TILE;
  gate += GATE_OFFSET + size_t(row) * GATE_STRIDE;
  up += UP_OFFSET + size_t(row) * UP_STRIDE;
  y += size_t(row) * cols;
  const int end = min_int(first + TILE, cols);
  for (int i = first + thread_id() * CHUNK; i < end; i += BLOCK * CHUNK) {
    const int n = end - i;
    store_tail<CHUNK>(y + i, map(load_tail<CHUNK>(gate + i, n), Silu{}) * load_tail<CHUNK>(up + i, n), n);
  }
}

KERNEL void swiglu(y_t* y, const gate_t* gate, const up_t* up, i32 rows, i32 cols) {
  const int tiles = rows * ceil_div(cols, TILE);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) swiglu_tile(tile, y, gate, up, cols);
}
