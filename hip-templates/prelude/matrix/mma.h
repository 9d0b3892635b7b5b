// mma.h: mma.sync.m16n8k16 of NVIDIA, waves of 32. Lane 4g + p has of A rows g and g + 8, of B column g, k pairs 2p and 2p + 8;
// of D rows g and g + 8 of columns 2p and 2p + 1 (PTX ISA, "Matrix Fragments for mma.m16n8k16").
// A step is two instructions: the lane's 8 neighbours of k, from 8p on, are its pairs of the first and of the second. Row g of
// A is row 2g of w and row g + 8 the next, so that a lane's sums are pairs of rows.
#pragma once
#include "prelude/mma-sync.h"

static_assert(WAVE == 32, "mma.sync has waves of 32");

template <class E> struct matrix_unit {
  static constexpr int ROWS = 16, COLUMNS = 8, STEP = 32, RUN = 2, RUNS = 2, W_LOADS = 2, X_LOADS = 1, CHUNKS = 1;
  static DEVICE int row_of(int i) { return lane_id() / 4 * 2 + i; }
  static DEVICE int token_of(int) { return lane_id() / 4; }
  static DEVICE int chunk() { return lane_id() % 4; }
  static DEVICE int first_row(int) { return lane_id() / 4 * 2; }
  static DEVICE int token(int run) { return lane_id() % 4 * 2 + run; }

  template <class Op> static DEVICE float over_rows(float v, Op op) {
    v = op(v, wave_shfl_xor(v, 4));
    v = op(v, wave_shfl_xor(v, 8));
    v = op(v, wave_shfl_xor(v, 16));
    return v;
  }

  struct w_fragment {
    words<4> rows[2];
    DEVICE void set(int i, int, const words<4>& v) { rows[i] = v; }
  };
  struct x_fragment {
    words<4> column;
    DEVICE void set(int, int, const words<4>& v) { column = v; }
  };
  /** c[2 · run + row] */
  static DEVICE void multiply(float (&c)[RUNS * RUN], const w_fragment& w, const x_fragment& x) {
    float sums[4] = {c[0], c[2], c[1], c[3]};
    UNROLL for (int half = 0; half < 4; half += 2) {
      const u32 rows[4] = {w.rows[0].w[half], w.rows[1].w[half], w.rows[0].w[half + 1], w.rows[1].w[half + 1]};
      const u32 columns[2] = {x.column.w[half], x.column.w[half + 1]};
      mma_16x8x16(sums, rows, columns, E());
    }
    c[0] = sums[0], c[2] = sums[1], c[1] = sums[2], c[3] = sums[3];
  }
};
