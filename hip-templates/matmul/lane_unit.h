// lane_unit.h: what a lane takes of a row of w at a time: 8 to 64 elements, as raw words that stay untouched while they are
// in flight from memory, and how they become numbers.
//   U::ELEMS                elements of a unit; the units of a row are dealt to lanes
//   U::PIECES, U::PIECE     its elements are so many runs of so many neighbours; U::first(unit, p) is where a run begins
//   U::GROUPS               pieces come in so many groups of one scale; 0 where elements are their own values
//   U::WORDS, U::load(to, row, unit)       the raw words, by the widest loads that the format's alignment allows
// Of elements that are their own values:
//   U::values(raw, unit, p)                piece p as vec<float, PIECE>
// Of codes with scales, value = step · (code + OFFSET) + base:
//   U::codes(raw, unit, p)                 piece p as signed bytes, four to a word
//   U::scale(raw, unit, g)                 step, and base + step · (OFFSET, or -128 where codes are negative: SIGNED)
//   U::unit_of(k), U::piece_of(k)          where element k is
//   U::SPAN                                neighbours of which each unit lies within one run: they share a scale of x
//   U::BASE                                is there a base?
//   U::total(raw, unit, dots, sums)        Σ value · x from each group's Σ (code + OFFSET) · x, in DOTS parts (fixed_x.h), and Σ x
// Units of nibbles take the high ones with the low ones, so that every byte is loaded once.
#pragma once
#ifndef P_RUN
#define P_RUN 16  // bytes of nibbles in a unit of q4_k: 16, or 32, where each scale is unpacked once
#endif
#include "matmul/operands.h"

template <int W, int N> DEVICE void put(words<W>& to, int at, const words<N>& from) {
  UNROLL for (int i = 0; i < N; i++) to.w[at + i] = from.w[i];
}
template <int N, int W> DEVICE words<N> part(const words<W>& from, int at) {
  words<N> out;
  UNROLL for (int i = 0; i < N; i++) out.w[i] = from.w[at + i];
  return out;
}

template <class T> struct scalar_unit {
  static constexpr int MOST = 16 / int(sizeof(T));
  static constexpr int ELEMS = K % MOST == 0 ? MOST : K % 4 == 0 ? 4 : K % 2 == 0 ? 2 : 1;
  static constexpr int PIECES = 1, PIECE = ELEMS, GROUPS = 0, BYTES = ELEMS * int(sizeof(T));
  static constexpr int WORDS = max_int(BYTES / 4, 1);
  static DEVICE int first(int unit, int) { return unit * ELEMS; }
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const u8* const from = row + u32(unit) * BYTES;
    if constexpr (BYTES == 2) to.w[0] = *(const u16*)from;
    else to = load_words<WORDS, min_int(BYTES, 16), true>(from);
  }
  static DEVICE vec<float, PIECE> values(const words<WORDS>& raw, int, int) {
    vec<float, PIECE> out;
    UNROLL for (int i = 0; i < ELEMS; i++) {
      const u32 w = raw.w[i * int(sizeof(T)) / 4];
      if constexpr (sizeof(T) == 4) out.set(i, bit_cast<float>(w));
      else if constexpr (same_type<T, f16_t>::value) out.set(i, i % 2 ? high_f16(w) : low_f16(w));
      else out.set(i, i % 2 ? high_bf16(w) : low_bf16(w));
    }
    return out;
  }
};

DEVICE u32 nibbles_at(u32 w, int shift) { return w >> shift & 0x0f0f0f0fu; }
/** Bits 0 … 3 of `bits`, one to a byte. */
DEVICE u32 four_bits(u32 bits) { return (bits & 15) * 0x00204081u & 0x01010101u; }
DEVICE float scale_value(u32 bits) { return f16_value(u16(bits)); }

/** A sum of products with x in fixed point, as a number of steps of x. */
template <int DOTS> DEVICE float steps_of(const i32 (&dots)[DOTS]) {
  if constexpr (DOTS == 1) return float(dots[0]);
  else return fma_f32(float(dots[0]), 256.f, float(dots[1]));
}

/** Units of one scale. */
template <class Unit> struct one_scale {
  template <int W, int DOTS>
  static DEVICE float total(const words<W>& raw, int unit, const i32 (&dots)[1][DOTS], const float (&sums)[1]) {
    const group_scale s = Unit::scale(raw, unit, 0);
    const float total = s.step * steps_of(dots[0]);
    return Unit::BASE ? fma_f32(s.base, sums[0], total) : total;
  }
};

/** Half a block: f16 d · i8 q[32] */
template <class W> struct q8_0_unit : one_scale<q8_0_unit<W>> {
  static constexpr int ELEMS = 16, PIECES = 2, PIECE = 8, GROUPS = 1, WORDS = 5, SPAN = 32, OFFSET = 0;
  static constexpr bool SIGNED = true, BASE = false;
  static DEVICE int first(int unit, int p) { return unit * 16 + p * 8; }
  static DEVICE int unit_of(int k) { return k / 16; }
  static DEVICE int piece_of(int k) { return k / 8 % 2; }
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit >> 1));
    put(to, 0, words_of<q8_0_format::q, 4, true>(b, (unit & 1) * 16));
    to.w[4] = u16_of<q8_0_format::d>(b);
  }
  static DEVICE words<2> codes(const words<WORDS>& raw, int, int p) { return {raw.w[2 * p], raw.w[2 * p + 1]}; }
  static DEVICE group_scale scale(const words<WORDS>& raw, int, int) {
    const float d = scale_value(raw.w[4]);
    return {d, -128.f * d};
  }
};

/** Blocks of 32 with 16 bytes of nibbles: low ones are elements 0 … 15, high ones 16 … 31. */
struct nibble_unit {
  static constexpr int ELEMS = 32, PIECES = 4, PIECE = 8, GROUPS = 1, SPAN = 32;
  static constexpr bool SIGNED = false;
  static DEVICE int first(int unit, int p) { return unit * 32 + p * 8; }
  static DEVICE int unit_of(int k) { return k / 32; }
  static DEVICE int piece_of(int k) { return k / 8 % 4; }
  template <int N> static DEVICE words<2> codes(const words<N>& raw, int, int p) {
    const int at = p % 2 * 2, shift = p / 2 * 4;
    return {nibbles_at(raw.w[at], shift), nibbles_at(raw.w[at + 1], shift)};
  }
};

/** f16 d · u8 qs[16] */
template <class W> struct q4_0_unit : nibble_unit, one_scale<q4_0_unit<W>> {
  static constexpr int WORDS = 5, OFFSET = -8;
  static constexpr bool BASE = false;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit));
    put(to, 0, words_of<q4_0_format::qs, 4, true>(b, 0));
    to.w[4] = u16_of<q4_0_format::d>(b);
  }
  static DEVICE group_scale scale(const words<WORDS>& raw, int, int) {
    const float d = scale_value(raw.w[4]);
    return {d, -8.f * d};
  }
};

/** f16 d · f16 m · u8 qs[16] */
template <class W> struct q4_1_unit : nibble_unit, one_scale<q4_1_unit<W>> {
  static constexpr int WORDS = 5, OFFSET = 0;
  static constexpr bool BASE = true;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit));
    put(to, 0, words_of<q4_1_format::qs, 4, true>(b, 0));
    to.w[4] = u32_of<q4_1_format::dm>(b);
  }
  static DEVICE group_scale scale(const words<WORDS>& raw, int, int) {
    return {scale_value(raw.w[4]), scale_value(raw.w[4] >> 16)};
  }
};

/** Nibbles with a fifth bit each, in the word behind them. */
struct five_bit_unit : nibble_unit {
  template <int N> static DEVICE words<2> codes(const words<N>& raw, int unit, int p) {
    const words<2> low = nibble_unit::codes(raw, unit, p);
    const u32 high = raw.w[4] >> (p * 8);
    return {low.w[0] | four_bits(high) << 4, low.w[1] | four_bits(high >> 4) << 4};
  }
};

/** f16 d · u32 qh · u8 qs[16] */
template <class W> struct q5_0_unit : five_bit_unit, one_scale<q5_0_unit<W>> {
  static constexpr int WORDS = 6, OFFSET = -16;
  static constexpr bool BASE = false;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit));
    put(to, 0, words_of<q5_0_format::qs, 4, true>(b, 0));
    to.w[4] = u32_of<q5_0_format::qh>(b);
    to.w[5] = u16_of<q5_0_format::d>(b);
  }
  static DEVICE group_scale scale(const words<WORDS>& raw, int, int) {
    const float d = scale_value(raw.w[5]);
    return {d, -16.f * d};
  }
};

/** f16 d · f16 m · u32 qh · u8 qs[16] */
template <class W> struct q5_1_unit : five_bit_unit, one_scale<q5_1_unit<W>> {
  static constexpr int WORDS = 6, OFFSET = 0;
  static constexpr bool BASE = true;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit));
    put(to, 0, words_of<q5_1_format::qs, 4, true>(b, 0));
    to.w[4] = u32_of<q5_1_format::qh>(b);
    to.w[5] = u32_of<q5_1_format::dm>(b);
  }
  static DEVICE group_scale scale(const words<WORDS>& raw, int, int) {
    return {scale_value(raw.w[5]), scale_value(raw.w[5] >> 16)};
  }
};

/**
 * RUN bytes of nibbles of a block of 256: of the 32 that groups 2r and 2r + 1 share, half or all of them; words 0 … 3 are the
 * block's head.
 */
template <int HEAD, int BYTES, int RUN> struct k_unit {
  static constexpr int ELEMS = 2 * RUN, PIECES = RUN / 4, PIECE = 8, GROUPS = 2, SPAN = 64, OFFSET = 0;
  static constexpr bool SIGNED = false, BASE = true;
  static constexpr int OF_PAIR = 32 / RUN, OF_BLOCK = 128 / RUN;  // units
  static DEVICE int pair(int unit) { return unit / OF_PAIR % 4; }
  static DEVICE int first(int unit, int p) {
    return unit / OF_BLOCK * 256 + pair(unit) * 64 + p / (PIECES / 2) * 32 + unit % OF_PAIR * RUN + p % (PIECES / 2) * 8;
  }
  static DEVICE int unit_of(int k) { return k / 64 * OF_PAIR + k % 32 / RUN; }
  static DEVICE int piece_of(int k) { return k / 32 % 2 * (PIECES / 2) + k % RUN / 8; }
  static DEVICE const u8* block(const u8* row, int unit) { return row + u32(unit / OF_BLOCK) * BYTES; }
  template <int W> static DEVICE void load_nibbles(words<W>& to, const u8* row, int unit) {
    const u8* const from = block(row, unit);
    put(to, 0, load_words<4, 16, false>(from));  // all lanes of a block read it
    put(to, 4, load_words<RUN / 4, 16, true>(from + HEAD + unit % OF_BLOCK * RUN));
  }
  template <int W> static DEVICE words<2> codes(const words<W>& raw, int, int p) {
    const int at = 4 + p % (PIECES / 2) * 2, shift = p / (PIECES / 2) * 4;
    return {nibbles_at(raw.w[at], shift), nibbles_at(raw.w[at + 1], shift)};
  }
  template <int W> static DEVICE group_scale scale(const words<W>& raw, int unit, int g) {
    return k_scale(part<4>(raw, 0), pair(unit) * 2 + g);
  }
  /**
   * Scales and minima of both groups at a time, a byte each, by shifts and masks that are a lane's own (k_scale in
   * prelude/quant.h has them one by one). Products with 6-bit scales are whole: 2 · 63 · RUN · (15 or 31) · 127 · 257 < 2^31
   */
  template <int W, int DOTS>
  static DEVICE float total(const words<W>& raw, int unit, const i32 (&dots)[2][DOTS], const float (&sums)[2]) {
    const bool upper_groups = pair(unit) & 2;  // groups 4 … 7
    const int at = (pair(unit) & 1) * 16, above = at + (upper_groups ? 2 : 0);
    const u32 mask = upper_groups ? 0x3030u : 0x3f3fu, low = upper_groups ? 0x0f0fu : 0u;
    const u32 steps = (raw.w[1] >> above & mask) | (raw.w[3] >> at & low);
    const u32 least = (raw.w[2] >> above & mask) | (raw.w[3] >> (at + 4) & low);
    i32 scaled[DOTS];
    UNROLL for (int i = 0; i < DOTS; i++)
      scaled[i] = i32(steps & 255) * dots[0][i] + i32(steps >> 8) * dots[1][i];
    const float below = fma_f32(byte_value(least, 1), sums[1], byte_value(least, 0) * sums[0]);
    return fma_f32(-scale_value(raw.w[0] >> 16), below, scale_value(raw.w[0]) * steps_of(scaled));
  }
};

/** f16 d · f16 dmin · u8 scales[12] · u8 qs[128] */
struct q4_k_unit : k_unit<16, 144, P_RUN> {
  static constexpr int WORDS = 4 + P_RUN / 4;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) { load_nibbles(to, row, unit); }
};

/** f16 d · f16 dmin · u8 scales[12] · u8 qh[32] · u8 qs[128]; bit g of qh[i] belongs to element i of group g */
struct q5_k_unit : k_unit<48, 176, 16> {
  static constexpr int WORDS = 12;
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    load_nibbles(to, row, unit);
    put(to, 8, load_words<4, 16, false>(block(row, unit) + 16 + (unit & 1) * 16));
  }
  static DEVICE words<2> codes(const words<WORDS>& raw, int unit, int p) {
    words<2> out = k_unit::codes(raw, unit, p);
    const int bit = pair(unit) * 2 + p / 2;
    UNROLL for (int i = 0; i < 2; i++) out.w[i] |= (raw.w[8 + p % 2 * 2 + i] >> bit & 0x01010101u) << 4;
    return out;
  }
};

/**
 * u8 ql[128] · u8 qh[64] · i8 scales[16] · f16 d. An eighth of a block: 16 bytes of nibbles, which are 16 elements of a group
 * of 32 and 16 of the next but one; their upper bits are in 16 bytes that another lane needs too.
 */
template <class W> struct q6_k_unit {
  static constexpr int ELEMS = 32, PIECES = 4, PIECE = 8, GROUPS = 2, WORDS = 11, SPAN = 128, OFFSET = -32;
  static constexpr bool SIGNED = false, BASE = false;
  static DEVICE int half(int unit) { return unit >> 2 & 1; }
  static DEVICE int group(int unit) { return unit >> 1 & 1; }
  static DEVICE int first(int unit, int p) {
    return (unit >> 3) * 256 + half(unit) * 128 + (group(unit) + p / 2 * 2) * 32 + (unit & 1) * 16 + p % 2 * 8;
  }
  static DEVICE int unit_of(int k) { return k / 128 * 4 + k / 32 % 2 * 2 + k / 16 % 2; }
  static DEVICE int piece_of(int k) { return k / 64 % 2 * 2 + k / 8 % 2; }
  static DEVICE void load(words<WORDS>& to, const u8* row, int unit) {
    const auto b = W::block_at(row, u32(unit >> 3));
    const int at = (unit & 1) * 16;
    put(to, 0, words_of<q6_k_format::ql, 4, true>(b, half(unit) * 64 + group(unit) * 32 + at));
    put(to, 4, words_of<q6_k_format::qh, 4, false>(b, half(unit) * 32 + at));
    put(to, 8, words_of<q6_k_format::scales, 2, false>(b, half(unit) * 8));
    to.w[10] = u16_of<q6_k_format::d>(b);
  }
  static DEVICE words<2> codes(const words<WORDS>& raw, int unit, int p) {
    const int shift = 2 * (group(unit) + p / 2 * 2);
    words<2> out;
    UNROLL for (int i = 0; i < 2; i++) {
      const int at = p % 2 * 2 + i;
      out.w[i] = nibbles_at(raw.w[at], p / 2 * 4) | (raw.w[4 + at] >> shift & 0x03030303u) << 4;
    }
    return out;
  }
  static DEVICE i32 factor(const words<WORDS>& raw, int unit, int g) { return i8(raw.w[8 + g] >> ((unit & 3) * 8)); }
  static DEVICE group_scale scale(const words<WORDS>& raw, int unit, int g) {
    const float step = scale_value(raw.w[10]) * float(factor(raw, unit, g));
    return {step, -32.f * step};
  }
  /** Products with a scale are whole: 128 · 16 · 32 · 127 · 257 < 2^31; their sum might not be. */
  template <int DOTS>
  static DEVICE float total(const words<WORDS>& raw, int unit, const i32 (&dots)[2][DOTS], const float (&)[2]) {
    float sum = 0.f;
    UNROLL for (int g = 0; g < 2; g++) {
      i32 scaled[DOTS];
      UNROLL for (int i = 0; i < DOTS; i++) scaled[i] = factor(raw, unit, g) * dots[g][i];
      sum += steps_of(scaled);
    }
    return scale_value(raw.w[10]) * sum;
  }
};

/** Eight codes as f32: unsigned, so 128 more where they are SIGNED. */
template <class Unit, int W> DEVICE vec<float, 8> code_values(const words<W>& raw, int unit, int p) {
  const words<2> codes = Unit::codes(raw, unit, p);
  const u32 flip = Unit::SIGNED ? 0x80808080u : 0;
  return join(byte_values(codes.w[0] ^ flip), byte_values(codes.w[1] ^ flip));
}

template <class W> struct lane_unit;
template <> struct lane_unit<f32_w> : scalar_unit<f32_t> {};
template <> struct lane_unit<f16_w> : scalar_unit<f16_t> {};
template <> struct lane_unit<bf16_w> : scalar_unit<bf16_t> {};
template <int K> struct lane_unit<q8_0_planes<K>> : q8_0_unit<q8_0_planes<K>> {};
template <int K> struct lane_unit<q4_0_planes<K>> : q4_0_unit<q4_0_planes<K>> {};
template <int K> struct lane_unit<q4_1_planes<K>> : q4_1_unit<q4_1_planes<K>> {};
template <int K> struct lane_unit<q5_0_planes<K>> : q5_0_unit<q5_0_planes<K>> {};
template <int K> struct lane_unit<q5_1_planes<K>> : q5_1_unit<q5_1_planes<K>> {};
template <> struct lane_unit<q4_k_w> : q4_k_unit {};
template <> struct lane_unit<q5_k_w> : q5_k_unit {};
template <int K> struct lane_unit<q6_k_planes<K>> : q6_k_unit<q6_k_planes<K>> {};
