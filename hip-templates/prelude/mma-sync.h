// mma-sync.h: mma.sync.m16n8k16 and what goes with it, for waves of 32. Lanes hold operands as the PTX ISA says ("Matrix
// Fragments for mma.m16n8k16"); the host emulates them by shuffles.
//   mma_16x8x16(c, a, b, E())   c += a · b on 16 × 8 × 16 elements E, f16_t or bf16_t
//   transpose_8x8(pair)         an 8 × 8 matrix of 16-bit elements across the wave, transposed
//   low_halves(a, b) · high_halves(a, b)   those of two words, as a pair
#pragma once
#include "prelude/block.h"

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
#endif
