// wmma12.h: v_wmma_f32_16x16x16 of gfx12, waves of 32. Lane l has of A row l % 16, of B column l % 16, each with 8 neighbours of
// k from 8 (l / 16) on (the ISA's own order of k is another, the same for both); of D rows 8 (l / 16) … + 7 of column l % 16.
#pragma once
#include "prelude/block.h"

static_assert(WAVE == 32, "WMMA has waves of 32");

#if ON_HOST
template <class E> DEVICE void wmma_16x16x16(float (&c)[8], const u32 (&a)[4], const u32 (&b)[4], E) {
  for (int group = 0; group < 2; group++) {
    for (int i = 0; i < 4; i++) {
      const u32 column = wave_shfl(b[i], group * 16 + lane_id() % 16);
      for (int r = 0; r < 8; r++) {
        const u32 row = wave_shfl(a[i], group * 16 + lane_id() / 16 * 8 + r);
        for (int half = 0; half < 2; half++) {
          E x, y;
          x.bits = u16(row >> (half * 16)), y.bits = u16(column >> (half * 16));
          c[r] += float(x) * float(y);
        }
      }
    }
  }
}
#else
typedef float f32x8_t __attribute__((ext_vector_type(8)));
typedef _Float16 f16x8_t __attribute__((ext_vector_type(8)));
typedef short i16x8_t __attribute__((ext_vector_type(8)));
DEVICE f32x8_t wmma(const u32 (&a)[4], const u32 (&b)[4], f32x8_t c, f16_t) {
  return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(bit_cast<f16x8_t>(a), bit_cast<f16x8_t>(b), c);
}
DEVICE f32x8_t wmma(const u32 (&a)[4], const u32 (&b)[4], f32x8_t c, bf16_t) {
  return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(bit_cast<i16x8_t>(a), bit_cast<i16x8_t>(b), c);
}
template <class E> DEVICE void wmma_16x16x16(float (&c)[8], const u32 (&a)[4], const u32 (&b)[4], E e) {
  const f32x8_t sum = wmma(a, b, bit_cast<f32x8_t>(c), e);
  UNROLL for (int r = 0; r < 8; r++) c[r] = sum[r];
}
#endif

template <class E> struct matrix_unit {
  static constexpr int ROWS = 16, COLUMNS = 16, STEP = 32, RUN = 8, RUNS = 1, W_LOADS = 1, X_LOADS = 1, CHUNKS = 2;
  static DEVICE int row_of(int) { return lane_id() % 16; }
  static DEVICE int token_of(int) { return lane_id() % 16; }
  static DEVICE int chunk() { return lane_id() / 16 * 2; }
  static DEVICE int first_row(int) { return lane_id() / 16 * 8; }
  static DEVICE int token(int) { return lane_id() % 16; }

  template <class Op> static DEVICE float over_rows(float v, Op op) {
    v = op(v, wave_shfl_xor(v, 16));
    return v;
  }

  struct w_fragment {
    words<4> half[2];
    DEVICE void set(int, int c, const words<4>& v) { half[c] = v; }
  };
  typedef w_fragment x_fragment;
  /** Two instructions: the first takes the lower 8 of a lane's 16 neighbours of k. */
  static DEVICE void multiply(float (&c)[RUNS * RUN], const w_fragment& w, const x_fragment& x) {
    UNROLL for (int i = 0; i < 2; i++) wmma_16x16x16(c, w.half[i].w, x.half[i].w, E());
  }
};
