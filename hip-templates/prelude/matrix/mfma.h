// mfma.h: v_mfma_f32_16x16x16 of CDNA, and 16x16x32 of gfx950; waves of 64. Lane l has of A row l % 16, of B column l % 16, each
// with 4 (8) neighbours of k from 4 (8) · (l / 16) on; of D rows 4 (l / 16) … + 3 of column l % 16.
// A step is 32 elements: one instruction of gfx950, two elsewhere: the first takes the lower 4 of the lane's 8 neighbours.
#pragma once
#include "prelude/block.h"

static_assert(WAVE == 64, "MFMA has waves of 64");

#if ON_HOST
/** The instruction of K elements, WORDS = K / 8 words of A and B a lane: lanes ask each other for their operands. */
template <int WORDS, class E> DEVICE void mfma_16x16(float (&c)[4], const u32 (&a)[WORDS], const u32 (&b)[WORDS], E) {
  for (int group = 0; group < 4; group++) {
    for (int i = 0; i < WORDS; i++) {
      const u32 column = wave_shfl(b[i], group * 16 + lane_id() % 16);
      for (int r = 0; r < 4; r++) {
        const u32 row = wave_shfl(a[i], group * 16 + lane_id() / 16 * 4 + r);
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
typedef float f32x4_t __attribute__((ext_vector_type(4)));
typedef _Float16 f16x4_t __attribute__((ext_vector_type(4)));
typedef short i16x4_t __attribute__((ext_vector_type(4)));
DEVICE f32x4_t mfma(const u32 (&a)[2], const u32 (&b)[2], f32x4_t c, f16_t) {
  return __builtin_amdgcn_mfma_f32_16x16x16f16(bit_cast<f16x4_t>(a), bit_cast<f16x4_t>(b), c, 0, 0, 0);
}
DEVICE f32x4_t mfma([[maybe_unused]] const u32 (&a)[2], [[maybe_unused]] const u32 (&b)[2], f32x4_t c, bf16_t) {
#if defined(__gfx908__)  // its instruction takes half as many k: no kernel uses it
  return c;
#else
  return __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(bit_cast<i16x4_t>(a), bit_cast<i16x4_t>(b), c, 0, 0, 0);
#endif
}
#if P_MATRIX_UNIT == MATRIX_MFMA950
typedef _Float16 f16x8_t __attribute__((ext_vector_type(8)));
typedef __bf16 bf16x8_t __attribute__((ext_vector_type(8)));
DEVICE f32x4_t mfma(const u32 (&a)[4], const u32 (&b)[4], f32x4_t c, f16_t) {
  return __builtin_amdgcn_mfma_f32_16x16x32_f16(bit_cast<f16x8_t>(a), bit_cast<f16x8_t>(b), c, 0, 0, 0);
}
DEVICE f32x4_t mfma(const u32 (&a)[4], const u32 (&b)[4], f32x4_t c, bf16_t) {
  return __builtin_amdgcn_mfma_f32_16x16x32_bf16(bit_cast<bf16x8_t>(a), bit_cast<bf16x8_t>(b), c, 0, 0, 0);
}
#endif
template <int WORDS, class E> DEVICE void mfma_16x16(float (&c)[4], const u32 (&a)[WORDS], const u32 (&b)[WORDS], E e) {
  const f32x4_t sum = mfma(a, b, f32x4_t{c[0], c[1], c[2], c[3]}, e);
  c[0] = sum.x, c[1] = sum.y, c[2] = sum.z, c[3] = sum.w;
}
#endif

template <class E> struct matrix_unit {
  static constexpr int ROWS = 16, COLUMNS = 16, STEP = 32, RUN = 4, RUNS = 1, W_LOADS = 1, X_LOADS = 1, CHUNKS = 1;
  static DEVICE int row_of(int) { return lane_id() % 16; }
  static DEVICE int token_of(int) { return lane_id() % 16; }
  static DEVICE int chunk() { return lane_id() / 16; }
  static DEVICE int first_row(int) { return lane_id() / 16 * 4; }
  static DEVICE int token(int) { return lane_id() % 16; }

  template <class Op> static DEVICE float over_rows(float v, Op op) {
    v = op(v, wave_shfl_xor(v, 16));
    v = op(v, wave_shfl_xor(v, 32));
    return v;
  }

  struct w_fragment {
    words<4> row;
    DEVICE void set(int, int, const words<4>& v) { row = v; }
  };
  typedef w_fragment x_fragment;
  static DEVICE void multiply(float (&c)[RUNS * RUN], const w_fragment& w, const x_fragment& x) {
#if P_MATRIX_UNIT == MATRIX_MFMA950
    mfma_16x16<4>(c, w.row.w, x.row.w, E());
#else
    UNROLL for (int half = 0; half < 4; half += 2) {
      const u32 a[2] = {w.row.w[half], w.row.w[half + 1]}, b[2] = {x.row.w[half], x.row.w[half + 1]};
      mfma_16x16<2>(c, a, b, E());
    }
#endif
  }
};
