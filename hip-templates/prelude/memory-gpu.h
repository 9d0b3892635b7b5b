// memory-gpu.h: loads and stores of vec on GPUs, by the widest accesses that the alignment allows. vec.h includes it.
#pragma once

DEVICE constexpr int access_bytes(int bytes) {
  return bytes % 16 == 0 ? 16 : bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : 2;
}

#if ON_AMD
// AMD reads words at any address (the HSA memory model has unaligned access on); the type only says what is known.
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
template <int ALIGN> struct aligned_to;
#define RF_ALIGNED(ALIGN)                                               \
  template <> struct aligned_to<ALIGN> {                                \
    typedef u32 x4 __attribute__((ext_vector_type(4), aligned(ALIGN))); \
    typedef u32 x2 __attribute__((ext_vector_type(2), aligned(ALIGN))); \
    typedef u32 x1 __attribute__((aligned(ALIGN)));                     \
  };
RF_ALIGNED(2) RF_ALIGNED(4) RF_ALIGNED(8) RF_ALIGNED(16)
/** W words from `p`, which is aligned to ALIGN bytes (a power of two); NT: the caches need not keep them. */
template <int W, int ALIGN, bool NT> DEVICE words<W> load_words(const void* p) {
  typedef typename aligned_to<ALIGN>::x4 X4;  // spelled out below: as a template argument a type loses its alignment
  typedef typename aligned_to<ALIGN>::x2 X2;
  typedef typename aligned_to<ALIGN>::x1 X1;
  words<W> out;
  const u8* from = (const u8*)p;
  UNROLL for (int i = 0; i < W / 4 * 4; i += 4) {
    u32x4 v;
    if constexpr (NT) v = __builtin_nontemporal_load((const X4*)(from + 4 * i));
    else v = *(const X4*)(from + 4 * i);
    out.w[i] = v.x, out.w[i + 1] = v.y, out.w[i + 2] = v.z, out.w[i + 3] = v.w;
  }
  if constexpr (W % 4 >= 2) {
    u32x2 v;
    if constexpr (NT) v = __builtin_nontemporal_load((const X2*)(from + W / 4 * 16));
    else v = *(const X2*)(from + W / 4 * 16);
    out.w[W / 4 * 4] = v.x, out.w[W / 4 * 4 + 1] = v.y;
  }
  if constexpr (W % 2 == 1) {
    if constexpr (NT) out.w[W - 1] = __builtin_nontemporal_load((const X1*)(from + 4 * W - 4));
    else out.w[W - 1] = *(const X1*)(from + 4 * W - 4);
  }
  return out;
}
template <int W> DEVICE void store_words(void* p, const words<W>& v) {
  if constexpr (W % 4 == 0) {
    typedef typename aligned_to<16>::x4 V;
    UNROLL for (int i = 0; i < W; i += 4) ((V*)p)[i / 4] = V{v.w[i], v.w[i + 1], v.w[i + 2], v.w[i + 3]};
  } else if constexpr (W == 2) {
    typedef typename aligned_to<8>::x2 V;
    *(V*)p = V{v.w[0], v.w[1]};
  } else {
    *(u32*)p = v.w[0];
  }
}
/** Four words that nobody reads again soon, 16-byte aligned; the kernel may write what lies around them. */
DEVICE words<4> load_words_streaming(const void* p) { return load_words<4, 16, true>(p); }
typedef _Float16 half_pair __attribute__((ext_vector_type(2)));
DEVICE float low_f16(u32 w) { return (float)bit_cast<half_pair>(w).x; }
DEVICE float high_f16(u32 w) { return (float)bit_cast<half_pair>(w).y; }
DEVICE u32 pack_f16(float low, float high) { return bit_cast<u32>(half_pair{(_Float16)low, (_Float16)high}); }
DEVICE u32 pack_bf16(float low, float high) { return bf16_bits(low) | u32(bf16_bits(high)) << 16; }
#else
// NT: through the read-only path, and not kept in L1. The memory must not be written while the kernel runs. Whoever reads
// 64 bytes of a row at a time gets 6 % more of an H200's memory where L2 fetches whole lines.
template <bool NT> DEVICE uint4 fetch(const uint4* p) {
  if constexpr (!NT) return *p;
  uint4 v;
  asm("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
template <bool NT> DEVICE uint2 fetch(const uint2* p) {
  if constexpr (!NT) return *p;
  uint2 v;
  asm("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}
template <bool NT> DEVICE u32 fetch(const u32* p) {
  if constexpr (!NT) return *p;
  u32 v;
  asm("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
/** W words from `p`, which is aligned to ALIGN bytes (a power of two). */
template <int W, int ALIGN, bool NT> DEVICE words<W> load_words(const void* p) {
  words<W> out;
  if constexpr (ALIGN >= 16 && W % 4 == 0) {
    UNROLL for (int i = 0; i < W; i += 4) {
      const uint4 v = fetch<NT>((const uint4*)p + i / 4);
      out.w[i] = v.x, out.w[i + 1] = v.y, out.w[i + 2] = v.z, out.w[i + 3] = v.w;
    }
  } else if constexpr (ALIGN >= 8 && W % 2 == 0) {
    UNROLL for (int i = 0; i < W; i += 2) {
      const uint2 v = fetch<NT>((const uint2*)p + i / 2);
      out.w[i] = v.x, out.w[i + 1] = v.y;
    }
  } else if constexpr (ALIGN >= 4) {
    UNROLL for (int i = 0; i < W; i++) out.w[i] = fetch<NT>((const u32*)p + i);
  } else {
    // whole words around p, shifted into place; a word without a byte of the range is never read
    const u32 off = u32(size_t(p)) & 2;
    const u32* from = (const u32*)((const u8*)p - off);
    u32 low = fetch<NT>(from);
    UNROLL for (int i = 0; i < W; i++) {
      const u32 high = fetch<NT>(from + (i + 1 < W || off ? i + 1 : i));
      out.w[i] = __funnelshift_r(low, high, off * 8);
      low = high;
    }
  }
  return out;
}
template <int W> DEVICE void store_words(void* p, const words<W>& v) {
  if constexpr (W % 4 == 0) {
    UNROLL for (int i = 0; i < W; i += 4) ((uint4*)p)[i / 4] = make_uint4(v.w[i], v.w[i + 1], v.w[i + 2], v.w[i + 3]);
  } else if constexpr (W == 2) {
    *(uint2*)p = make_uint2(v.w[0], v.w[1]);
  } else {
    *(u32*)p = v.w[0];
  }
}
/** Four words that nobody reads again soon, 16-byte aligned; the kernel may write what lies around them. */
DEVICE words<4> load_words_streaming(const void* p) {
  words<4> v;
  asm("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "l"(p));
  return v;
}
DEVICE float low_f16(u32 w) { return f16_value(u16(w)); }
DEVICE float high_f16(u32 w) { return f16_value(u16(w >> 16)); }
DEVICE u32 pack_f16(float low, float high) {
  u32 pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
DEVICE u32 pack_bf16(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
#endif
DEVICE float low_bf16(u32 w) { return bit_cast<float>(w << 16); }
DEVICE float high_bf16(u32 w) { return bit_cast<float>(w & 0xffff0000u); }

template <int N, bool NT, class T> DEVICE vec<float, N> load_elements(const T* p) {
  vec<float, N> out;
  constexpr int BYTES = N * int(sizeof(T));
  if constexpr (BYTES < 4) {
    out.v[0] = float(*p);
  } else {
    const words<BYTES / 4> raw = load_words<BYTES / 4, access_bytes(BYTES), NT>(p);
    UNROLL for (int i = 0; i < BYTES / 4; i++) {
      if constexpr (sizeof(T) == 4) out.v[i] = bit_cast<float>(raw.w[i]);
      else if constexpr (same_type<T, f16_t>::value)
        out.v[2 * i] = low_f16(raw.w[i]), out.v[2 * i + 1] = high_f16(raw.w[i]);
      else out.v[2 * i] = low_bf16(raw.w[i]), out.v[2 * i + 1] = high_bf16(raw.w[i]);
    }
  }
  return out;
}
template <int N, class T> DEVICE vec<float, N> load(const T* p) { return load_elements<N, false>(p); }
template <int N, class T> DEVICE vec<float, N> load_nt(const T* p) { return load_elements<N, true>(p); }

template <int N, class T> DEVICE void store(T* p, const vec<float, N>& v) {
  constexpr int BYTES = N * int(sizeof(T));
  if constexpr (BYTES < 4) {
    *p = T(v.v[0]);
  } else {
    words<BYTES / 4> raw;
    UNROLL for (int i = 0; i < BYTES / 4; i++) {
      if constexpr (sizeof(T) == 4) raw.w[i] = bit_cast<u32>(v.v[i]);
      else if constexpr (same_type<T, f16_t>::value) raw.w[i] = pack_f16(v.v[2 * i], v.v[2 * i + 1]);
      else raw.w[i] = pack_bf16(v.v[2 * i], v.v[2 * i + 1]);
    }
    store_words(p, raw);
  }
}

/**
 * Brings `bytes` from `p`, both multiples of 16, to L2 and does not wait: the calling thread prefetches all of them. Targets
 * that have no such instruction do nothing.
 */
DEVICE void prefetch_l2(const void* p, int bytes) {
#if ON_NVIDIA && __CUDA_ARCH__ >= 900
  if (bytes > 0) asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p), "r"(bytes));
#elif ON_NVIDIA
  for (int at = 0; at < bytes; at += 128) asm volatile("prefetch.global.L2 [%0];" ::"l"((const u8*)p + at));
#else
  (void)p, (void)bytes;
#endif
}
