// best.h: the largest of a group's and of a row's values, the lower column of equals; NO_COLUMN where all are −∞.
#pragma once
#include "sample/group.h"

/** No column: what stands for a token where there is none. */
constexpr int NO_COLUMN = -2147483647 - 1;

/** Of a wave's values, which NaN may be among, to all lanes; the index is the column. */
DEVICE Indexed best_of_group(const float (&v)[PER_LANE], int group) {
  float best = -INF;
  int at = -1;
  if constexpr (WAVE == 1) {
    // the value first: a loop that is SIMD code
    for (int i = 0; i < PER_LANE; i++) best = v[i] > best ? v[i] : best;
    for (int i = PER_LANE - 1; i >= 0; i--) at = v[i] == best ? i : at;
  } else {
    each_logit([&](int i) {
      if (v[i] > best) best = v[i], at = i;
    });
  }
  return wave_reduce(Indexed{best, best > -INF ? column_of(group, at) : NO_COLUMN}, ArgMax{});
}

/** Of the bests of a row's groups, to all threads. */
DEVICE Indexed best_of_row(const Indexed* bests) {
  Indexed best = {-INF, 0};  // of equal values the lower index counts: NO_COLUMN, where a group has nothing
  for (int g = thread_id(); g < GROUPS; g += BLOCK) best = ArgMax{}(best, bests[g]);
  return block_reduce(best, ArgMax{});
}
