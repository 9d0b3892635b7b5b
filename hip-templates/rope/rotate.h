// rotate.h: rotation of the channel pairs of a head, chunk by chunk.
#pragma once
#ifndef P_HEAD_DIM
#define P_HEAD_DIM 64  // C, channels of a head
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#include "rope/angles.h"

constexpr int C = P_HEAD_DIM;

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
