// layer_norm: y[t,d] = (x[t,d] − mean_d x) · rsqrt(var_d x + eps) · w[d] + bias[d]
//   layout    y: y_t[T, D] row-major; x: x_t, groups of X_GROUP rows X_STRIDE apart from X_OFFSET; w: w_t[D]; bias: bias_t[D] or null
//   launch    grid = T, block = BLOCK; one block per row
//   aliasing  y may be x where their rows coincide
//   numerics  mean first, then squares of what differs from it, both summed in f32; one rounding to y's type
//   limits    any D ≥ 1; the tail is masked; any WAVE, any BLOCK
#ifndef P_EPS
#define P_EPS 1e-5f  // added to the variance
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
#ifndef P_BIAS
#define P_BIAS 0  // 1: there is a bias
#endif
#ifndef P_BIAS_ELEM
#define P_BIAS_ELEM f32_t
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
typedef P_BIAS_ELEM bias_t;
constexpr float EPS = float(P_EPS);
constexpr bool HAS_BIAS = P_BIAS != 0;
constexpr int X_GROUP = P_X_GROUP, X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;

/** 0 where a lane lies beyond the row, so that it adds nothing to the variance. */
DEVICE chunk_t inside(int d, chunk_t v) {
  if constexpr (HIDDEN % CHUNK != 0) {
    if (d + CHUNK > HIDDEN)
      for (int i = 0; i < CHUNK; i++)
        if (d + i >= HIDDEN) v.set(i, 0.f);
  }
  return v;
}

DEVICE void layer_norm_tile(int t, y_t* y, const x_t* x, const w_t* w, const bias_t* bias) {
  const x_t* const from = x + X_OFFSET + size_t(t / X_GROUP) * X_STRIDE + (t % X_GROUP) * HIDDEN;
  y_t* const to = y + size_t(t) * HIDDEN;
  const auto again = [&](int d) { return load_chunk(from, d); };
  kept_row row;
  chunk_t sums = splat<CHUNK>(0.f), squares = sums;
  each_chunk([&](int d, int i) {
    const chunk_t v = again(d);
    row.keep(i, v);
    sums += v;
  });
  const float mean = block_reduce(hsum(sums), Add{}) * (1.f / HIDDEN);
  each_chunk([&](int d, int i) {
    const chunk_t v = inside(d, row.get(i, d, again) - mean);
    squares = fma(v, v, squares);
  });
  const float scale = rsqrt_f32(block_reduce(hsum(squares), Add{}) * (1.f / HIDDEN) + EPS);
  each_chunk([&](int d, int i) {
    chunk_t v = (row.get(i, d, again) - mean) * scale * load_chunk(w, d);
    if constexpr (HAS_BIAS) v += load_chunk(bias, d);
    store_chunk(to, d, v);
  });
}

KERNEL void layer_norm(y_t* y, const x_t* x, const w_t* w, const bias_t* bias, i32 T) {
  for (int t = block_id(); t < T; t += grid_size()) layer_norm_tile(t, y, x, w, bias);
}
