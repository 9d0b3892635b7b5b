// tile.h: the matrix primitive. tile_mma<M, N, K, E> is one wave's M×N tile of C = A · Bᵀ in registers, f32.
//
//   tile_mma<32, 32, 32, elem_t> c;
//   c.clear();
//   c.step(a, lda, b, ldb);              c += A · Bᵀ with A = E[M][K] at a, B = E[N][K] at b; row strides in elements
//   c.each([&](int m, int n, float v) { … });   every element once, by the lane that holds it
//
// Both operands have k innermost, as activations [T, K] and weights [out, K] lie in memory; a and b are usually LDS.
// Every row must start at 16 bytes: lda, ldb are multiples of 16 / sizeof(E). Pad them by 16 bytes to spread LDS banks.
// All lanes of the wave call step together; waves of a block own different tiles.
//
// Plain FMA serves every target and type: the lanes form a grid of ROWS × COLS, each with every ROWS-th row and every COLS-th
// column; only `each` may be relied on. matrix/unit.h has the primitive of the matrix units, for 16-bit elements.
#pragma once
#include "prelude/block.h"

template <int M, int N, int K, class E = float> struct tile_mma {
  static constexpr int ROWS = WAVE == 1 ? 1 : WAVE == 32 ? 4 : 8, COLS = WAVE / ROWS;
  static constexpr int CHUNK = WAVE == 1 ? VEC : 16 / int(sizeof(E));  // of k, read at a time
  static_assert(M % ROWS == 0 && N % COLS == 0, "a tile is a whole number of rows and columns per lane");
  static_assert(K % CHUNK == 0, "K must be a multiple of a 16-byte chunk");
  static constexpr int MR = M / ROWS, NR = N / COLS;

#if ON_HOST
  static constexpr int PART = CHUNK;  // partial sums per element: a SIMD register of them, added up in `each`
#else
  static constexpr int PART = 1;
#endif
  vec<float, PART> acc[MR][NR];

  DEVICE void clear() {
    UNROLL for (int i = 0; i < MR; i++) {
      UNROLL for (int j = 0; j < NR; j++) acc[i][j] = splat<PART>(0.f);
    }
  }

  DEVICE void step(const E* a, int lda, const E* b, int ldb) {
    const E* const ra = a + (WAVE == 1 ? 0 : lane_id() / COLS) * lda;
    const E* const rb = b + (WAVE == 1 ? 0 : lane_id() % COLS) * ldb;
    for (int k = 0; k < K; k += CHUNK) {
      vec<float, CHUNK> va[MR];
      UNROLL for (int i = 0; i < MR; i++) va[i] = load<CHUNK>(ra + i * ROWS * lda + k);
      UNROLL for (int j = 0; j < NR; j++) {
        const vec<float, CHUNK> vb = load<CHUNK>(rb + j * COLS * ldb + k);
        UNROLL for (int i = 0; i < MR; i++) {
#if ON_HOST
          acc[i][j] = fma(va[i], vb, acc[i][j]);
#else
          UNROLL for (int e = 0; e < CHUNK; e++) acc[i][j].v[0] = fma_f32(va[i].v[e], vb.v[e], acc[i][j].v[0]);
#endif
        }
      }
    }
  }

  /** f(m, n, value) */
  template <class F> DEVICE void each(F f) const {
    const int m0 = WAVE == 1 ? 0 : lane_id() / COLS, n0 = WAVE == 1 ? 0 : lane_id() % COLS;
    UNROLL for (int i = 0; i < MR; i++) {
      UNROLL for (int j = 0; j < NR; j++) f(m0 + i * ROWS, n0 + j * COLS, hsum(acc[i][j]));
    }
  }
};
