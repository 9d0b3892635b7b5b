// columns.h: a row of COLUMNS logits, what counts in it, and walks of one block over all of it.
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
static_assert(COLUMNS < 1 << 24, "columns are counted in f32");
/** Elements a thread takes at a time: on GPUs 16 bytes of f32, since each is compared with many cuts at once. */
constexpr int CHUNK = min_int(WAVE == 1 ? VEC : 4, P_ALIGN);
typedef vec<float, CHUNK> chunk_t;

/** NaN becomes −∞. */
struct NumberOrNone { template <class F> DEVICE F operator()(F x) const { return x >= all_lanes<F>(-INF) ? x : all_lanes<F>(-INF); } };
/** NaN becomes +∞. */
struct NumberOrMost { template <class F> DEVICE F operator()(F x) const { return x <= all_lanes<F>(INF) ? x : all_lanes<F>(INF); } };

/** Logits d … d+CHUNK-1 of n, −∞ beyond; a multiple of CHUNK, or COLUMNS. */
template <class T> DEVICE chunk_t load_chunk(const T* logits, int n, int d) {
  chunk_t v = load_tail<CHUNK>(logits + d, n - d);
  if (COLUMNS % CHUNK != 0 && d + CHUNK > n) {
    UNROLL for (int i = 0; i < CHUNK; i++)
      if (d + i >= n) v.set(i, -INF);
  }
  return v;
}

/** Chunks of a thread that are in flight at once: one block must hide the memory's latency by itself. */
constexpr int AHEAD = WAVE == 1 ? 1 : 4;

/** Logits in memory: a row, or any n, a multiple of CHUNK. */
template <class T> struct Row {
  const T* at;
  int n = COLUMNS;
  /** f(v, d) for each chunk of this thread: logits d … d+CHUNK-1, −∞ for NaN and beyond the row. */
  template <class F> DEVICE void each(F f) const {
    constexpr int STEP = BLOCK * CHUNK;
    int d = thread_id() * CHUNK;
    if constexpr (AHEAD > 1) {
      for (; d + (AHEAD - 1) * STEP + CHUNK <= n; d += AHEAD * STEP) {
        chunk_t v[AHEAD];
        UNROLL for (int i = 0; i < AHEAD; i++) v[i] = load<CHUNK>(at + d + i * STEP);
        UNROLL for (int i = 0; i < AHEAD; i++) f(map(v[i], NumberOrNone{}), d + i * STEP);
      }
    }
    for (; d < n; d += STEP) f(map(load_chunk(at, n, d), NumberOrNone{}), d);
  }
  /** f(v, d) for each logit of this thread that is at least `least`, one by one: for an f of many instructions. */
  template <class F> DEVICE void each_from(float least, F f) const {
    KEEP_LOOP for (int d = thread_id() * CHUNK; d < n; d += BLOCK * CHUNK) {
      if (!(hmax(map(load_chunk(at, n, d), NumberOrNone{})) >= least)) continue;
      KEEP_LOOP for (int i = d; i < min_int(d + CHUNK, n); i++) {
        const float v = float(at[i]);
        if (v >= least) f(v, i);
      }
    }
  }
};

/** `at` where v is the larger, else `old`. */
struct TakeIfLarger {
  float at;
  template <class F> DEVICE F operator()(F v, F best, F old) const { return v > best ? all_lanes<F>(at) : old; }
};

/** The largest logit of a row and its first column, in every thread; column 0 where all are −∞. */
template <class T> DEVICE Indexed largest(const Row<T>& row) {
  chunk_t best = splat<CHUNK>(-INF), at = splat<CHUNK>(0.f);  // at: first column of the chunk that best came from
  row.each([&](const chunk_t& v, int d) {
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
