// add_rms_norm: sum[t,d] = a[t,d] + b[t,d];  y[t,d] = sum[t,d] · rsqrt(mean_d(sum[t,:]²) + eps) · w[d]
//   layout    sum, y: y_t[T, D]; a: a_t[T, D]; b: b_t[T, D]; all row-major; w: w_t[D]
//   launch    grid = T, block = BLOCK; one block per row
//   aliasing  sum may be a or b only where IN_REGISTERS; y may be neither
//   numerics  y is made from the sum before it is rounded; squares summed in f32
//   limits    any D ≥ 1; the tail is masked; any WAVE, any BLOCK
#ifndef P_EPS
#define P_EPS 1e-5f  // added to the mean square
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
#ifndef P_W
#define P_W f32_t
#endif
#include "norm/row.h"

typedef P_A a_t;
typedef P_B b_t;
typedef P_Y y_t;
typedef P_W w_t;
constexpr float EPS = float(P_EPS);

DEVICE void add_rms_norm_tile(int t, y_t* sum, y_t* y, const a_t* a, const b_t* b, const w_t* w) {
  const size_t at = size_t(t) * HIDDEN;
  const auto added = [&](int d) { return load_chunk(a + at, d) + load_chunk(b + at, d); };
  kept_row row;
  chunk_t squares = splat<CHUNK>(0.f);
  each_chunk([&](int d, int i) {
    const chunk_t v = added(d);
    row.keep(i, v);
    store_chunk(sum + at, d, v);
    squares = fma(v, v, squares);
  });
  const float scale = rsqrt_f32(block_reduce(hsum(squares), Add{}) * (1.f / HIDDEN) + EPS);
  each_chunk([&](int d, int i) { store_chunk(y + at, d, row.get(i, d, added) * scale * load_chunk(w, d)); });
}

KERNEL void add_rms_norm(y_t* sum, y_t* y, const a_t* a, const b_t* b, const w_t* w, i32 T) {
  await_earlier_launches();
  for (int t = block_id(); t < T; t += grid_size()) add_rms_norm_tile(t, sum, y, a, b, w);
}
