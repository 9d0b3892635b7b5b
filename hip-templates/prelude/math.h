// math.h: elementary functions of f32, the same code on every platform, so that a CPU test of them holds for GPUs too.
//   exp_f32 … erf_f32  within 4 ulp of the exact value
//   fast_*             within 1e-6 relative, by the GPU's own approximations; on the host the accurate functions
// There are no branches: a loop over them is SIMD code. The coefficients are our own least-maximum fits; their errors
// are below 1e-8 of the result on the interval stated beside them.
#pragma once
#include "prelude/base.h"

// ---- what differs between scalars and SIMD vectors -----------------------------------------------------------------

/** The integers with as many lanes as the float type F. */
template <class F> struct lanes_of;
template <> struct lanes_of<float> {
  typedef i32 ints;
  static DEVICE float to_float(i32 v) { return float(v); }
};

// a · b + c with one rounding where the target has the instruction, two elsewhere
#if ON_HOST && !defined(__FMA__) && !defined(__aarch64__)
DEVICE float fma_f32(float a, float b, float c) { return a * b + c; }
#elif ON_NVIDIA
DEVICE float fma_f32(float a, float b, float c) { return fmaf(a, b, c); }
#else
DEVICE float fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#endif
template <class F> DEVICE F fma_lanes(F a, F b, F c) { return a * b + c; }
template <> DEVICE float fma_lanes<float>(float a, float b, float c) { return fma_f32(a, b, c); }

template <class F> DEVICE F all_lanes(float v) { return F{} + v; }
template <> DEVICE float all_lanes<float>(float v) { return v; }

/** c0 + x · (c1 + x · (…)) */
template <class F> DEVICE F polynomial(F, float c0) { return all_lanes<F>(c0); }
template <class F, class... C> DEVICE F polynomial(F x, float c0, C... more) {
  return fma_lanes(polynomial(x, more...), x, all_lanes<F>(c0));
}

DEVICE float abs_f32(float v) { return bit_cast<float>(bit_cast<u32>(v) & 0x7fffffff); }
/** The other operand where one is NaN is unspecified: do not rely on it. */
DEVICE float max_f32(float a, float b) { return a > b ? a : b; }
DEVICE float min_f32(float a, float b) { return a < b ? a : b; }

template <class F> DEVICE F abs_lanes(F x) {
  typedef typename lanes_of<F>::ints I;
  return bit_cast<F>(bit_cast<I>(x) & 0x7fffffff);
}
/** magnitude of `x`, sign of `s` */
template <class F> DEVICE F with_sign(F x, F s) {
  typedef typename lanes_of<F>::ints I;
  return bit_cast<F>((bit_cast<I>(x) & 0x7fffffff) | (bit_cast<I>(s) & i32(0x80000000)));
}

// 1.5 · 2^23: adding it leaves the nearest integer in the low bits of the sum
[[maybe_unused]] constexpr float ROUNDER = 12582912.f;

// ---- exp, log ------------------------------------------------------------------------------------------------------

/** e^x = 2^n · e^r with |r| ≤ ln 2 / 2; 2^n in two factors, so that subnormal results round once. */
template <class F> DEVICE F exp_lanes(F x) {
  typedef typename lanes_of<F>::ints I;
  const F low = all_lanes<F>(-104.f), high = all_lanes<F>(89.f);  // beyond: 0 and infinity all the same
  x = x < low ? low : x;
  x = x > high ? high : x;  // NaN passes both
  const F shifted = fma_lanes(x, all_lanes<F>(1.44269504f), all_lanes<F>(ROUNDER));
  const I n = bit_cast<I>(shifted) - 0x4b400000;
  const F nf = shifted - ROUNDER;
  F r = fma_lanes(nf, all_lanes<F>(-0.693359375f), x);  // 10 bits of ln 2: exact product
  r = fma_lanes(nf, all_lanes<F>(2.12194440e-4f), r);
  const F q = polynomial(r, 5.000000000e-01f, 1.666666716e-01f, 4.166626930e-02f, 8.333265781e-03f, 1.394608524e-03f,
                         1.991778263e-04f);
  const F p = fma_lanes(q, r * r, r) + 1.f;
  const I half = n >> 1;
  return p * bit_cast<F>((half + 127) << 23) * bit_cast<F>((n - half + 127) << 23);
}
DEVICE float exp_f32(float x) { return exp_lanes(x); }

/** log(2^e · m) = e · ln 2 + log(m), m in [√½, √2), of normal y > 0; `bias` is added to e. */
template <class F> DEVICE F log_normal(F y, F bias) {
  typedef typename lanes_of<F>::ints I;
  const I bits = bit_cast<I>(y);
  const I e = (bits - 0x3f3504f3) >> 23;
  const F f = bit_cast<F>(bits - e * (1 << 23)) - 1.f;
  const F ef = lanes_of<F>::to_float(e) + bias;
  const F p = polynomial(f, 3.333331048e-01f, -2.499998659e-01f, 2.000222802e-01f, -1.666924357e-01f, 1.421861649e-01f,
                         -1.238446161e-01f, 1.187342629e-01f, -1.178924963e-01f, 6.913565099e-02f);
  const F ff = f * f;
  F tail = fma_lanes(p * f, ff, ef * -2.12194440e-4f);
  tail = fma_lanes(ff, all_lanes<F>(-0.5f), tail);
  return fma_lanes(ef, all_lanes<F>(0.693359375f), f + tail);
}
template <class F> DEVICE F log_lanes(F x) {
  const F smallest_normal = all_lanes<F>(1.17549435e-38f), zero = all_lanes<F>(0.f);
  const F y = x < smallest_normal ? x * 8388608.f : x;
  const F bias = x < smallest_normal ? all_lanes<F>(-23.f) : zero;
  F result = log_normal(y, bias);
  result = x == zero ? all_lanes<F>(-INF) : result;
  result = x < zero ? all_lanes<F>(bit_cast<float>(0x7fc00000u)) : result;
  return x < all_lanes<F>(INF) ? result : x + x;  // +infinity and NaN are themselves
}
DEVICE float log_f32(float x) { return log_lanes(x); }

// ---- sine, cosine --------------------------------------------------------------------------------------------------

/** Remainder of x by π/2 in [-π/4, π/4], and the quotient; exact to f32 for |x| ≤ 4e6. */
DEVICE float quarter_turns(float x, i32& quotient) {
  const float shifted = fma_f32(x, 0.636619772f, ROUNDER);
  quotient = bit_cast<i32>(shifted) - 0x4b400000;
  const float k = shifted - ROUNDER;
#if ON_HOST && !defined(__FMA__) && !defined(__aarch64__)
  const double r = double(x) - k * 1.5707963267341256142;  // 33 bits of π/2: exact product
  return float(r - k * 6.0770999344470198e-11);
#else
  float r = fma_f32(k, -1.57079637e+0f, x);  // exact: k · 24 bits cancels against x
  r = fma_f32(k, 4.37113883e-8f, r);
  return fma_f32(k, 1.71512489e-15f, r);
#endif
}

/** sin(x) and cos(x) for |x| ≤ 4e6, which covers positions of any context; less accurate beyond; NaN for infinity. */
DEVICE void sincos_f32(float x, float& sine, float& cosine) {
  i32 q;
  const float r = quarter_turns(x, q), z = r * r;
  const float p = polynomial(z, -1.666666716e-01f, 8.333329111e-03f, -1.983930561e-04f, 2.718026963e-06f);
  const float s = fma_f32(p, z * r, r);
  const float t = polynomial(z, 4.166664556e-02f, -1.388734439e-03f, 2.443568883e-05f);
  const float c = fma_f32(t, z * z, fma_f32(z, -0.5f, 1.f));
  const u32 swap = q & 1;
  sine = bit_cast<float>(bit_cast<u32>(swap ? c : s) ^ u32(q & 2) << 30);
  cosine = bit_cast<float>(bit_cast<u32>(swap ? s : c) ^ u32((q + 1) & 2) << 30);
}
DEVICE float sin_f32(float x) {
  float s, c;
  sincos_f32(x, s, c);
  return s;
}
DEVICE float cos_f32(float x) {
  float s, c;
  sincos_f32(x, s, c);
  return c;
}

// ---- tanh, erf -----------------------------------------------------------------------------------------------------

template <class F> DEVICE F tanh_lanes(F x) {
  const F a = abs_lanes(x), z = x * x;
  const F near = fma_lanes(polynomial(z, -3.333333135e-01f, 1.333321035e-01f, -5.394720286e-02f, 2.170296758e-02f,
                                      -8.182673715e-03f, 2.147536725e-03f), z * x, x);  // |x| ≤ 0.625
  const F far = 1.f - 2.f / (exp_lanes(a + a) + 1.f);
  return a < all_lanes<F>(0.625f) ? near : with_sign(far, x);
}
DEVICE float tanh_f32(float x) { return tanh_lanes(x); }

template <class F> DEVICE F erf_lanes(F x) {
  const F a = abs_lanes(x), z = x * x;
  const F near = fma_lanes(polynomial(z, 1.283791661e-01f, -3.761263490e-01f, 1.128369421e-01f, -2.685927041e-02f,
                                      5.200634245e-03f, -8.137437399e-04f, 8.345224342e-05f), x, x);  // |x| ≤ 0.93
  const F four = all_lanes<F>(4.f), t = a > four ? four : a;  // 1 - erf(4) is 1.5e-8
  const F q = polynomial(t, -1.692051446e-04f, 1.129488349e+00f, 6.334008574e-01f, 1.082203835e-01f, -2.508061752e-02f,
                         4.156255163e-03f, -4.313935642e-04f, 2.082862011e-05f);  // -log(1 - erf(t)) on [0.9, 4]
  const F far = 1.f - exp_lanes(-q);
  return a < all_lanes<F>(0.92f) ? near : with_sign(far, x);
}
DEVICE float erf_f32(float x) { return erf_lanes(x); }

// ---- roots, powers, rounding ---------------------------------------------------------------------------------------

#if ON_NVIDIA
DEVICE float sqrt_f32(float x) {
  float r;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float rsqrt_f32(float x) {
  float r;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
#elif ON_AMD
DEVICE float sqrt_f32(float x) { return __builtin_sqrtf(x); }
DEVICE float rsqrt_f32(float x) {  // the instruction is within 1 ulp, and takes subnormal inputs for zero
  const bool tiny = x < 1.17549435e-38f;
  const float r = __builtin_amdgcn_rsqf(tiny ? x * 16777216.f : x);
  return tiny ? r * 4096.f : r;
}
#else
DEVICE float sqrt_f32(float x) { return __builtin_sqrtf(x); }
DEVICE float rsqrt_f32(float x) { return 1.f / __builtin_sqrtf(x); }
#endif

/** floor, and the nearest integer with ties to even */
#if ON_NVIDIA
DEVICE float floor_f32(float x) { return floorf(x); }
DEVICE float round_f32(float x) { return rintf(x); }
#elif ON_AMD
DEVICE float floor_f32(float x) { return __builtin_floorf(x); }
DEVICE float round_f32(float x) { return __builtin_rintf(x); }
#else
DEVICE float round_f32(float x) {  // not by a builtin: that is a call where SSE4.1 is missing
  const float rounded = with_sign((abs_f32(x) + 8388608.f) - 8388608.f, x);
  return abs_f32(x) < 8388608.f ? rounded : x;
}
DEVICE float floor_f32(float x) {
  const float rounded = round_f32(x);
  return rounded > x ? rounded - 1.f : rounded;
}
#endif

/** x^y; the logarithm is in f64, so it stays accurate for large y, and slow: for set-up code, not inner loops. */
DEVICE float pow_f32(float x, float y) {
  const float a = abs_f32(x);
  const bool integer = round_f32(y) == y, odd = integer && abs_f32(y) < 16777216.f && (i32(y) & 1);
  if (y == 0.f || x == 1.f) return 1.f;
  if (x != x || y != y) return x + y;
  const float sign = odd && (bit_cast<u32>(x) >> 31) ? -1.f : 1.f;
  if (a == 0.f) return sign * (y > 0.f ? 0.f : INF);
  if (x < 0.f && !integer && a != INF && abs_f32(y) != INF) return bit_cast<float>(0x7fc00000u);
  if (a == INF) return sign * (y > 0.f ? INF : 0.f);
  if (abs_f32(y) == INF) return a == 1.f ? 1.f : ((a > 1.f) == (y > 0.f) ? INF : 0.f);
  u64 bits = bit_cast<u64>(double(a));
  const i64 e = (i64(bits) - i64(0x3fe6a09e667f3bcdull)) >> 52;
  const double m = bit_cast<double>(bits - (u64(e) << 52)), s = (m - 1.0) / (m + 1.0), z = s * s;
  // log(m) = 2 artanh(s), |s| ≤ 0.172: the series to z^7 leaves 1e-13
  double series = 1.0 / 15;
  for (int k = 13; k >= 1; k -= 2) series = series * z + 1.0 / k;
  const double t = double(y) * (double(e) + 2.0 * s * series * 1.4426950408889634);
  if (t > 128.5) return sign * INF;
  if (t < -151.0) return sign * 0.f;
  const i32 n = i32(t + (t < 0 ? -0.5 : 0.5));
  const double r = (t - n) * 0.6931471805599453;
  double power = 1.0;
  for (int k = 11; k >= 1; k--) power = power * r / k + 1.0;
  return sign * float(power * bit_cast<double>(u64(n + 1023) << 52));
}

// ---- fast ----------------------------------------------------------------------------------------------------------

#if ON_HOST
DEVICE float fast_exp(float x) { return exp_f32(x); }
DEVICE float fast_log(float x) { return log_f32(x); }
DEVICE float fast_rcp(float x) { return 1.f / x; }
DEVICE float fast_rsqrt(float x) { return rsqrt_f32(x); }
#else
#if ON_AMD
#if __has_builtin(__builtin_amdgcn_exp2f) && __has_builtin(__builtin_amdgcn_logf)
DEVICE float hardware_exp2(float x) { return __builtin_amdgcn_exp2f(x); }
DEVICE float hardware_log2(float x) { return __builtin_amdgcn_logf(x); }
#else
DEVICE float hardware_exp2(float x) { return __builtin_exp2f(x); }
DEVICE float hardware_log2(float x) { return __builtin_log2f(x); }
#endif
DEVICE float fast_rcp(float x) { return __builtin_amdgcn_rcpf(x); }
DEVICE float fast_rsqrt(float x) { return __builtin_amdgcn_rsqf(x); }
#else
DEVICE float hardware_exp2(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float hardware_log2(float x) {
  float r;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float fast_rcp(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
DEVICE float fast_rsqrt(float x) {
  float r;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
#endif
/** e^x; what is below 1.2e-38 may become 0. The product with log2(e) is kept to more than 24 bits. */
DEVICE float fast_exp(float x) {
  x = x < -104.f ? -104.f : x;
  x = x > 89.f ? 89.f : x;
  const float t = x * 1.44269502f;
  const float rest = fma_f32(x, 1.92596299e-8f, fma_f32(x, 1.44269502f, -t));
  return hardware_exp2(t) * fma_f32(rest, 0.693147181f, 1.f);
}
/** log(x) for normal x > 0; the error is relative to max(1, |log x|) */
DEVICE float fast_log(float x) { return hardware_log2(x) * 0.693147181f; }
#endif
