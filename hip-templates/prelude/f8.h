// f8.h: 8-bit floats in memory, e4m3 as OCP defines it (no infinities, NaN = 0x7f, largest 448): f8_t.
//   f8_t(v)               rounded to nearest even; what is too large becomes ±448
//   float(f8)             exact
//   load_f8<N>(p)         N of them as vec<float, N>; on GPUs p must be aligned to min(16, N) bytes
//   store_f8<N>(p, v)
// gfx950, gfx12 and sm_89 on convert by instructions. gfx942's are for another format (FNUZ: the same byte is another
// number), so it converts by integer code as every other target does.
#pragma once
#include "prelude/vec.h"

#if ON_AMD && (defined(__gfx950__) || defined(__gfx1200__) || defined(__gfx1201__))
#define ON_AMD_F8 1
#else
#define ON_AMD_F8 0
#endif
#if ON_NVIDIA && __CUDA_ARCH__ >= 890
#define ON_NVIDIA_F8 1
#else
#define ON_NVIDIA_F8 0
#endif

/** Exponent and mantissa moved into an f32 and rebiased by a product, which also gives subnormals their value. */
DEVICE float f8_value(u32 bits) {
  const float size = bit_cast<float>((bits & 0x7f) << 20) * bit_cast<float>(0x7b800000u);  // 2^120
  return bit_cast<float>(((bits & 0x7f) == 0x7f ? 0x7fc00000u : bit_cast<u32>(size)) | (bits & 0x80) << 24);
}
/** A normal result is v's bits rounded at bit 20 and rebiased; a subnormal one is what v + 2^14 leaves in its lowest bits. */
DEVICE u32 f8_bits(float v) {
  const u32 u = bit_cast<u32>(v), magnitude = u & 0x7fffffff, sign = u >> 24 & 0x80;
  if (magnitude > 0x7f800000) return sign | 0x7f;
  if (magnitude >= 0x43e00000) return sign | 0x7e;  // 448
  const u32 normal = (magnitude - (120u << 23) + 0x7ffff + (magnitude >> 20 & 1)) >> 20;
  const u32 subnormal = bit_cast<u32>(bit_cast<float>(magnitude) + 16384.f) - 0x46800000;
  return sign | (magnitude < (121u << 23) ? subnormal : normal);
}

struct f8_t {
  u8 bits;
  f8_t() = default;
  DEVICE explicit f8_t(float v) : bits(u8(f8_bits(v))) {}
  DEVICE explicit operator float() const { return f8_value(bits); }
};

#if ON_HOST
/** Four of them from a word. */
DEVICE void widen_f8(u32 w, float* out) {
  for (int i = 0; i < 4; i++) out[i] = f8_value(w >> (8 * i) & 0xff);
}
template <int N> DEVICE vec<float, N> load_f8(const f8_t* p) {
  vec<float, N> out;
  if constexpr (N == 1) {
    out.v = float(*p);
  } else if constexpr (N > NATIVE) {
    out = join(load_f8<N / 2>(p), load_f8<N / 2>(p + N / 2));
  } else {
    typedef typename simd<N>::floats F;
    typedef typename simd<N>::ints I;
    const I bits = widen_u8<N>((const u8*)p), magnitude = bits & 0x7f;
    const I size = bit_cast<I>(bit_cast<F>(magnitude << 20) * bit_cast<float>(0x7b800000u));
    out.v = bit_cast<F>((magnitude == 0x7f ? I{} + 0x7fc00000 : size) | (bits & 0x80) << 24);
  }
  return out;
}
template <int N> DEVICE void store_f8(f8_t* p, const vec<float, N>& v) {
  for (int i = 0; i < N; i++) p[i] = f8_t(v[i]);
}
#else
/** Four of them from a word. */
DEVICE void widen_f8(u32 w, float* out) {
#if ON_AMD_F8
  typedef float pair __attribute__((ext_vector_type(2)));
  const pair low = __builtin_amdgcn_cvt_pk_f32_fp8(int(w), false), high = __builtin_amdgcn_cvt_pk_f32_fp8(int(w), true);
  out[0] = low.x, out[1] = low.y, out[2] = high.x, out[3] = high.y;
#elif ON_NVIDIA_F8
  u32 low, high;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(low) : "h"(u16(w)));
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(high) : "h"(u16(w >> 16)));
  out[0] = low_f16(low), out[1] = high_f16(low), out[2] = low_f16(high), out[3] = high_f16(high);
#else
  UNROLL for (int i = 0; i < 4; i++) out[i] = f8_value(w >> (8 * i) & 0xff);
#endif
}
template <int N> DEVICE vec<float, N> load_f8(const f8_t* p) {
  vec<float, N> out;
  if constexpr (N < 4) {
    UNROLL for (int i = 0; i < N; i++) out.v[i] = float(p[i]);
  } else {
    const words<N / 4> raw = load_words<N / 4, (N < 16 ? N : 16), false>(p);
    UNROLL for (int i = 0; i < N / 4; i++) widen_f8(raw.w[i], out.v + 4 * i);
  }
  return out;
}
template <int N> DEVICE void store_f8(f8_t* p, const vec<float, N>& v) {
  if constexpr (N < 4) {
    UNROLL for (int i = 0; i < N; i++) p[i] = f8_t(v.v[i]);
  } else {
    words<N / 4> raw;
    UNROLL for (int i = 0; i < N / 4; i++)
      raw.w[i] = f8_bits(v.v[4 * i]) | f8_bits(v.v[4 * i + 1]) << 8 | f8_bits(v.v[4 * i + 2]) << 16 | f8_bits(v.v[4 * i + 3]) << 24;
    store_words(p, raw);
  }
}
#endif
