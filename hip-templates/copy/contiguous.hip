// contiguous: y[i,j,k,l] = x[i·S0 + j·S1 + (k / GROUP)·S2 + l·S3 + OFFSET], in another element type where y's differs
//   layout    y: y_t[rows / (D1·D2), D1, D2, D3] row-major; x: x_t with strides S0 … S3 in elements, −1 where it is the
//             product of the dims that follow
//   launch    grid = ⌈elements / TILE⌉, block = BLOCK; a block takes TILE / CHUNK chunks of the last dim at a time
//   aliasing  none
//   numerics  one rounding where types differ; exact where they are one
//   limits    up to 4 dims (fewer: the first are 1); any WAVE, any BLOCK
#ifndef P_S0
#define P_S0 -1
#endif
#ifndef P_S1
#define P_S1 -1
#endif
#ifndef P_S2
#define P_S2 -1
#endif
#ifndef P_S3
#define P_S3 1
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // elements before the first
#endif
#ifndef P_GROUP
#define P_GROUP 1  // consecutive indices of dim 2 that are one in x
#endif
#ifndef P_ALIGN
#define P_ALIGN 1  // a power of two that divides the start of every row of x and y; 1 where S3 is not 1
#endif
#ifndef P_X
#define P_X f32_t  // element types: float types, or one integer type for both
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_TILE
#define P_TILE 2048  // elements of a block, if the last dim is a whole number of chunks
#endif
#include "prelude/block.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int S0 = P_S0, S1 = P_S1, S2 = P_S2, S3 = P_S3, X_OFFSET = P_X_OFFSET, GROUP = P_GROUP, TILE = P_TILE;
constexpr int CHUNK = min_int(VEC, P_ALIGN), TILE_CHUNKS = TILE / CHUNK;

template <class Y, class X> DEVICE void copy_chunk(Y* y, const X* x, int n) {
  if constexpr (same_type<X, Y>::value) {
    for (int i = 0; i < CHUNK; i++)
      if (i < n) y[i] = x[i];
  } else {
    store_tail<CHUNK>(y, load_tail<CHUNK>(x, n), n);
  }
}

DEVICE void contiguous_tile(int tile, y_t* y, const x_t* x, int rows, int D1, int D2, int D3) {
  const int across = ceil_div(D3, CHUNK);
  const size_t s2 = size_t(S2 < 0 ? D3 : S2);
  const size_t s1 = S1 < 0 ? s2 * size_t(ceil_div(D2, GROUP)) : size_t(S1), s0 = S0 < 0 ? s1 * size_t(D1) : size_t(S0);
  const int end = min_int((tile + 1) * TILE_CHUNKS, rows * across);
  for (int at = tile * TILE_CHUNKS + thread_id(); at < end; at += BLOCK) {
    const int row = at / across, l = at % across * CHUNK;
    const int k = row % D2, j = row / D2 % D1, i = row / D2 / D1;
    const x_t* const from = x + X_OFFSET + i * s0 + j * s1 + k / GROUP * s2 + size_t(l) * S3;
    copy_chunk(y + size_t(row) * D3 + l, from, D3 - l);
  }
}

KERNEL void contiguous(y_t* y, const x_t* x, i32 rows, i32 D1, i32 D2, i32 D3) {
  const int tiles = ceil_div(rows * ceil_div(D3, CHUNK), TILE_CHUNKS);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) contiguous_tile(tile, y, x, rows, D1, D2, D3);
}
