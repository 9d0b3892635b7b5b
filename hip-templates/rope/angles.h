// angles.h: the angles position · theta^(−2i/dims) / factors[i] by which channel pairs are rotated, and the factor of their
// cosine and sine.
// Angles are kept as turns in 64-bit fixed point: position · turns wraps exactly, so that sine and cosine are as good at
// position 100000 as at 1. (An f32 angle of 1e5 radians has an error of 4e-3.)
#pragma once
#ifndef P_DIMS
#define P_DIMS 64  // channels that are rotated, from the first; the rest pass
#endif
#ifndef P_ANGLE_RATIO
#define P_ANGLE_RATIO 0.74989420933245586  // theta^(−2/dims), in f64: from one pair's angle to the next's
#endif
#ifndef P_INTERLEAVED
#define P_INTERLEAVED 0  // 1: pairs are (2i, 2i + 1); 0: (i, i + dims/2)
#endif
#ifndef P_FACTORS
#define P_FACTORS 0  // 1: there are divisors of the frequencies
#endif
#ifndef P_MAGNITUDE
#define P_MAGNITUDE 1.f  // factor of cosine and sine
#endif
#include "prelude/block.h"

constexpr int DIMS = P_DIMS, PAIRS = DIMS / 2;
constexpr float MAGNITUDE = P_MAGNITUDE;
constexpr bool INTERLEAVED = P_INTERLEAVED != 0, HAS_FACTORS = P_FACTORS != 0;

/** theta^(−2 · 2^n / dims): what 2^n pairs further on multiplies an angle by. */
constexpr double angle_ratio(int n) { return n == 0 ? P_ANGLE_RATIO : angle_ratio(n - 1) * angle_ratio(n - 1); }

/** `turns` times the ratios of the bits of i from bit N on: literals in the code, no table in memory. */
template <int N> DEVICE double times_ratios(double turns, int i) {
  if constexpr ((1 << N) >= PAIRS) {
    return turns;
  } else {
    constexpr double ratio = angle_ratio(N);
    return times_ratios<N + 1>(i >> N & 1 ? turns * ratio : turns, i);
  }
}

/** Turns that pair i makes from one position to the next, in units of 2^−64. */
DEVICE double turns_of_pair(int i) {
  constexpr double first = 0.15915494309189535 * 18446744073709551616.0;  // 2^64 / 2π
  return times_ratios<0>(first, i);
}

/** The same with the factor of the pair, whole. */
DEVICE u64 step_of_pair(int i, const float* factors) {
  double step = turns_of_pair(i);
  if constexpr (HAS_FACTORS) step /= double(factors[i]);
  return u64(step);
}
/** Cosine and sine of the angle at `position` of a pair that turns so far from one position to the next. */
DEVICE void make_angle(float& cosine, float& sine, u64 step, int position) {
  const u64 turns = step * u64(i64(position));
  sincos_f32(float(i32(turns >> 32)) * 1.46291808e-9f, sine, cosine);  // 2π / 2^32
  if constexpr (MAGNITUDE != 1.f) cosine *= MAGNITUDE, sine *= MAGNITUDE;
}

/** Those of each pair's angle, into LDS; a block barrier must precede that they are read. */
DEVICE void make_angles(float* cosines, float* sines, int position, const float* factors) {
  KEEP_LOOP for (int i = thread_id(); i < PAIRS; i += BLOCK) make_angle(cosines[i], sines[i], step_of_pair(i, factors), position);
}

/** Channel c of the rotated head at x. */
template <class X> DEVICE float rotated(const X* x, int c, const float* cosines, const float* sines) {
  const float v = float(x[c]);
  if (c >= DIMS) return v;
  if constexpr (INTERLEAVED) {
    const float other = float(x[c ^ 1]);
    return v * cosines[c / 2] + (c & 1 ? other : -other) * sines[c / 2];
  } else {
    const bool upper = c >= PAIRS;
    const int pair = upper ? c - PAIRS : c;
    const float other = float(x[upper ? pair : pair + PAIRS]);
    return v * cosines[pair] + (upper ? other : -other) * sines[pair];
  }
}
