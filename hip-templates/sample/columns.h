// columns.h: walks of one block over a row of COLUMNS logits, and the search for the logit where a falling measure (a
// count, a probability) reaches a target.
#pragma once
#ifndef P_COLUMNS
#define P_COLUMNS 32000  // V, elements of a row
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_COLUMNS; on the host any
#endif
#ifndef P_X
#define P_X f32_t  // element type of the logits: f32_t, f16_t or bf16_t
#endif
#include "prelude/block.h"

typedef P_X x_t;
constexpr int COLUMNS = P_COLUMNS;
/** Elements a thread takes at a time: on GPUs 16 bytes of f32, since each is compared with many cuts at once. */
constexpr int CHUNK = min_int(WAVE == 1 ? VEC : 4, P_ALIGN);
typedef vec<float, CHUNK> chunk_t;

/** NaN becomes −∞. */
struct NumberOrNone { template <class F> DEVICE F operator()(F x) const { return x >= all_lanes<F>(-INF) ? x : all_lanes<F>(-INF); } };

/** Chunks of a thread that are on their way at once: one block must hide the memory's latency by itself. */
constexpr int AHEAD = WAVE == 1 ? 1 : 4;

/** f(v, d) for each chunk of this thread: logits d … d+CHUNK-1, −∞ for NaN and beyond the row. */
template <class F> DEVICE void each_chunk(const x_t* row, F f) {
  constexpr int STEP = BLOCK * CHUNK;
  int d = thread_id() * CHUNK;
  if constexpr (AHEAD > 1) {
    for (; d + (AHEAD - 1) * STEP + CHUNK <= COLUMNS; d += AHEAD * STEP) {
      chunk_t v[AHEAD];
      UNROLL for (int i = 0; i < AHEAD; i++) v[i] = load<CHUNK>(row + d + i * STEP);
      UNROLL for (int i = 0; i < AHEAD; i++) f(map(v[i], NumberOrNone{}), d + i * STEP);
    }
  }
  for (; d < COLUMNS; d += STEP) {
    chunk_t v = load_tail<CHUNK>(row + d, COLUMNS - d);
    if (COLUMNS % CHUNK != 0 && d + CHUNK > COLUMNS) {
      UNROLL for (int i = 0; i < CHUNK; i++)
        if (d + i >= COLUMNS) v.set(i, -INF);
    }
    f(map(v, NumberOrNone{}), d);
  }
}

/** `at` where v is the larger, else `old`. */
struct TakeIfLarger {
  float at;
  template <class F> DEVICE F operator()(F v, F best, F old) const { return v > best ? all_lanes<F>(at) : old; }
};

/** The largest logit and its first column, in every thread; column 0 where all are −∞. */
DEVICE Indexed largest(const x_t* row) {
  static_assert(COLUMNS < 1 << 24, "columns are counted in f32");
  chunk_t best = splat<CHUNK>(-INF), at = splat<CHUNK>(0.f);  // at: first column of the chunk that best came from
  each_chunk(row, [&](const chunk_t& v, int d) {
    at = zip3(v, best, at, TakeIfLarger{float(d)});
    best = max(v, best);
  });
  Indexed found = {-INF, 0};
  UNROLL for (int i = 0; i < CHUNK; i++)
    if (best[i] > -INF) found = ArgMax{}(found, Indexed{best[i], i32(at[i]) + i});
  return block_reduce(found, ArgMax{});
}

/** Integers in the order of floats, from −∞ up; both zeros are one. */
DEVICE u32 key_of(float v) {
  const u32 bits = bit_cast<u32>(v + 0.f);
  return bits >> 31 ? ~bits : bits | 0x80000000;
}
DEVICE float value_of(u32 key) { return bit_cast<float>(key >> 31 ? key & 0x7fffffff : ~key); }

/** The weight of a logit that is at least as large, else 0. */
struct IfAtLeast {
  float least;
  template <class F> DEVICE F operator()(F v, F weight) const { return v >= all_lanes<F>(least) ? weight : F{}; }
};

/** A running sum: a SIMD register where a wave is one lane, else one number. */
typedef vec<float, WAVE == 1 ? CHUNK : 1> sum_t;
DEVICE sum_t zero_sum() { return splat<WAVE == 1 ? CHUNK : 1>(0.f); }
DEVICE void add_chunk(sum_t& sum, const chunk_t& v) {
  if constexpr (WAVE == 1) sum += v;
  else sum += hsum(v);
}

/** Each logit counts as one. */
struct Counted {
  static constexpr bool WEIGHTED = false;
  DEVICE chunk_t weights(const chunk_t&) const { return splat<CHUNK>(1.f); }
};
/** Each logit counts by its probability, up to a common factor. */
struct Weighted {
  static constexpr bool WEIGHTED = true;
  float most, rate;  // e^((v − most) · rate)
  DEVICE chunk_t weights(const chunk_t& v) const { return fast_exp((v - most) * rate); }
};

/** Sums each of N values over the block, to all threads, with two barriers in all. */
template <int N> DEVICE void block_sums(float (&v)[N]) {
  UNROLL for (int i = 0; i < N; i++) v[i] = wave_reduce(v[i], Add{});
  if constexpr (WAVES > 1) {
    LDS(float, partial, WAVES * N);
    LDS(float, total, N);
    if (lane_id() == 0) {
      UNROLL for (int i = 0; i < N; i++) partial[wave_id() * N + i] = v[i];
    }
    block_sync();
    for (int i = thread_id(); i < N; i += BLOCK) {
      float sum = partial[i];
      for (int w = 1; w < WAVES; w++) sum += partial[w * N + i];
      total[i] = sum;
    }
    block_sync();
    UNROLL for (int i = 0; i < N; i++) v[i] = total[i];
  }
}

/**
 * The largest logit x with measure(logits ≥ x) ≥ target, or a value between it and the next smaller logit, which keeps
 * the same logits. Searched among the keys low … high-1: measure(low) ≥ target must hold, and no logit may have key high.
 * Each walk over the row tries CUTS values between, and the search ends when one logit is left.
 */
template <class Measure> DEVICE float reach(const x_t* row, float target, u32 low, u32 high, Measure measure) {
  constexpr int CUTS = WAVE == 1 ? 7 : 3;
  float above = 0.f;  // logits from key high on
  while (high - low > 1) {
    const u32 step = max_int((high - low) / (CUTS + 1), 1u);
    const float lowest = value_of(low);
    float cuts[CUTS];
    sum_t all = zero_sum(), sums[CUTS], counts[CUTS];
    UNROLL for (int i = 0; i < CUTS; i++) {
      cuts[i] = value_of(min_int(low + step * u32(i + 1), high));
      sums[i] = counts[i] = zero_sum();
    }
    each_chunk(row, [&](const chunk_t& v, int) {
      if (!(hmax(v) >= lowest)) return;
      const chunk_t ones = splat<CHUNK>(1.f), weights = measure.weights(v);
      add_chunk(all, zip(v, ones, IfAtLeast{lowest}));
      UNROLL for (int i = 0; i < CUTS; i++) {
        add_chunk(counts[i], zip(v, ones, IfAtLeast{cuts[i]}));
        if constexpr (Measure::WEIGHTED) add_chunk(sums[i], zip(v, weights, IfAtLeast{cuts[i]}));
      }
    });
    float total[2 * CUTS + 1];
    UNROLL for (int i = 0; i < CUTS; i++) {
      total[i] = hsum(counts[i]);
      total[CUTS + i] = hsum(sums[i]);
    }
    total[2 * CUTS] = hsum(all);
    block_sums(total);
    float within = total[2 * CUTS];  // logits from key low on
    bool reaching = true;
    const u32 from = low, to = high;
    UNROLL for (int i = 0; i < CUTS; i++) {
      const float count = total[i], sum = Measure::WEIGHTED ? total[CUTS + i] : count;
      const u32 cut = from + step * u32(i + 1);
      if (reaching && cut < to) {
        if (sum >= target) low = cut, within = count;
        else high = cut, above = count, reaching = false;
      }
    }
    if (within - above <= 1.f || (!Measure::WEIGHTED && within == target)) break;
  }
  return value_of(low);
}
