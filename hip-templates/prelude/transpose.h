// transpose.h: N vectors of N floats, rows to columns in registers. A kernel that reads memory by rows and computes by
// columns turns squares of VEC this way on the host, in log2(N) shuffles a vector.
//   transpose(rows)           rows[i][j] and rows[j][i] change places
#pragma once
#include "prelude/vec.h"

#if ON_HOST
/** Swaps the blocks of S lanes that lie off the diagonal of the pair (a, b). */
template <int S, int N, unsigned... LANE>
DEVICE void swap_lanes(vec<float, N>& a, vec<float, N>& b, hiphost_indices<LANE...>) {
  const auto low = __builtin_shufflevector(a.v, b.v, (int(LANE) & S ? N + int(LANE) - S : int(LANE))...);
  const auto high = __builtin_shufflevector(a.v, b.v, (int(LANE) & S ? N + int(LANE) : int(LANE) + S)...);
  a.v = low, b.v = high;
}
template <int S, int N> DEVICE void swap_blocks(vec<float, N> (&rows)[N]) {
  UNROLL for (int i = 0; i < N; i++)
    if (!(i & S)) swap_lanes<S>(rows[i], rows[i + S], hiphost_count<N>{});
  if constexpr (S > 1) swap_blocks<S / 2>(rows);
}
template <int N> DEVICE void transpose(vec<float, N> (&rows)[N]) {
  if constexpr (N <= NATIVE) swap_blocks<N / 2>(rows);
  else {
    constexpr int H = N / 2;
    vec<float, H> quarter[2][2][H];  // [rows above or below][columns left or right]
    UNROLL for (int i = 0; i < N; i++) quarter[i / H][0][i % H] = rows[i].lo, quarter[i / H][1][i % H] = rows[i].hi;
    UNROLL for (int i = 0; i < 4; i++) transpose(quarter[i / 2][i % 2]);
    UNROLL for (int i = 0; i < N; i++) rows[i].lo = quarter[0][i / H][i % H], rows[i].hi = quarter[1][i / H][i % H];
  }
}
#else
template <int N> DEVICE void transpose(vec<float, N> (&rows)[N]) {
  UNROLL for (int i = 0; i < N; i++) {
    UNROLL for (int j = 0; j < i; j++) {
      const float v = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i], rows[j].v[i] = v;
    }
  }
}
#endif
