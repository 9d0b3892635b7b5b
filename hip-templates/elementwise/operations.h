// operations.h: what unary.hip applies to each element; each works on a number and on a SIMD register alike.
#pragma once
#ifndef P_BY
#define P_BY 1.f  // scale: the factor; softcap: the cap
#endif
#include "prelude/block.h"

constexpr float BY = float(P_BY);

/** e^x and 1 / x within 1e-6: on GPUs by their own instructions, so that memory stays the limit. */
template <class F> DEVICE F quick_exp(F x) { return LaneFastExp{}(x); }
template <class F> DEVICE F quick_rcp(F x) { return 1.f / x; }
template <> DEVICE float quick_rcp<float>(float x) { return fast_rcp(x); }

struct Scale { template <class F> DEVICE F operator()(F x) const { return x * BY; } };
struct Sigmoid { template <class F> DEVICE F operator()(F x) const { return quick_rcp(1.f + quick_exp(-x)); } };
struct Silu { template <class F> DEVICE F operator()(F x) const { return x * quick_rcp(1.f + quick_exp(-x)); } };
struct Tanh { template <class F> DEVICE F operator()(F x) const { return tanh_lanes(x); } };
struct Softcap { template <class F> DEVICE F operator()(F x) const { return BY * tanh_lanes(x * (1.f / BY)); } };

/** x/2 · (1 + tanh(u)) as x / (1 + e^(−2u)), which keeps its digits where tanh is near −1. */
struct GeluTanh {
  template <class F> DEVICE F operator()(F x) const {
    const F u = 0.797884561f * fma_lanes(x * x * x, all_lanes<F>(0.044715f), x);  // √(2/π)
    return x * quick_rcp(1.f + quick_exp(-2.f * u));
  }
};

/**
 * x · Φ(x). For z = |x| / √2, Φ(−|x|) = erfc(z) / 2 = t / 2 · exp(−z² + p(t)) with t = 2 / (2 + z): relative to its value
 * within 1e-6 also far in the tail. p is our own least-maximum fit of log(erfc(z) · e^(z²) / t) on (0, 1].
 */
struct Gelu {
  template <class F> DEVICE F operator()(F x) const {
    const F z = abs_lanes(x) * 0.707106781f;
    const F t = 2.f * quick_rcp(2.f + z);
    const F p = polynomial(t, -1.265512466e+00f, 1.000037789e+00f, 3.738495708e-01f, 9.870568663e-02f,
                           -1.945902556e-01f, 2.999942601e-01f, -1.167732120e+00f, 1.518293619e+00f,
                           -8.370621800e-01f, 1.740161628e-01f);
    const F tail = 0.5f * t * quick_exp(p - z * z);
    return x * (x > all_lanes<F>(0.f) ? 1.f - tail : tail);
  }
};

struct Plus { template <class F> DEVICE F operator()(F a, F b) const { return a + b; } };
struct Times { template <class F> DEVICE F operator()(F a, F b) const { return a * b; } };
