// rms_norm: y[t,d] = x[t,d] · rsqrt(mean_d(x[t,:]²) + eps) · w[d]
//   layout    y: y_t[T, D] row-major; x: x_t, groups of X_GROUP rows X_STRIDE apart from X_OFFSET; w: w_t[D]
//   launch    grid = T, block = BLOCK; one block per row
//   aliasing  y may be x where their rows coincide
//   numerics  squares summed in f32; one rounding to y's type
//   limits    any D ≥ 1; the tail is masked; any WAVE, any BLOCK
#ifndef P_EPS
#define P_EPS 1e-5f  // added to the mean square
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_W
#define P_W f32_t
#endif
#ifndef P_X_GROUP
#define P_X_GROUP 1  // rows of x that lie side by side
#endif
#ifndef P_X_STRIDE
#define P_X_STRIDE 4096  // elements from group to group of x
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // elements before the first row of x
#endif
#include "norm/row.h"

typedef P_X x_t;
typedef P_Y y_t;
typedef P_W w_t;
constexpr float EPS = float(P_EPS);
constexpr int X_GROUP = P_X_GROUP, X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;

DEVICE void rms_norm_tile(int t, y_t* y, const x_t* x, const w_t* w) {
  const x_t* const from = x + X_OFFSET + size_t(t / X_GROUP) * X_STRIDE + (t % X_GROUP) * HIDDEN;
  y_t* const to = y + size_t(t) * HIDDEN;
  kept_row row;
  chunk_t squares = splat<CHUNK>(0.f);
  each_chunk([&](int d, int i) {
    const chunk_t v = load_chunk(from, d);
    row.keep(i, v);
    squares = fma(v, v, squares);
  });
  const float scale = rsqrt_f32(block_reduce(hsum(squares), Add{}) * (1.f / HIDDEN) + EPS);
  each_chunk([&](int d, int i) {
    const chunk_t v = row.get(i, d, [&](int at) { return load_chunk(from, at); });
    store_chunk(to, d, v * scale * load_chunk(w, d));
  });
}

KERNEL void rms_norm(y_t* y, const x_t* x, const w_t* w, i32 T) {
  await_earlier_launches();
  for (int t = block_id(); t < T; t += grid_size()) rms_norm_tile(t, y, x, w);
}
