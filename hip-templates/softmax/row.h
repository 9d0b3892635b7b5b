// row.h: softmax of a row of L numbers by one block, in two walks: an online maximum and sum, then the weights.
#pragma once
#ifndef P_ALIGN
#define P_ALIGN 1  // a power of two that divides the start of every row, elements; on the host any
#endif
#include "prelude/block.h"

constexpr int CHUNK = min_int(VEC, P_ALIGN);
typedef vec<float, CHUNK> chunk_t;

/** Lanes from `from` to `to` of v, −∞ elsewhere. */
DEVICE chunk_t only(chunk_t v, int from, int to) {
  if (from > 0 || to < CHUNK - 1) {
    UNROLL for (int i = 0; i < CHUNK; i++)
      if (i < from || i > to) v.set(i, -INF);
  }
  return v;
}

/**
 * y[l] = e^(x[l] − max) / Σ e^(x[l] − max), where chunk(l) gives x[l … l+CHUNK-1], −∞ beyond the row. A row of −∞ alone
 * gives NaN.
 */
template <class Y, class Chunk> DEVICE void softmax_row(Y* y, int L, Chunk chunk) {
  float most = -INF, sum = 0.f;
  for (int l = thread_id() * CHUNK; l < L; l += BLOCK * CHUNK) {
    const chunk_t v = chunk(l);
    const float now = max_f32(hmax(max(v, splat<CHUNK>(-INF))), most);
    const float origin = now == -INF ? 0.f : now;
    sum = sum * fast_exp(most - origin) + hsum(fast_exp(v - origin));
    most = now;
  }
  const float maximum = block_reduce(most, Max{}), origin = maximum == -INF ? 0.f : maximum;
  const float total = block_reduce(sum * fast_exp(most - origin), Add{});
  for (int l = thread_id() * CHUNK; l < L; l += BLOCK * CHUNK)
    store_tail<CHUNK>(y + l, fast_exp(chunk(l) - origin) / total, L - l);
}
