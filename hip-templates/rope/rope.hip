// rope: rotates channel pair i of x[t,h,:] by positions[t] · theta^(−2i/dims) / factors[i], stretched by MAGNITUDE
//   layout    y: y_t[T, H, C] row-major; x: x_t, tokens X_STRIDE apart from X_OFFSET; positions: i32[T]; factors: f32[dims/2]
//   launch    grid = T · ⌈H / TILE_HEADS⌉, block = BLOCK; one block per TILE_HEADS heads of a token
//   aliasing  y may not be x
//   numerics  angles exact to 2^−32 turns; sine and cosine within 4 ulp; one rounding to y's type
//   limits    0 ≤ positions; dims even; any C, H; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H
#endif
#ifndef P_TILE_HEADS
#define P_TILE_HEADS 8  // heads of a block
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_X_STRIDE
#define P_X_STRIDE 512  // elements from token to token of x
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // elements before the first token of x
#endif
#include "rope/rotate.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int HEADS = P_HEADS, TILE_HEADS = P_TILE_HEADS, X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;
constexpr int TILES = ceil_div(HEADS, TILE_HEADS);

DEVICE void rope_tile(int tile, y_t* y, const x_t* x, const i32* positions, const float* factors) {
  LDS(float, cosines, PAIRS);
  LDS(float, sines, PAIRS);
  const int t = tile / TILES, first = tile % TILES * TILE_HEADS;
  block_sync();  // the tile before may still be read
  make_angles(cosines, sines, positions[t], factors);
  block_sync();
  const int heads = min_int(TILE_HEADS, HEADS - first);
  for (int i = thread_id(); i < heads * HEAD_CHUNKS; i += BLOCK) {
    const int h = first + i / HEAD_CHUNKS;
    rotate_chunk(y + (size_t(t) * HEADS + h) * C, x + X_OFFSET + size_t(t) * X_STRIDE + h * C, i % HEAD_CHUNKS, cosines,
                 sines);
  }
}

KERNEL void rope(y_t* y, const x_t* x, const i32* positions, const float* factors, i32 T) {
  for (int tile = block_id(); tile < T * TILES; tile += grid_size()) rope_tile(tile, y, x, positions, factors);
}
