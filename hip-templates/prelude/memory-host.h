// memory-host.h: loads and stores of vec on a CPU. vec.h includes it.
#pragma once

template <class V> DEVICE V load_unaligned(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
template <class V> DEVICE void store_unaligned(void* p, const V& v) { __builtin_memcpy(p, &v, sizeof(V)); }

/** W words from any address; the rest is for GPUs. */
template <int W, int ALIGN, bool NT> DEVICE words<W> load_words(const void* p) { return load_unaligned<words<W>>(p); }
template <int W> DEVICE void store_words(void* p, const words<W>& v) { store_unaligned(p, v); }
DEVICE words<4> load_words_streaming(const void* p) { return load_unaligned<words<4>>(p); }
DEVICE float low_f16(u32 w) { return f16_value(u16(w)); }
DEVICE float high_f16(u32 w) { return f16_value(u16(w >> 16)); }
DEVICE float low_bf16(u32 w) { return bf16_value(u16(w)); }
DEVICE float high_bf16(u32 w) { return bf16_value(u16(w >> 16)); }
/** A CPU's own prefetchers follow streams. */
DEVICE void prefetch_l2(const void*, int) {}

/** N bytes as integers. GCC 12 converts vectors by 4 in width lane by lane: it gets the instruction, or two steps. */
template <int N> DEVICE typename simd<N>::ints widen_u8(const u8* p) {
  typedef typename simd<N>::ints I;
#if defined(__clang__)
  return __builtin_convertvector(load_unaligned<typename simd<N>::ubytes>(p), I);
#else
#if defined(__AVX512F__)
  typedef char sixteen __attribute__((vector_size(16)));
  if constexpr (N == 16) return (I)__builtin_ia32_pmovzxbd512_mask(load_unaligned<sixteen>(p), I{}, -1);
#endif
#if defined(__AVX2__)
  typedef char low_eight __attribute__((vector_size(16)));
  typedef i64 two __attribute__((vector_size(16)));
  if constexpr (N == 8) return (I)__builtin_ia32_pmovzxbd256((low_eight)two{load_unaligned<i64>(p), 0});
#endif
  return __builtin_convertvector(
      __builtin_convertvector(load_unaligned<typename simd<N>::ubytes>(p), typename simd<N>::ushorts), I);
#endif
}
template <int N> DEVICE typename simd<N>::ints widen_i8(const u8* p) { return (widen_u8<N>(p) ^ 128) - 128; }
#if defined(__AVX512F__)
template <> DEVICE simd<16>::ints widen_i8<16>(const u8* p) {
#if defined(__clang__)
  return __builtin_convertvector(load_unaligned<simd<16>::bytes>(p), simd<16>::ints);
#else
  typedef char sixteen __attribute__((vector_size(16)));
  return (simd<16>::ints)__builtin_ia32_pmovsxbd512_mask(load_unaligned<sixteen>(p), simd<16>::ints{}, -1);
#endif
}
#endif

/** N halves to floats: by F16C, AVX-512 or NEON where present, else as f16_value does it, in SIMD. */
template <int N> DEVICE typename simd<N>::floats widen_f16(typename simd<N>::shorts h) {
  typedef typename simd<N>::floats F;
  typedef typename simd<N>::ints I;
#if defined(__AVX512F__)
  if constexpr (N == 16) return (F)__builtin_ia32_vcvtph2ps512_mask(h, F{}, -1, 4);
#endif
#if defined(__F16C__)
  if constexpr (N == 8) return (F)__builtin_ia32_vcvtph2ps256(h);
#endif
#if defined(__aarch64__)
  if constexpr (N == 4) {  // compilers convert lane by lane
    F v;
    asm("fcvtl %0.4s, %1.4h" : "=w"(v) : "w"(h));
    return v;
  }
#endif
  const I bits = __builtin_convertvector(h, I);  // the sign spreads over the upper half
  const I magnitude = (bits & 0x7fff) << 13;
  const F scaled = bit_cast<F>(magnitude) * bit_cast<float>(0x77800000u);
  const I finite = bit_cast<I>(scaled), special = magnitude | 0x7f800000;
  return bit_cast<F>((magnitude >= 0x0f800000 ? special : finite) | (bits & i32(0x80000000)));
}
template <int N> DEVICE typename simd<N>::shorts narrow_f16(typename simd<N>::floats v) {
  typedef typename simd<N>::floats F;
  typedef typename simd<N>::ints I;
  typedef typename simd<N>::shorts S;
#if defined(__AVX512F__)
  if constexpr (N == 16) return (S)__builtin_ia32_vcvtps2ph512_mask(v, 8, S{}, -1);
#endif
#if defined(__F16C__)
  if constexpr (N == 8) return (S)__builtin_ia32_vcvtps2ph256(v, 0);
#endif
#if defined(__aarch64__)
  if constexpr (N == 4) {
    S h;
    asm("fcvtn %0.4h, %1.4s" : "=w"(h) : "w"(v));
    return h;
  }
#endif
  const I u = bit_cast<I>(v), magnitude = u & 0x7fffffff;
  const I normal = (magnitude - (112 << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  const I subnormal = bit_cast<I>(bit_cast<F>(magnitude) + 0.5f) - 0x3f000000;
  const I finite = magnitude < (113 << 23) ? subnormal : normal;
  const I nan = (magnitude >> 13 & 0x3ff) | 0x7e00, infinity = I{} + 0x7c00;
  const I special = magnitude > 0x7f800000 ? nan : infinity;
  const I bits = (magnitude >= 0x477ff000 ? special : finite) | (u >> 16 & 0x8000);
  return __builtin_convertvector(bits, S);
}
template <int N> DEVICE typename simd<N>::floats widen_bf16(typename simd<N>::ushorts h) {
  return bit_cast<typename simd<N>::floats>(__builtin_convertvector(h, typename simd<N>::ints) << 16);
}
template <int N> DEVICE typename simd<N>::shorts narrow_bf16(typename simd<N>::floats v) {
  typedef typename simd<N>::ints I;
  const I u = bit_cast<I>(v);
  const I rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, nan = u >> 16 | 0x40;
  const I bits = (u & 0x7fffffff) > 0x7f800000 ? nan : rounded;
  return __builtin_convertvector(bits, typename simd<N>::shorts);
}

template <int N, class T> DEVICE vec<float, N> load(const T* p) {
  vec<float, N> out;
  if constexpr (N == 1) out.v = float(*p);
  else if constexpr (N > NATIVE) out.lo = load<N / 2>(p), out.hi = load<N / 2>(p + N / 2);
  else if constexpr (sizeof(T) == 4) out.v = load_unaligned<typename simd<N>::floats>(p);
  else if constexpr (same_type<T, f16_t>::value) out.v = widen_f16<N>(load_unaligned<typename simd<N>::shorts>(p));
  else out.v = widen_bf16<N>(load_unaligned<typename simd<N>::ushorts>(p));
  return out;
}
template <int N, class T> DEVICE vec<float, N> load_nt(const T* p) { return load<N>(p); }

template <int N, class T> DEVICE void store(T* p, const vec<float, N>& v) {
  if constexpr (N == 1) *p = T(v.v);
  else if constexpr (N > NATIVE) store<N / 2>(p, v.lo), store<N / 2>(p + N / 2, v.hi);
  else if constexpr (sizeof(T) == 4) store_unaligned(p, v.v);
  else if constexpr (same_type<T, f16_t>::value) store_unaligned(p, narrow_f16<N>(v.v));
  else store_unaligned(p, narrow_bf16<N>(v.v));
}
