// pv_matmul: y[t,h,c] = Σ_l p[t,h,l] · v[seq[t], l, h / GROUP, c]
//   layout    y: y_t[T, H, C], p: p_t[T, H, L], v: v_t[R, L, H / GROUP, C], all row-major; seq: i32[T]
//   launch    grid = T · H, block = BLOCK; one block per head of a token
//   aliasing  none
//   numerics  f32 sums; where p is 0 (masked) v may be anything, even NaN; one rounding to y's type
//   limits    any C; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H
#endif
#ifndef P_GROUP
#define P_GROUP 1  // consecutive heads that share a head of v
#endif
#ifndef P_P
#define P_P f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_V
#define P_V f32_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#include "attention/rows.h"

typedef P_P p_t;
typedef P_V v_t;
typedef P_Y y_t;
constexpr int HEADS = P_HEADS, GROUP = P_GROUP;

DEVICE void pv_matmul_tile(int row, y_t* y, const p_t* p, const v_t* v, const i32* seq, int L) {
  const int t = row / HEADS, h = row % HEADS;
  row_part out = zero_row();
  for (int l = row_slot(); l < L; l += SLOTS) {
    const float weight = float(p[size_t(row) * L + l]);
    if (weight != 0.f) add_scaled(out, load_row(v + ((size_t(seq[t]) * L + l) * (HEADS / GROUP) + h / GROUP) * C), weight);
  }
  sum_slots(out);
  if constexpr (WAVES > 1) {
    LDS(float, sums, WAVES * C);
    block_sync();  // the row before may still be read
    if (thread_id() % WAVE < LANES) store_row(sums + wave_id() * C, out);
    block_sync();
    if (row_slot() != 0) return;
    out = load_row(sums);
    for (int w = 1; w < WAVES; w++) add_scaled(out, load_row(sums + w * C), 1.f);
  }
  if (row_slot() == 0) store_row(y + size_t(row) * C, out);
}

KERNEL void pv_matmul(y_t* y, const p_t* p, const v_t* v, const i32* seq, i32 T, i32 L) {
  for (int row = block_id(); row < T * HEADS; row += grid_size()) pv_matmul_tile(row, y, p, v, seq, L);
}
