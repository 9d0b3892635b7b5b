// random_fill: a weight of random numbers in its own format, for models whose size matters and whose values do not
//   A kernel of the runtime: it implements no op and is part of no program. runtime/execute/random-fill.ts computes the same bytes.
//   layout    y: the weight's 16-bit words from `first` on; every format is a whole number of them
//   launch    any grid, block = BLOCK; a thread writes 8 words at a time
//   numerics  floats: (sum of four random bytes - 510) · STEP, nearly normal, rounded once to elem_t
//             quantised: random codes, the scales at their places in each block of BLOCK_WORDS words
//   limits    any number of words; y aligned to 2 bytes, 16-byte stores where it is aligned to 16
#ifndef P_STEP
#define P_STEP 1e-4f  // floats: value of one unit of the sum
#endif
#ifndef P_BLOCK_WORDS
#define P_BLOCK_WORDS 0  // quantised: words of a block; 0: floats of type elem_t
#endif
#ifndef P_SCALE_AT
#define P_SCALE_AT 0  // word of a block that holds its f16 scale
#endif
#ifndef P_SCALE
#define P_SCALE 0  // its bits
#endif
#ifndef P_MINIMUM_AT
#define P_MINIMUM_AT -1  // word of a block that holds its f16 minimum; -1: none
#endif
#ifndef P_MINIMUM
#define P_MINIMUM 0  // its bits
#endif
#include "prelude/base.h"

constexpr int BLOCK_WORDS = P_BLOCK_WORDS;
constexpr float STEP = P_STEP;
constexpr int GROUP = 8;  // words of a 16-byte store
struct alignas(16) Group {
  u32 w[4];
};

/** 32 bits that look random, a function of place and seed (Wellons' lowbias32). */
DEVICE u32 random_bits(u64 index, u32 seed) {
  u32 x = u32(index) + u32(index >> 32) * 0x9e3779b9u + seed;
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

DEVICE float random_float(u64 index, u32 seed) {
  const u32 r = random_bits(index, seed);
  return float(i32((r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24)) - 510) * STEP;
}

DEVICE u32 bits_of(f32_t v) { return bit_cast<u32>(v); }
DEVICE u32 bits_of(f16_t v) { return v.bits; }
DEVICE u32 bits_of(bf16_t v) { return v.bits; }

/** Word `index` of the weight, which is word `in_block` of its block. */
DEVICE u32 random_word(u64 index, int in_block, u32 seed) {
  if (BLOCK_WORDS > 0) {
    if (in_block == P_SCALE_AT) return P_SCALE;
    if (in_block == P_MINIMUM_AT) return P_MINIMUM;
    return random_bits(index, seed) & 0xffff;
  }
  constexpr int WORDS = int(sizeof(elem_t)) / 2;  // of an element, the low one first
  return bits_of(elem_t(random_float(index / WORDS, seed))) >> int(index % WORDS) * 16 & 0xffff;
}

KERNEL void random_fill(u16* y, u64 first, u64 count, u32 seed) {
  const bool aligned = (u64(y) & 15) == 0;
  const u64 step = u64(grid_size()) * BLOCK * GROUP;
  for (u64 at = (u64(block_id()) * BLOCK + thread_id()) * GROUP; at < count; at += step) {
    int in_block = BLOCK_WORDS > 0 ? int((first + at) % u64(BLOCK_WORDS > 0 ? BLOCK_WORDS : 1)) : 0;
    u32 word[GROUP];
    UNROLL for (int i = 0; i < GROUP; i++) {
      word[i] = random_word(first + at + i, in_block, seed);
      if (++in_block == BLOCK_WORDS) in_block = 0;
    }
    if (aligned && at + GROUP <= count) {
      Group packed;
      UNROLL for (int i = 0; i < 4; i++) packed.w[i] = word[2 * i] | word[2 * i + 1] << 16;
      *(Group*)(y + at) = packed;
    } else {
      UNROLL for (int i = 0; i < GROUP; i++)
        if (at + i < count) y[at + i] = u16(word[i]);
    }
  }
}
