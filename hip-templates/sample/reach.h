// reach.h: the search of a block for the logit where a falling measure (a count, a probability) reaches a target, by value:
// no sort. What is searched is a Row in memory or anything else with `each(f)`, f(v, d) for each chunk of this thread.
#pragma once
#include "sample/columns.h"

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
/** Each logit counts by its probability, up to a common factor; or, where not `weighted`, as one. */
struct Weighted {
  static constexpr bool WEIGHTED = true;
  float most, rate;  // e^((v − most) · rate)
  bool weighted;
  DEVICE chunk_t weights(const chunk_t& v) const {
    return weighted ? fast_exp((v - most) * rate) : splat<CHUNK>(1.f);
  }
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

/** The measure of the logits from `least` on, to all threads. */
template <class Logits, class Measure> DEVICE float measure_from(const Logits& logits, float least, Measure measure) {
  sum_t sum = zero_sum();
  logits.each([&](const chunk_t& v, int) { add_chunk(sum, zip(v, measure.weights(v), IfAtLeast{least})); });
  return block_reduce(hsum(sum), Add{});
}

/**
 * The largest logit x with measure(logits ≥ x) ≥ target, or a value between it and the next smaller logit, which keeps
 * the same logits. Searched among the keys low … high-1: measure(low) ≥ target must hold, and no logit may have key high.
 * Each walk over the logits tries CUTS values between, and the search ends when one logit is left.
 */
template <class Logits, class Measure>
DEVICE float reach(const Logits& logits, float target, u32 low, u32 high, Measure measure) {
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
    logits.each([&](const chunk_t& v, int) {
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
