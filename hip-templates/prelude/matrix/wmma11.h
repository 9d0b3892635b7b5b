// wmma11.h: v_wmma_f32_16x16x16 of gfx11, waves of 32. Lanes l and l + 16 both have all 16 k of row l % 16 of A and of column
// l % 16 of B; of D lane l has rows 2r + l / 16, r < 8, of column l % 16. Row a of A is row (a % 2) · 8 + a / 2 of w, so that a
// lane's sums are 8 rows that follow each other.
#pragma once
#include "prelude/block.h"

static_assert(WAVE == 32, "WMMA has waves of 32");

#if ON_HOST
template <class E> DEVICE void wmma_16x16x16(float (&c)[8], const u32 (&a)[8], const u32 (&b)[8], E) {
  for (int i = 0; i < 8; i++) {
    for (int r = 0; r < 8; r++) {
      const u32 row = wave_shfl(a[i], 2 * r + lane_id() / 16 + lane_id() / 16 * 16);  // of its own half: they hold the same
      for (int half = 0; half < 2; half++) {
        E x, y;
        x.bits = u16(row >> (half * 16)), y.bits = u16(b[i] >> (half * 16));
        c[r] += float(x) * float(y);
      }
    }
  }
}
#else
typedef float f32x8_t __attribute__((ext_vector_type(8)));
typedef _Float16 f16x16_t __attribute__((ext_vector_type(16)));
typedef short i16x16_t __attribute__((ext_vector_type(16)));
DEVICE f32x8_t wmma(const u32 (&a)[8], const u32 (&b)[8], f32x8_t c, f16_t) {
  return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(bit_cast<f16x16_t>(a), bit_cast<f16x16_t>(b), c);
}
DEVICE f32x8_t wmma(const u32 (&a)[8], const u32 (&b)[8], f32x8_t c, bf16_t) {
  return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(bit_cast<i16x16_t>(a), bit_cast<i16x16_t>(b), c);
}
template <class E> DEVICE void wmma_16x16x16(float (&c)[8], const u32 (&a)[8], const u32 (&b)[8], E e) {
  const f32x8_t sum = wmma(a, b, bit_cast<f32x8_t>(c), e);
  UNROLL for (int r = 0; r < 8; r++) c[r] = sum[r];
}
#endif

template <class E> struct matrix_unit {
  static constexpr int ROWS = 16, COLUMNS = 16, STEP = 16, RUN = 8, RUNS = 1, W_LOADS = 1, X_LOADS = 1, CHUNKS = 2;
  static DEVICE int row_of(int) { return lane_id() % 2 * 8 + lane_id() % 16 / 2; }
  static DEVICE int token_of(int) { return lane_id() % 16; }
  static DEVICE int chunk() { return 0; }
  static DEVICE int first_row(int) { return lane_id() / 16 * 8; }
  static DEVICE int token(int) { return lane_id() % 16; }

  template <class Op> static DEVICE float over_rows(float v, Op op) {
    v = op(v, wave_shfl_xor(v, 16));
    return v;
  }

  struct w_fragment {
    u32 row[8];
    DEVICE void set(int, int c, const words<4>& v) {
      UNROLL for (int i = 0; i < 4; i++) row[c * 4 + i] = v.w[i];
    }
  };
  typedef w_fragment x_fragment;
  static DEVICE void multiply(float (&c)[RUNS * RUN], const w_fragment& w, const x_fragment& x) {
    wmma_16x16x16(c, w.row, x.row, E());
  }
};
