// rotate.h: rotation of channel pairs by the angle position · theta^(−2i/dims) / factors[i].
// Angles are kept as turns in 64-bit fixed point: position · turns wraps exactly, so that sine and cosine are as good at
// position 100000 as at 1. (An f32 angle of 1e5 radians has an error of 4e-3.)
#pragma once
#ifndef P_HEAD_DIM
#define P_HEAD_DIM 64  // C, channels of a head
#endif
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
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#include "prelude/block.h"

constexpr int C = P_HEAD_DIM, DIMS = P_DIMS, PAIRS = DIMS / 2;
constexpr bool INTERLEAVED = P_INTERLEAVED != 0, HAS_FACTORS = P_FACTORS != 0;

/** The largest power of two that divides n, at most `most`. */
constexpr int power_in(int n, int most) {
  int power = 1;
  while (power < most && n % (2 * power) == 0) power *= 2;
  return power;
}

/** Channels a thread handles at a time: of each half of a half-split pair, or consecutive ones. */
constexpr int ROTATED = power_in(INTERLEAVED ? DIMS : PAIRS, min_int(VEC, P_ALIGN));
constexpr int PASSED = DIMS == C ? 1 : power_in(power_in(C, VEC) < power_in(DIMS, VEC) ? C : DIMS, min_int(VEC, P_ALIGN));
constexpr int ROTATED_CHUNKS = (INTERLEAVED ? DIMS : PAIRS) / ROTATED, PASSED_CHUNKS = (C - DIMS) / PASSED;
/** Pieces of work in a head. */
constexpr int HEAD_CHUNKS = ROTATED_CHUNKS + PASSED_CHUNKS;

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

/** Cosine and sine of each pair's angle at `position`, into LDS; the block must meet before they are read. */
DEVICE void make_angles(float* cosines, float* sines, int position, const float* factors) {
  for (int i = thread_id(); i < PAIRS; i += BLOCK) {
    double step = turns_of_pair(i);
    if constexpr (HAS_FACTORS) step /= double(factors[i]);
    const u64 turns = u64(step) * u64(i64(position));
    sincos_f32(float(i32(turns >> 32)) * 1.46291808e-9f, sines[i], cosines[i]);  // 2π / 2^32
  }
}

/** Chunk `chunk` of HEAD_CHUNKS of one head, from x to y. */
template <class Y, class X>
DEVICE void rotate_chunk(Y* y, const X* x, int chunk, const float* cosines, const float* sines) {
  if (chunk >= ROTATED_CHUNKS) {
    const int c = DIMS + (chunk - ROTATED_CHUNKS) * PASSED;
    store<PASSED>(y + c, load<PASSED>(x + c));
  } else if constexpr (INTERLEAVED) {
    const int c = chunk * ROTATED;
    if constexpr (ROTATED == 1) {
      const float v = float(x[c]), other = float(x[c ^ 1]);
      y[c] = Y(v * cosines[c / 2] + (c & 1 ? other : -other) * sines[c / 2]);
    } else {
      const vec<float, ROTATED> v = load<ROTATED>(x + c);
      vec<float, ROTATED> out = v;
      UNROLL for (int j = 0; j < ROTATED; j += 2) {
        const float cosine = cosines[(c + j) / 2], sine = sines[(c + j) / 2];
        out.set(j, v[j] * cosine - v[j + 1] * sine);
        out.set(j + 1, v[j] * sine + v[j + 1] * cosine);
      }
      store<ROTATED>(y + c, out);
    }
  } else {
    const int c = chunk * ROTATED;
    const vec<float, ROTATED> a = load<ROTATED>(x + c), b = load<ROTATED>(x + c + PAIRS);
    const vec<float, ROTATED> cosine = load<ROTATED>(cosines + c), sine = load<ROTATED>(sines + c);
    store<ROTATED>(y + c, a * cosine - b * sine);
    store<ROTATED>(y + c + PAIRS, a * sine + b * cosine);
  }
}
