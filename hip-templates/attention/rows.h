// rows.h: how the threads of a block share rows of CHANNELS elements (keys or values of consecutive positions). LANES
// neighbouring lanes hold one row, chunk by chunk; the block's SLOTS such groups take rows in turn. Where a wave is one
// lane, that lane holds a whole row in SIMD registers.
#pragma once
#ifndef P_HEAD_DIM
#define P_HEAD_DIM 64  // C, channels of a head
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_HEAD_DIM
#endif
#include "prelude/block.h"

constexpr int C = P_HEAD_DIM;
constexpr int CHUNK = min_int(VEC, P_ALIGN), CHUNKS = C / CHUNK;
static_assert(C % CHUNK == 0, "P_ALIGN must divide the channels of a head");

constexpr int power_from(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}
constexpr int LANES = min_int(WAVE, power_from(CHUNKS));
/** Chunks of a row that a lane holds: chunk lane, lane + LANES, … */
constexpr int PARTS = ceil_div(CHUNKS, LANES);
constexpr int SLOTS = BLOCK / LANES;

typedef vec<float, CHUNK> chunk_t;

DEVICE int row_lane() { return LANES == 1 ? 0 : thread_id() % LANES; }
DEVICE int row_slot() { return thread_id() / LANES; }

/** A row, or this lane's part of it. */
struct row_part {
  chunk_t v[PARTS];
};

DEVICE row_part zero_row() {
  row_part out;
  UNROLL for (int p = 0; p < PARTS; p++) out.v[p] = splat<CHUNK>(0.f);
  return out;
}
/** This lane's chunks of the row at `row`; what lies beyond its end is 0. */
template <class T> DEVICE row_part load_row(const T* row) {
  row_part out;
  UNROLL for (int p = 0; p < PARTS; p++) {
    const int chunk = row_lane() + p * LANES;
    if (CHUNKS % LANES == 0 || chunk < CHUNKS) out.v[p] = load<CHUNK>(row + chunk * CHUNK);
    else out.v[p] = splat<CHUNK>(0.f);
  }
  return out;
}
template <class T> DEVICE void store_row(T* row, const row_part& part) {
  UNROLL for (int p = 0; p < PARTS; p++) {
    const int chunk = row_lane() + p * LANES;
    if (CHUNKS % LANES == 0 || chunk < CHUNKS) store<CHUNK>(row + chunk * CHUNK, part.v[p]);
  }
}
/** This lane's share of Σ_c a[c] · b[c]. */
DEVICE float dot_part(const row_part& a, const row_part& b) {
  if constexpr (WAVE == 1) {
    chunk_t sum = a.v[0] * b.v[0];
    UNROLL for (int p = 1; p < PARTS; p++) sum = fma(a.v[p], b.v[p], sum);
    return hsum(sum);
  } else {
    float sum = 0.f;
    UNROLL for (int p = 0; p < PARTS; p++)
      UNROLL for (int i = 0; i < CHUNK; i++) sum = fma_f32(a.v[p][i], b.v[p][i], sum);
    return sum;
  }
}
/** Σ_c a[c] · b[c], in all lanes of the row. */
DEVICE float dot(const row_part& a, const row_part& b) { return group_reduce<LANES>(dot_part(a, b), Add{}); }

CONSTANT int least_int(int a, int b) { return a < b ? a : b; }
/**
 * Adds up N sums over the lanes of a row at once, N a power of two: lanes exchange halves of what they hold, so that N sums
 * cost about N shuffles and not N · log2(LANES). Sum n ends in v[holder_index<N>(n)] of lane holder_lane<N>(n).
 */
template <int N, int HELD = N, int MASK = 1> DEVICE void reduce_rows(float (&v)[N]) {
  if constexpr (MASK < LANES) {
    constexpr int NEXT = HELD > 1 ? HELD / 2 : 1;
    const bool upper = (row_lane() & MASK) != 0;
    UNROLL for (int i = 0; i < NEXT; i++) {
      if constexpr (HELD > 1) {
        const float low = v[i], high = v[i + NEXT];  // read first: a choice between elements would put v into memory
        v[i] = (upper ? high : low) + wave_shfl_xor(upper ? low : high, MASK);
      } else {
        v[i] += wave_shfl_xor(v[i], MASK);
      }
    }
    reduce_rows<N, NEXT, 2 * MASK>(v);
  }
}
/** Which lane of a row holds sum n of N after reduce_rows, and in which v. */
template <int N> CONSTANT int holder_lane(int n) {
  int lane = 0, held = N;
  for (int mask = 1; mask < least_int(N, LANES); mask *= 2) {
    held /= 2;
    if (n & held) lane |= mask;
  }
  return lane;
}
template <int N> CONSTANT int holder_index(int n) { return n % (N / least_int(N, LANES)); }
template <int N, int n = 0> DEVICE void spread_sums(const float (&v)[N], float (&all)[N], int first) {
  if constexpr (n < N) {
    constexpr int lane = holder_lane<N>(n), index = holder_index<N>(n);
    all[n] = wave_shfl(v[index], first + lane);
    spread_sums<N, n + 1>(v, all, first);
  }
}
/** Adds up N sums over the lanes of a row, into all of its lanes; N a power of two. */
template <int N> DEVICE void sum_rows(float (&v)[N]) {
  if constexpr (LANES > 1) {
    reduce_rows(v);
    float all[N];
    spread_sums(v, all, lane_id() - row_lane());
    UNROLL for (int n = 0; n < N; n++) v[n] = all[n];
  }
}
DEVICE void add_scaled(row_part& sum, const row_part& row, float weight) {
  UNROLL for (int p = 0; p < PARTS; p++) sum.v[p] = fma(row.v[p], weight, sum.v[p]);
}
DEVICE void scale_row(row_part& row, float factor) {
  UNROLL for (int p = 0; p < PARTS; p++) row.v[p] *= factor;
}
/** Adds the parts of the wave's rows up, into all of its slots. */
DEVICE void sum_slots(row_part& row) {
  UNROLL for (int p = 0; p < PARTS; p++)
    UNROLL for (int i = 0; i < CHUNK; i++) {
      float v = row.v[p][i];
      UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) v += wave_shfl_xor(v, mask);
      row.v[p].set(i, v);
    }
}
