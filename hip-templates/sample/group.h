// group.h: 512 logits in the registers of a wave. A row is GROUPS of them; a group takes every GROUPS-th segment of 32
// chunks, so that tokens with neighbouring ids, which are alike in how likely they are, fall to different groups.
#pragma once
#include "sample/columns.h"

constexpr int GROUP = 512;
/** Logits of a lane, and groups of a row. */
constexpr int PER_LANE = GROUP / WAVE, GROUPS = ceil_div(COLUMNS, GROUP);
static_assert(PER_LANE % CHUNK == 0, "a lane holds whole chunks");
/** Chunks of a segment: with waves of 32, one load. */
constexpr int SEGMENT = 32;

/** f(i) for each logit of this lane; where a wave is one lane, a loop for the compiler to vectorise. */
template <class F> DEVICE void each_logit(F f) {
  if constexpr (WAVE > 1) {
    UNROLL for (int i = 0; i < PER_LANE; i++) f(i);
  } else {
    for (int i = 0; i < PER_LANE; i++) f(i);
  }
}

/** The first becomes the last: rotated, a loop finds every register in the same place. */
template <class T> DEVICE void go_round(T (&v)[PER_LANE]) {
  const T first = v[0];
  UNROLL for (int i = 1; i < PER_LANE; i++) v[i - 1] = v[i];
  v[PER_LANE - 1] = first;
}

/** First column of chunk c of this lane. */
DEVICE int chunk_column(int group, int c) {
  const int chunk = c * WAVE + lane_id();
  return ((chunk / SEGMENT * GROUPS + group) * SEGMENT + chunk % SEGMENT) * CHUNK;
}
/** Column of logit i of this lane; it may lie beyond the row. */
DEVICE int column_of(int group, int i) { return chunk_column(group, i / CHUNK) + i % CHUNK; }

/** Where a column is held. */
struct Place {
  int group, lane, i;
};
DEVICE Place place_of(int column) {
  const int segment = column / CHUNK / SEGMENT, chunk = segment / GROUPS * SEGMENT + column / CHUNK % SEGMENT;
  return {segment % GROUPS, chunk % WAVE, chunk / WAVE * CHUNK + column % CHUNK};
}

/** v[i] becomes f(v[i]) where `mine`: registers have no index at run time, so all are computed. */
template <class T, class F> DEVICE void change_one(T (&v)[PER_LANE], int i, bool mine, F f) {
  if constexpr (WAVE == 1) {
    if (mine) v[i] = f(v[i]);
  } else {
    if (!mine) i = -1;
    each_logit([&](int j) {
      const T changed = f(v[j]);
      v[j] = j == i ? changed : v[j];
    });
  }
}

/** A wave's logits; −∞ beyond the row, NaN as it is. */
template <class T> DEVICE void load_group(float (&v)[PER_LANE], const T* row, int group) {
  constexpr int CHUNKS = PER_LANE / CHUNK;
  chunk_t chunks[CHUNKS];
  UNROLL for (int c = 0; c < CHUNKS; c++) {
    const int d = chunk_column(group, c);
    chunks[c] = d < COLUMNS ? load_chunk(row, COLUMNS, d) : splat<CHUNK>(-INF);
  }
  UNROLL for (int c = 0; c < CHUNKS; c++) {
    UNROLL for (int i = 0; i < CHUNK; i++) v[c * CHUNK + i] = chunks[c][i];
  }
}

template <class T> DEVICE void store_group(T* row, const float (&v)[PER_LANE], int group) {
  UNROLL for (int c = 0; c < PER_LANE / CHUNK; c++) {
    const int d = chunk_column(group, c);
    chunk_t chunk;
    UNROLL for (int i = 0; i < CHUNK; i++) chunk.set(i, v[c * CHUNK + i]);
    if (d < COLUMNS) store_tail<CHUNK>(row + d, chunk, COLUMNS - d);
  }
}
