// quant-avx512.h: decodes 32 elements of a block at a time with AVX-512. quant.h includes it.
// Nibbles are looked up: the 16 values that a group's nibbles can mean fit one register, and one permutation reads them.
// Callers that go through a block by constant offsets share the work on its scales.
#pragma once

/** 32 elements from i, a multiple of 32; `present` says whether the format has this. */
template <class Format> struct decode32 {
  static constexpr bool present = false;
};

#if defined(__AVX512F__)
typedef simd<16>::floats f32x16;
typedef simd<16>::ints i32x16;

DEVICE f32x16 permuted(f32x16 table, i32x16 index) {  // index modulo 16
#if defined(__clang__)
  return __builtin_ia32_permvarsf512(table, index);
#else
  return __builtin_shuffle(table, index);
#endif
}
/** v + 16 in the lanes whose bit of `mask` is set */
DEVICE i32x16 plus_16(i32x16 v, u32 mask) {
#if defined(__clang__)
  return __builtin_ia32_selectd_512(u16(mask), v + 16, v);
#else
  return (i32x16)__builtin_ia32_paddd512_mask(v, i32x16{} + 16, v, u16(mask));
#endif
}
DEVICE f32x16 lane_of(f32x16 v, int lane) { return permuted(v, i32x16{} + lane); }
DEVICE f32x16 to_floats(i32x16 v) { return __builtin_convertvector(v, f32x16); }
DEVICE vec<float, 32> pair(f32x16 lo, f32x16 hi) {
  vec<float, 32> out;
  out.lo.v = lo, out.hi.v = hi;
  return out;
}
/** step · n + base for n = 0 … 15 */
DEVICE f32x16 nibble_table(f32x16 step, f32x16 base) {
  return f32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} * step + base;
}
DEVICE f32x16 nibble_table(group_scale s) { return nibble_table(s.step - f32x16{}, s.base - f32x16{}); }

template <class Format> struct decode32_nibbles {  // blocks of 32 that end in their nibbles
  static constexpr bool present = true;
  static DEVICE vec<float, 32> at(const u8* block, int) {
    const f32x16 table = nibble_table(Format::scale(whole_block<Format>{block}, 0));
    const i32x16 q = widen_u8<16>(block + Format::block_bytes - 16);
    return pair(permuted(table, q), permuted(table, q >> 4));
  }
};
template <> struct decode32<q4_0_format> : decode32_nibbles<q4_0_format> {};
template <> struct decode32<q4_1_format> : decode32_nibbles<q4_1_format> {};

template <> struct decode32<q8_0_format> {
  static constexpr bool present = true;
  static DEVICE vec<float, 32> at(const u8* block, int) {
    const float d = f16_value(u16(load_u16(block)));
    return pair(to_floats(widen_i8<16>(block + 2)) * d, to_floats(widen_i8<16>(block + 18)) * d);
  }
};

template <> struct decode32<q4_k_format> {
  static constexpr bool present = true;
  static DEVICE vec<float, 32> at(const u8* block, int i) {
    const f32x16 table = nibble_table(k_scale(block, i >> 5));
    const u8* q = block + 16 + (i >> 6) * 32;
    const int shift = i >> 3 & 4;
    return pair(permuted(table, widen_u8<16>(q) >> shift), permuted(table, widen_u8<16>(q + 16) >> shift));
  }
};

/** Nibbles of a block of 32 with a fifth bit each: bit i of `high` for element i. */
template <class Format> struct decode32_five_bits {
  static constexpr bool present = true;
  static DEVICE vec<float, 32> at(const u8* block, int) {
    const group_scale s = Format::scale(whole_block<Format>{block}, 0);
    const u32 high = load_unaligned<u32>(block + Format::block_bytes - 20);
    const i32x16 q = widen_u8<16>(block + Format::block_bytes - 16);
    const i32x16 first = plus_16(q & 15, high), second = plus_16(q >> 4, high >> 16);
    return pair(to_floats(first) * s.step + s.base, to_floats(second) * s.step + s.base);
  }
};
template <> struct decode32<q5_0_format> : decode32_five_bits<q5_0_format> {};
template <> struct decode32<q5_1_format> : decode32_five_bits<q5_1_format> {};

template <> struct decode32<q6_k_format> {
  static constexpr bool present = true;
  static DEVICE vec<float, 32> at(const u8* block, int i) {
    const f32x16 scales = to_floats(widen_i8<16>(block + 192)) * f16_value(u16(load_u16(block + 208)));
    const int half = i >> 7, group = i >> 5 & 3, shift = group >> 1 << 2;
    const u8 *low = block + half * 64 + (group & 1) * 32, *high = block + 128 + half * 32;
    const i32x16 first = (widen_u8<16>(low) >> shift & 15) | (widen_u8<16>(high) >> group * 2 & 3) << 4;
    const i32x16 second = (widen_u8<16>(low + 16) >> shift & 15) | (widen_u8<16>(high + 16) >> group * 2 & 3) << 4;
    return pair(to_floats(first - 32) * lane_of(scales, i >> 4), to_floats(second - 32) * lane_of(scales, (i >> 4) + 1));
  }
};
#endif
