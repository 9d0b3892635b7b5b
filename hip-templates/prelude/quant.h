// quant.h: weights in memory. One struct per format:
//   f32_w f16_w bf16_w      scalars
//   q8_0_w q4_0_w q4_1_w q5_0_w q5_1_w q4_k_w q5_k_w q6_k_w      rows of GGUF's blocks
//   q8_0_planes<K> …        rows of K elements in planes: each field of the row's blocks lies together, the widest field
//                           first, so that a lane's codes are one aligned load; a row has the bytes it has in blocks.
//                           Not q4_k and q5_k: their blocks are multiples of 16 bytes
//
//   W::block_elems, W::block_bytes         elements and bytes of a block
//   W::row_bytes(K)                        bytes of a row of K elements, K a multiple of block_elems
//   W::load<N>(row, k), W::load_nt<N>      elements k … k+N-1 as vec<float, N>; k a multiple of N, N in {8, 16, 32}
//   W::dot<N>(acc, row, k, x)              acc += load_nt<N>(row, k) · x, lane by lane; acc and x are vec<float, N>
//
// Alignment: a tensor starts at 16 bytes, its rows follow each other; what of this survives in a field, by its place in a
// block or by the length of a row, is known when a kernel is compiled: `align` below. Loads are as wide as that allows.
// Every element is step · code + base with one rounding at most: the same bits as the reference decoder.
#pragma once
#include "prelude/vec.h"

// ---- N small unsigned integers: packed four to a word on GPUs, a SIMD register on the host -------------------------

#if ON_HOST
constexpr int CODES = NATIVE;  // the most that `codes` holds
template <int N> struct codes {
  typename simd<N>::ints v;
};
template <int N, int ALIGN, bool NT> DEVICE codes<N> load_codes(const u8* p) {
  return {widen_u8<N>(p)};
}
/** (a >> shift) & mask, code by code; mask has no bit that the shift could bring from a neighbour */
template <int N> DEVICE codes<N> masked(codes<N> a, int shift, u32 mask) { return {a.v >> shift & i32(mask)}; }
/** a | b << shift */
template <int N> DEVICE codes<N> with_bits(codes<N> a, codes<N> b, int shift) { return {a.v | b.v << shift}; }
template <int N> DEVICE codes<N> flip(codes<N> a, u32 mask) { return {a.v ^ i32(mask)}; }
/** code i is bit i */
template <int N> DEVICE codes<N> spread_bits(u32 bits) {
  typename simd<N>::ints index;
  UNROLL for (int i = 0; i < N; i++) index[i] = i;
  return {(typename simd<N>::ints{} + i32(bits)) >> index & 1};
}
template <int N> DEVICE vec<float, N> scaled(codes<N> a, float step, float base) {
  vec<float, N> out;
  out.v = __builtin_convertvector(a.v, typename simd<N>::floats) * step + base;
  return out;
}
/** Byte `at` of a word as f32. */
DEVICE float byte_value(u32 w, int at) { return float(i32(w >> (at * 8) & 255)); }
DEVICE u32 load_u16(const u8* p) { return load_unaligned<u16>(p); }
template <int ALIGN> DEVICE u32 load_u32(const u8* p) { return load_unaligned<u32>(p); }
#else
constexpr int CODES = 16;
template <int N> struct codes {
  words<N / 4> q;
};
DEVICE u32 in_each_byte(u32 mask) { return mask * 0x01010101u; }
template <int N, int ALIGN, bool NT> DEVICE codes<N> load_codes(const u8* p) {
  return {load_words<N / 4, (ALIGN < N ? ALIGN : N), NT>(p)};
}
template <int N> DEVICE codes<N> masked(codes<N> a, int shift, u32 mask) {
  UNROLL for (int i = 0; i < N / 4; i++) a.q.w[i] = a.q.w[i] >> shift & in_each_byte(mask);
  return a;
}
template <int N> DEVICE codes<N> with_bits(codes<N> a, codes<N> b, int shift) {
  UNROLL for (int i = 0; i < N / 4; i++) a.q.w[i] |= b.q.w[i] << shift;
  return a;
}
template <int N> DEVICE codes<N> flip(codes<N> a, u32 mask) {
  UNROLL for (int i = 0; i < N / 4; i++) a.q.w[i] ^= in_each_byte(mask);
  return a;
}
template <int N> DEVICE codes<N> spread_bits(u32 bits) {  // the product puts bit n of four into byte n
  codes<N> out;
  UNROLL for (int i = 0; i < N / 4; i++) out.q.w[i] = (bits >> (4 * i) & 15) * 0x00204081u & 0x01010101u;
  return out;
}
/** Byte `at` of a word as f32. */
DEVICE float byte_value(u32 w, int at) {
#if ON_NVIDIA
  // 2^23 + the byte, put together in place: conversions run at a quarter of the rate of this
  return bit_cast<float>(__byte_perm(w, 0x4b000000u, 0x7650 + at)) - 8388608.f;
#else
  return float(w >> (at * 8) & 255);  // v_cvt_f32_ubyte0 … 3
#endif
}
template <int N> DEVICE vec<float, N> scaled(codes<N> a, float step, float base) {
  vec<float, N> out;
#if ON_AMD
  // hides how the bytes came about: the compiler would take each code out by a shift and a mask of its own
  UNROLL for (int i = 0; i < N / 4; i++) asm("" : "+v"(a.q.w[i]));
#endif
  UNROLL for (int i = 0; i < N; i++) out.v[i] = fma_f32(byte_value(a.q.w[i / 4], i % 4), step, base);
  return out;
}
DEVICE u32 load_u16(const u8* p) { return *(const u16*)p; }
template <int ALIGN> DEVICE u32 load_u32(const u8* p) { return load_words<1, ALIGN, false>(p).w[0]; }
#endif

/** What the elements of a group share: value = step · code + base. */
struct group_scale {
  float step, base;
};

/** Four bytes as f32. */
DEVICE vec<float, 4> byte_values(u32 w) {
#if ON_AMD
  asm("" : "+v"(w));  // as in `scaled`
#endif
  vec<float, 4> out;
  UNROLL for (int i = 0; i < 4; i++) out.set(i, byte_value(w, i));
  return out;
}

// ---- where the fields of a block are -------------------------------------------------------------------------------

/** BYTES of a block: from its byte AT on, or behind the BEFORE bytes of each block that lie in the planes before this one. */
template <int SIZE, int IN_BLOCK, int IN_PLANES = 0> struct field {
  static constexpr int BYTES = SIZE, AT = IN_BLOCK, BEFORE = IN_PLANES;
};

/** The largest power of two, at most 16, that divides all three. */
CONSTANT int common_alignment(int a, int b, int c) {
  int align = 16;
  while (a % align || b % align || c % align) align /= 2;
  return align;
}

/** A block whose fields are concatenated. */
template <class Format> struct whole_block {
  const u8* block;
  template <class F> DEVICE const u8* at() const { return block + F::AT; }
  template <class F> static CONSTANT int align() { return common_alignment(Format::block_bytes, F::AT, 16); }
};

/** Block `index` of a row of K elements in planes. */
template <class Format, int K> struct planar_block {
  const u8* row;
  u32 index;
  static constexpr int BLOCKS = K / Format::block_elems;
  template <class F> DEVICE const u8* at() const { return row + F::BEFORE * BLOCKS + index * F::BYTES; }
  template <class F> static CONSTANT int align() {
    return common_alignment(Format::block_bytes * BLOCKS, F::BEFORE * BLOCKS, F::BYTES);
  }
};

/** All fields of a format that has planes. */
template <class... F> struct fields {
  /** Byte `at` of block `index` in a row of `blocks` blocks lies here in the row's planes. */
  static DEVICE u32 place(u32 at, u32 index, u32 blocks) {
    u32 to = 0;
    ((to = at - F::AT < u32(F::BYTES) ? F::BEFORE * blocks + index * F::BYTES + at - F::AT : to), ...);
    return to;
  }
};

template <class F, class B> DEVICE u32 u16_of(B b) { return load_u16(b.template at<F>()); }
template <class F, class B> DEVICE u32 u32_of(B b) { return load_u32<B::template align<F>()>(b.template at<F>()); }
/** N words of a field from its byte i, a multiple of 4 · N. */
template <class F, int N, bool NT, class B> DEVICE words<N> words_of(B b, int i) {
  return load_words<N, (B::template align<F>() < 4 * N ? B::template align<F>() : 4 * N), NT>(b.template at<F>() + i);
}
/** Bytes i … i+N-1 of a field. */
template <class F, int N, bool NT, class B> DEVICE codes<N> codes_of(B b, int i) {
  return load_codes<N, B::template align<F>(), NT>(b.template at<F>() + i);
}

// ---- formats: code<N>(block, i) and scale(block, i) for elements i … i+N-1 of a block, N ≤ 16 ----------------------

struct q8_0_format {  // f16 d · i8 q[32]
  static constexpr int block_elems = 32, block_bytes = 34;
  typedef field<32, 2, 0> q;
  typedef field<2, 0, 32> d;
  typedef fields<q, d> all;
  template <class B> static DEVICE group_scale scale(B b, int) {
    const float step = f16_value(u16(u16_of<d>(b)));
    return {step, -128.f * step};
  }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) {
    return flip(codes_of<q, N, NT>(b, i), 0x80);  // q + 128
  }
};

/** Elements 0 … 15 of a block of 32 are low nibbles, 16 … 31 high ones, of the same 16 bytes. */
template <class F, int N, bool NT, class B> DEVICE codes<N> nibbles_of(B b, int i) {
  return masked(codes_of<F, N, NT>(b, i & 15), i >> 4 << 2, 15);
}
/** The same with a fifth bit each: bit i of `high` for element i. */
template <class F, class High, int N, bool NT, class B> DEVICE codes<N> five_bits_of(B b, int i) {
  return with_bits(nibbles_of<F, N, NT>(b, i), spread_bits<N>(u32_of<High>(b) >> i), 4);
}
/** Scale and minimum, two f16 in a word. */
template <class F, class B> DEVICE group_scale scale_and_minimum(B b) {
  const u32 both = u32_of<F>(b);
  return {f16_value(u16(both)), f16_value(u16(both >> 16))};
}

struct q4_0_format {  // f16 d · u8 qs[16]; d · (nibble - 8)
  static constexpr int block_elems = 32, block_bytes = 18;
  typedef field<16, 2, 0> qs;
  typedef field<2, 0, 16> d;
  typedef fields<qs, d> all;
  template <class B> static DEVICE group_scale scale(B b, int) {
    const float step = f16_value(u16(u16_of<d>(b)));
    return {step, -8.f * step};
  }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) { return nibbles_of<qs, N, NT>(b, i); }
};

struct q4_1_format {  // f16 d · f16 m · u8 qs[16]; d · nibble + m
  static constexpr int block_elems = 32, block_bytes = 20;
  typedef field<16, 4, 0> qs;
  typedef field<4, 0, 16> dm;
  typedef fields<qs, dm> all;
  template <class B> static DEVICE group_scale scale(B b, int) { return scale_and_minimum<dm>(b); }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) { return nibbles_of<qs, N, NT>(b, i); }
};

struct q5_0_format {  // f16 d · u32 qh · u8 qs[16]; d · (nibble + 16 · bit - 16)
  static constexpr int block_elems = 32, block_bytes = 22;
  typedef field<16, 6, 0> qs;
  typedef field<4, 2, 16> qh;
  typedef field<2, 0, 20> d;
  typedef fields<qs, qh, d> all;
  template <class B> static DEVICE group_scale scale(B b, int) {
    const float step = f16_value(u16(u16_of<d>(b)));
    return {step, -16.f * step};
  }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) { return five_bits_of<qs, qh, N, NT>(b, i); }
};

struct q5_1_format {  // f16 d · f16 m · u32 qh · u8 qs[16]; d · (nibble + 16 · bit) + m
  static constexpr int block_elems = 32, block_bytes = 24;
  typedef field<16, 8, 0> qs;
  typedef field<4, 4, 16> qh;
  typedef field<4, 0, 20> dm;
  typedef fields<qs, qh, dm> all;
  template <class B> static DEVICE group_scale scale(B b, int) { return scale_and_minimum<dm>(b); }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) { return five_bits_of<qs, qh, N, NT>(b, i); }
};

/** From the two f16 of a block, and the bytes of group g (modulo 4) of each third of its scales. */
DEVICE group_scale k_scale(u32 both, u32 a, u32 b, u32 c, int g) {
  const u32 step = g < 4 ? (a & 63) : (c & 15) | (a >> 2 & 48);
  const u32 least = g < 4 ? (b & 63) : c >> 4 | (b >> 2 & 48);
  return {f16_value(u16(both)) * float(i32(step)), f16_value(u16(both >> 16)) * float(-i32(least))};
}
/** Scale and minimum of group g of a q4_k or q5_k block: 6 bits each in 12 bytes, groups 4 … 7 in two pieces. */
DEVICE group_scale k_scale(const words<4>& head, int g) {
  const int at = (g & 3) * 8;
  return k_scale(head.w[0], head.w[1] >> at & 255, head.w[2] >> at & 255, head.w[3] >> at & 255, g);
}
DEVICE group_scale k_scale(const u8* block, int g) {
#if ON_HOST
  return k_scale(load_u32<16>(block), block[4 + (g & 3)], block[8 + (g & 3)], block[12 + (g & 3)], g);
#else
  return k_scale(load_words<4, 16, false>(block), g);
#endif
}

struct q4_k_format {  // f16 d · f16 dmin · u8 scales[12] · u8 qs[128]
  static constexpr int block_elems = 256, block_bytes = 144;
  typedef field<128, 16> qs;
  template <class B> static DEVICE group_scale scale(B b, int i) { return k_scale(b.block, i >> 5); }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) {
    return masked(codes_of<qs, N, NT>(b, (i >> 6) * 32 + (i & 31)), i >> 3 & 4, 15);
  }
};

struct q5_k_format {  // f16 d · f16 dmin · u8 scales[12] · u8 qh[32] · u8 qs[128]
  static constexpr int block_elems = 256, block_bytes = 176;
  typedef field<32, 16> qh;
  typedef field<128, 48> qs;
  template <class B> static DEVICE group_scale scale(B b, int i) { return k_scale(b.block, i >> 5); }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) {
    const codes<N> low = masked(codes_of<qs, N, NT>(b, (i >> 6) * 32 + (i & 31)), i >> 3 & 4, 15);
    return with_bits(low, masked(codes_of<qh, N, NT>(b, i & 31), i >> 5, 1), 4);
  }
};

struct q6_k_format {  // u8 ql[128] · u8 qh[64] · i8 scales[16] · f16 d
  static constexpr int block_elems = 256, block_bytes = 210;
  typedef field<128, 0, 0> ql;
  typedef field<64, 128, 128> qh;
  typedef field<16, 192, 192> scales;
  typedef field<2, 208, 208> d;
  typedef fields<ql, qh, scales, d> all;
  template <class B> static DEVICE group_scale scale(B b, int i) {
    const float step = f16_value(u16(u16_of<d>(b))) * float(i8(b.template at<scales>()[i >> 4]));
    return {step, -32.f * step};
  }
  template <int N, bool NT, class B> static DEVICE codes<N> code(B b, int i) {
    const int half = i >> 7, group = i >> 5 & 3, at = i & 31;
    return with_bits(masked(codes_of<ql, N, NT>(b, half * 64 + (group & 1) * 32 + at), group >> 1 << 2, 15),
                     masked(codes_of<qh, N, NT>(b, half * 32 + at), group * 2, 3), 4);
  }
};

#if ON_HOST
#include "prelude/quant-avx512.h"
#endif

// ---- the weight types ----------------------------------------------------------------------------------------------

/** Elements i … i+N-1 of a block. */
template <class Format, int N, bool NT, class B> DEVICE vec<float, N> elements(B b, int i) {
#if ON_HOST
  if constexpr (N == 32 && decode32<Format>::present && same_type<B, whole_block<Format>>::value)
    return decode32<Format>::at(b.block, i);
  else
#endif
  if constexpr (N <= CODES) {
    const group_scale s = Format::scale(b, i);
    return scaled(Format::template code<N, NT>(b, i), s.step, s.base);
  } else {
    return join(elements<Format, N / 2, NT>(b, i), elements<Format, N / 2, NT>(b, i + N / 2));
  }
}

/** Rows whose blocks are where Rows::block_at(row, index) says. */
template <class Format, class Rows> struct quantised_weight {
  static constexpr int block_elems = Format::block_elems, block_bytes = Format::block_bytes;
  static constexpr DEVICE size_t row_bytes(int K) { return size_t(K / block_elems) * block_bytes; }
  template <int N> static DEVICE vec<float, N> load(const u8* row, int k) { return at<N, false>(row, k); }
  template <int N> static DEVICE vec<float, N> load_nt(const u8* row, int k) { return at<N, true>(row, k); }
  template <int N>
  static DEVICE void dot(vec<float, N>& acc, const u8* row, int k, const vec<float, N>& x) {
    acc = fma(load_nt<N>(row, k), x, acc);
  }
  template <int N, bool NT> static DEVICE vec<float, N> at(const u8* row, int k) {
    return elements<Format, N, NT>(Rows::block_at(row, u32(k) / block_elems), int(u32(k) % block_elems));
  }
};

/** Rows of blocks. */
template <class Format> struct block_weight : quantised_weight<Format, block_weight<Format>> {
  static DEVICE whole_block<Format> block_at(const u8* row, u32 index) {
    return {row + size_t(index) * Format::block_bytes};
  }
};

/** Rows of K elements in planes. */
template <class Format, int K> struct planar_weight : quantised_weight<Format, planar_weight<Format, K>> {
  typedef planar_block<Format, K> block;
  static DEVICE block block_at(const u8* row, u32 index) { return {row, index}; }
};

/** Rows of scalars. */
template <class T> struct scalar_weight {
  static constexpr int block_elems = 1, block_bytes = sizeof(T);
  static constexpr DEVICE size_t row_bytes(int K) { return size_t(K) * sizeof(T); }
  template <int N> static DEVICE vec<float, N> load(const u8* row, int k) { return ::load<N>((const T*)row + k); }
  template <int N> static DEVICE vec<float, N> load_nt(const u8* row, int k) { return ::load_nt<N>((const T*)row + k); }
  template <int N>
  static DEVICE void dot(vec<float, N>& acc, const u8* row, int k, const vec<float, N>& x) {
    acc = fma(load_nt<N>(row, k), x, acc);
  }
};

struct f32_w : scalar_weight<f32_t> {};
struct f16_w : scalar_weight<f16_t> {};
struct bf16_w : scalar_weight<bf16_t> {};
struct q8_0_w : block_weight<q8_0_format> {};
struct q4_0_w : block_weight<q4_0_format> {};
struct q4_1_w : block_weight<q4_1_format> {};
struct q5_0_w : block_weight<q5_0_format> {};
struct q5_1_w : block_weight<q5_1_format> {};
struct q4_k_w : block_weight<q4_k_format> {};
struct q5_k_w : block_weight<q5_k_format> {};
struct q6_k_w : block_weight<q6_k_format> {};
template <int K> struct q8_0_planes : planar_weight<q8_0_format, K> {};
template <int K> struct q4_0_planes : planar_weight<q4_0_format, K> {};
template <int K> struct q4_1_planes : planar_weight<q4_1_format, K> {};
template <int K> struct q5_0_planes : planar_weight<q5_0_format, K> {};
template <int K> struct q5_1_planes : planar_weight<q5_1_format, K> {};
template <int K> struct q6_k_planes : planar_weight<q6_k_format, K> {};
