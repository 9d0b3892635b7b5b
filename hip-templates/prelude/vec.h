// vec.h: N numbers in registers. vec<float, N> has arithmetic and is what loads give and stores take: on a GPU an array
// that never touches memory, on the host one or several SIMD registers (AVX-512, AVX2, NEON), so that a plain loop over
// chunks of VEC is SIMD code. N is a power of two.
//
//   load<N>(p) load_nt<N>(p) load_tail<N>(p, n)    f32_t, f16_t or bf16_t in memory -> vec<float, N>
//   store<N>(p, v)  store_tail<N>(p, v, n)         one rounding to the type in memory
//   alignment: on GPUs p must be aligned to min(16, N · sizeof(T)) bytes (16-byte accesses); on the host to sizeof(T)
#pragma once
#include "prelude/math.h"

#if ON_HOST
#pragma GCC diagnostic ignored "-Wpsabi"  // all of this is inlined: no vector crosses a call
#if defined(__AVX512F__)
constexpr int NATIVE = 16;  // floats of a SIMD register
#elif defined(__AVX__)
constexpr int NATIVE = 8;
#else
constexpr int NATIVE = 4;
#endif
[[maybe_unused]] constexpr int VEC = NATIVE == 16 ? 16 : 8;
#else
[[maybe_unused]] constexpr int VEC = 8;  // floats of a chunk that a thread does best to handle at a time
#endif

/** W words of 32 bits. */
template <int W> struct words {
  u32 w[W];
};

/** N values of any type; arithmetic is for float alone. */
template <class T, int N> struct vec {
  T v[N];
  DEVICE T operator[](int i) const { return v[i]; }
  DEVICE void set(int i, T x) { v[i] = x; }
};

// ---- lane-wise operations: map, zip, zip3 take a functor that works on float and on SIMD registers -----------------

#if ON_HOST
template <int N> struct simd {
  typedef float floats __attribute__((vector_size(4 * N)));
  typedef i32 ints __attribute__((vector_size(4 * N)));
  typedef i16 shorts __attribute__((vector_size(2 * N)));
  typedef u16 ushorts __attribute__((vector_size(2 * N)));
  typedef i8 bytes __attribute__((vector_size(N)));
  typedef u8 ubytes __attribute__((vector_size(N)));
};
#define RF_LANES(N)                                                                                         \
  template <> struct lanes_of<simd<N>::floats> {                                                            \
    typedef simd<N>::ints ints;                                                                             \
    static DEVICE simd<N>::floats to_float(ints v) { return __builtin_convertvector(v, simd<N>::floats); }  \
  };
RF_LANES(2) RF_LANES(4) RF_LANES(8) RF_LANES(16)

template <int N, bool SPLIT = (N > NATIVE)> struct floats;
template <int N> struct floats<N, false> {
  typename simd<N>::floats v;
};
template <int N> struct floats<N, true> {
  vec<float, N / 2> lo, hi;
};
template <int N> struct vec<float, N> : floats<N> {
  DEVICE float operator[](int i) const {
    if constexpr (N <= NATIVE) return this->v[i];
    else return i < N / 2 ? this->lo[i] : this->hi[i - N / 2];
  }
  DEVICE void set(int i, float x) {
    if constexpr (N <= NATIVE) this->v[i] = x;
    else if (i < N / 2) this->lo.set(i, x);
    else this->hi.set(i - N / 2, x);
  }
};
template <> struct vec<float, 1> {
  float v;
  DEVICE float operator[](int) const { return v; }
  DEVICE void set(int, float x) { v = x; }
};

template <int N, class F> DEVICE vec<float, N> map(const vec<float, N>& a, F f) {
  vec<float, N> out;
  if constexpr (N <= NATIVE) out.v = f(a.v);
  else out.lo = map(a.lo, f), out.hi = map(a.hi, f);
  return out;
}
template <int N, class F> DEVICE vec<float, N> zip(const vec<float, N>& a, const vec<float, N>& b, F f) {
  vec<float, N> out;
  if constexpr (N <= NATIVE) out.v = f(a.v, b.v);
  else out.lo = zip(a.lo, b.lo, f), out.hi = zip(a.hi, b.hi, f);
  return out;
}
template <int N, class F>
DEVICE vec<float, N> zip3(const vec<float, N>& a, const vec<float, N>& b, const vec<float, N>& c, F f) {
  vec<float, N> out;
  if constexpr (N <= NATIVE) out.v = f(a.v, b.v, c.v);
  else out.lo = zip3(a.lo, b.lo, c.lo, f), out.hi = zip3(a.hi, b.hi, c.hi, f);
  return out;
}
template <int N> DEVICE vec<float, N> splat(float x) {
  vec<float, N> out;
  if constexpr (N == 1) out.v = x;
  else if constexpr (N <= NATIVE) out.v = x - typename simd<N>::floats{};  // x - 0 is x; 0 + x is an addition: x may be -0
  else out.lo = out.hi = splat<N / 2>(x);
  return out;
}
/** a's lanes, then b's */
template <int N> DEVICE vec<float, 2 * N> join(const vec<float, N>& a, const vec<float, N>& b) {
  vec<float, 2 * N> out;
  if constexpr (2 * N <= NATIVE) {
    struct halves {
      vec<float, N> lo, hi;
    };
    out = bit_cast<vec<float, 2 * N>>(halves{a, b});
  } else {
    out.lo = a, out.hi = b;
  }
  return out;
}
/** f(f(v[0], v[1]), …) in pairs, for an associative f */
template <int N, class F> DEVICE float fold(const vec<float, N>& a, F f) {
  if constexpr (N == 1) return a.v;
  else if constexpr (N <= NATIVE) {
    struct halves {
      vec<float, N / 2> lo, hi;
    };
    const halves h = bit_cast<halves>(a);
    return fold(zip(h.lo, h.hi, f), f);
  } else return fold(zip(a.lo, a.hi, f), f);
}
#else
template <int N, class F> DEVICE vec<float, N> map(const vec<float, N>& a, F f) {
  vec<float, N> out;
  UNROLL for (int i = 0; i < N; i++) out.v[i] = f(a.v[i]);
  return out;
}
template <int N, class F> DEVICE vec<float, N> zip(const vec<float, N>& a, const vec<float, N>& b, F f) {
  vec<float, N> out;
  UNROLL for (int i = 0; i < N; i++) out.v[i] = f(a.v[i], b.v[i]);
  return out;
}
template <int N, class F>
DEVICE vec<float, N> zip3(const vec<float, N>& a, const vec<float, N>& b, const vec<float, N>& c, F f) {
  vec<float, N> out;
  UNROLL for (int i = 0; i < N; i++) out.v[i] = f(a.v[i], b.v[i], c.v[i]);
  return out;
}
template <int N> DEVICE vec<float, N> splat(float x) {
  vec<float, N> out;
  UNROLL for (int i = 0; i < N; i++) out.v[i] = x;
  return out;
}
template <int N> DEVICE vec<float, 2 * N> join(const vec<float, N>& a, const vec<float, N>& b) {
  vec<float, 2 * N> out;
  UNROLL for (int i = 0; i < N; i++) out.v[i] = a.v[i], out.v[i + N] = b.v[i];
  return out;
}
template <int N, class F> DEVICE float fold(const vec<float, N>& a, F f) {
  if constexpr (N == 1) return a.v[0];
  else {
    vec<float, N / 2> half;
    UNROLL for (int i = 0; i < N / 2; i++) half.v[i] = f(a.v[i], a.v[i + N / 2]);
    return fold(half, f);
  }
}
#endif

struct LaneAdd { template <class F> DEVICE F operator()(F a, F b) const { return a + b; } };
struct LaneSub { template <class F> DEVICE F operator()(F a, F b) const { return a - b; } };
struct LaneMul { template <class F> DEVICE F operator()(F a, F b) const { return a * b; } };
struct LaneDiv { template <class F> DEVICE F operator()(F a, F b) const { return a / b; } };
struct LaneMax { template <class F> DEVICE F operator()(F a, F b) const { return a > b ? a : b; } };
struct LaneMin { template <class F> DEVICE F operator()(F a, F b) const { return a < b ? a : b; } };
struct LaneFma { template <class F> DEVICE F operator()(F a, F b, F c) const { return fma_lanes(a, b, c); } };
struct LaneAbs { template <class F> DEVICE F operator()(F a) const { return abs_lanes(a); } };
struct LaneExp { template <class F> DEVICE F operator()(F a) const { return exp_lanes(a); } };
struct LaneLog { template <class F> DEVICE F operator()(F a) const { return log_lanes(a); } };
struct LaneTanh { template <class F> DEVICE F operator()(F a) const { return tanh_lanes(a); } };
struct LaneErf { template <class F> DEVICE F operator()(F a) const { return erf_lanes(a); } };
struct LaneFastExp {
#if ON_HOST
  template <class F> DEVICE F operator()(F a) const { return exp_lanes(a); }
#else
  DEVICE float operator()(float a) const { return fast_exp(a); }
#endif
};

#define RF_OPERATOR(op, Lane)                                                                                          \
  template <int N> DEVICE vec<float, N> operator op(const vec<float, N>& a, const vec<float, N>& b) {                  \
    return zip(a, b, Lane{});                                                                                          \
  }                                                                                                                    \
  template <int N> DEVICE vec<float, N> operator op(const vec<float, N>& a, float b) {                                 \
    return zip(a, splat<N>(b), Lane{});                                                                                \
  }                                                                                                                    \
  template <int N> DEVICE vec<float, N> operator op(float a, const vec<float, N>& b) {                                 \
    return zip(splat<N>(a), b, Lane{});                                                                                \
  }                                                                                                                    \
  template <int N, class B> DEVICE vec<float, N>& operator op##=(vec<float, N>& a, const B& b) { return a = a op b; }
RF_OPERATOR(+, LaneAdd)
RF_OPERATOR(-, LaneSub)
RF_OPERATOR(*, LaneMul)
RF_OPERATOR(/, LaneDiv)
template <int N> DEVICE vec<float, N> operator-(const vec<float, N>& a) { return splat<N>(-0.f) - a; }

/** a · b + c, lane by lane */
template <int N> DEVICE vec<float, N> fma(const vec<float, N>& a, const vec<float, N>& b, const vec<float, N>& c) {
  return zip3(a, b, c, LaneFma{});
}
template <int N> DEVICE vec<float, N> fma(const vec<float, N>& a, float b, const vec<float, N>& c) {
  return zip3(a, splat<N>(b), c, LaneFma{});
}
template <int N> DEVICE vec<float, N> max(const vec<float, N>& a, const vec<float, N>& b) {
  return zip(a, b, LaneMax{});
}
template <int N> DEVICE vec<float, N> min(const vec<float, N>& a, const vec<float, N>& b) {
  return zip(a, b, LaneMin{});
}
template <int N> DEVICE vec<float, N> abs(const vec<float, N>& a) { return map(a, LaneAbs{}); }
template <int N> DEVICE vec<float, N> exp(const vec<float, N>& a) { return map(a, LaneExp{}); }
template <int N> DEVICE vec<float, N> log(const vec<float, N>& a) { return map(a, LaneLog{}); }
template <int N> DEVICE vec<float, N> tanh(const vec<float, N>& a) { return map(a, LaneTanh{}); }
template <int N> DEVICE vec<float, N> erf(const vec<float, N>& a) { return map(a, LaneErf{}); }
template <int N> DEVICE vec<float, N> fast_exp(const vec<float, N>& a) { return map(a, LaneFastExp{}); }
/** Sum, maximum and minimum of the lanes. */
template <int N> DEVICE float hsum(const vec<float, N>& a) { return fold(a, LaneAdd{}); }
template <int N> DEVICE float hmax(const vec<float, N>& a) { return fold(a, LaneMax{}); }
template <int N> DEVICE float hmin(const vec<float, N>& a) { return fold(a, LaneMin{}); }

template <class A, class B> struct same_type { static constexpr bool value = false; };
template <class A> struct same_type<A, A> { static constexpr bool value = true; };

#if ON_HOST
#include "prelude/memory-host.h"
#else
#include "prelude/memory-gpu.h"
#endif

/** The first n of N elements, 0 ≤ n; the rest is 0 and not read. */
template <int N, class T> DEVICE vec<float, N> load_tail(const T* p, int n) {
  if (n >= N) return load<N>(p);
  vec<float, N> out = splat<N>(0.f);
  UNROLL for (int i = 0; i < N; i++)
    if (i < n) out.set(i, float(p[i]));
  return out;
}
template <int N, class T> DEVICE void store_tail(T* p, const vec<float, N>& v, int n) {
  if (n >= N) return store<N>(p, v);
  UNROLL for (int i = 0; i < N; i++)
    if (i < n) p[i] = T(v[i]);
}
