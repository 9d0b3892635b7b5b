// frequency_penalty: y[r,v] = logits[r,v] − n·frequency[r] − (n > 0)·presence[r], n how often the request's history has v at
// positions from[r] … positions[r]
//   layout    y: y_t[R, V], logits: x_t[R, V] row-major; history: i32[P, 1, PAGE, 1] token ids by position;
//             positions, from: i32[R]; page_table: i32[R, M]; frequency, presence: f32[R]
//   launch    grid = ⌈R · GROUPS / WAVES⌉, block = BLOCK; a wave takes a group of a request's logits
//   aliasing  y may be logits
//   numerics  one rounding to y's type
//   limits    any sizes; a token outside V is passed over; any WAVE, any BLOCK
#include "sample/changes.h"
#ifndef P_Y
#define P_Y f32_t
#endif

typedef P_Y y_t;

DEVICE void frequency_penalty_item(int item, y_t* y, const x_t* logits, const i32* history, const i32* positions,
                                   const i32* page_table, const i32* from, const float* frequency, const float* presence,
                                   int M) {
  const int r = item / GROUPS, group = item % GROUPS;
  float v[PER_LANE];
  load_group(v, logits + size_t(r) * COLUMNS, group);
  penalise(v, group, {history, page_table + size_t(r) * M, M, positions[r]}, {1.f, 0}, {from[r], frequency[r], presence[r]});
  store_group(y + size_t(r) * COLUMNS, v, group);
}

KERNEL void frequency_penalty(y_t* y, const x_t* logits, const i32* history, const i32* positions, const i32* page_table,
                              const i32* from, const float* frequency, const float* presence, i32 R, i32 M) {
  // waves do not wait for each other
  for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES)
    frequency_penalty_item(item, y, logits, history, positions, page_table, from, frequency, presence, M);
}
