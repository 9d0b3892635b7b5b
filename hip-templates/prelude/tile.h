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
// Two lowerings. Plain FMA serves every target: the lanes form a grid of ROWS × COLS, each with every ROWS-th row and every
// COLS-th column. NVIDIA's matrix instructions serve f16 and bf16 in multiples of 16 × 8 × 16; they sum in f32 too, in
// another order. Which lane holds which element is the lowering's business: only `each` may be relied on.
#pragma once
#include "prelude/block.h"

#if ON_NVIDIA
template <class E> struct is_half { static constexpr bool value = same_type<E, f16_t>::value || same_type<E, bf16_t>::value; };
template <int M, int N, int K, class E> struct has_matrix_instruction {
  static constexpr bool value = is_half<E>::value && M % 16 == 0 && N % 8 == 0 && K % 16 == 0;
};
#else
template <int M, int N, int K, class E> struct has_matrix_instruction { static constexpr bool value = false; };
#endif

template <int M, int N, int K, class E = float, bool MATRIX = has_matrix_instruction<M, N, K, E>::value> struct tile_mma {
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

#if ON_HOST
/** Low halves of two words as a pair, and high ones. */
DEVICE u32 low_halves(u32 a, u32 b) { return (a & 0xffff) | b << 16; }
DEVICE u32 high_halves(u32 a, u32 b) { return a >> 16 | (b & 0xffff0000u); }

/** An 8 × 8 matrix of 16-bit elements across a wave of 32, transposed: lane l has elements 2 (l % 4) and the next of row l / 4. */
DEVICE u32 transpose_8x8(u32 pair) {
  const int group = lane_id() / 4, place = lane_id() % 4;
  u32 out = 0;
  for (int i = 0; i < 2; i++) out |= (wave_shfl(pair, (place * 2 + i) * 4 + group / 2) >> (group % 2 * 16) & 0xffff) << (i * 16);
  return out;
}

/** What the instruction of that shape does, in emulated waves of 32: lanes ask each other for their elements. */
template <class E> DEVICE void mma_16x8x16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], E) {
  const auto at = [](u32 pair, int i) {
    E e;
    e.bits = u16(pair >> (i * 16));
    return float(e);
  };
  const int group = lane_id() / 4, place = lane_id() % 4;
  for (int k = 0; k < 16; k += 2) {  // the pair k, k + 1 is with lane k / 2 % 4 of each group
    const int from = k / 2 % 4, high = k / 8;
    for (int e = 0; e < 4; e++) {
      const u32 row = wave_shfl(a[high * 2 + e / 2], group * 4 + from);
      const u32 column = wave_shfl(b[high], (place * 2 + e % 2) * 4 + from);
      for (int i = 0; i < 2; i++) c[e] += at(row, i) * at(column, i);
    }
  }
}
#endif

#if ON_NVIDIA
DEVICE u32 low_halves(u32 a, u32 b) { return __byte_perm(a, b, 0x5410); }
DEVICE u32 high_halves(u32 a, u32 b) { return __byte_perm(a, b, 0x7632); }
DEVICE u32 transpose_8x8(u32 pair) {
  u32 out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(pair));
  return out;
}

/** c += a · b on 16 × 8 × 16 elements; lanes hold them as the PTX ISA says of mma.m16n8k16. */
DEVICE void mma_16x8x16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], bf16_t) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_16x8x16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], f16_t) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/**
 * The lanes form 8 rows of 4: a lane has pairs of neighbours along k from its row of a and of b, and pairs along n of the
 * rows m and m + 8 of c. Rows that start 16 bytes apart beyond a multiple of 64 bring every lane its own LDS bank.
 */
template <int M, int N, int K, class E> struct tile_mma<M, N, K, E, true> {
  static constexpr int DOWN = M / 16, ACROSS = N / 8;
  float acc[DOWN][ACROSS][4];

  DEVICE void clear() {
    UNROLL for (int i = 0; i < DOWN; i++)
      UNROLL for (int j = 0; j < ACROSS; j++)
        UNROLL for (int e = 0; e < 4; e++) acc[i][j][e] = 0.f;
  }

  DEVICE void step(const E* a, int lda, const E* b, int ldb) {
    const int row = lane_id() / 4, pair = lane_id() % 4 * 2;
    UNROLL for (int k = 0; k < K; k += 16) {
      u32 rows[DOWN][4];
      UNROLL for (int i = 0; i < DOWN; i++) {
        const E* const from = a + (i * 16 + row) * lda + k + pair;
        rows[i][0] = *(const u32*)from, rows[i][1] = *(const u32*)(from + 8 * lda);
        rows[i][2] = *(const u32*)(from + 8), rows[i][3] = *(const u32*)(from + 8 * lda + 8);
      }
      UNROLL for (int j = 0; j < ACROSS; j++) {
        const E* const from = b + (j * 8 + row) * ldb + k + pair;
        const u32 columns[2] = {*(const u32*)from, *(const u32*)(from + 8)};
        UNROLL for (int i = 0; i < DOWN; i++) mma_16x8x16(acc[i][j], rows[i], columns, E());
      }
    }
  }

  /** f(m, n, value) */
  template <class F> DEVICE void each(F f) const {
    const int m = lane_id() / 4, n = lane_id() % 4 * 2;
    UNROLL for (int i = 0; i < DOWN; i++)
      UNROLL for (int j = 0; j < ACROSS; j++)
        UNROLL for (int e = 0; e < 4; e++) f(i * 16 + m + e / 2 * 8, j * 8 + n + e % 2, acc[i][j][e]);
  }
};
#endif
