// repeat_penalty: y = logits, but for tokens among the last window[r] of the request: divided by penalty[r] where positive,
// else multiplied
//   layout    y: y_t[R, V], logits: x_t[R, V] row-major; history: i32[P, 1, PAGE, 1] token ids by position; positions: i32[R];
//             page_table: i32[R, M]; penalty: f32[R]; window: i32[R], negative: all
//   launch    grid = ⌈R · GROUPS / WAVES⌉, block = BLOCK; a wave takes a group of a request's logits
//   aliasing  y may be logits
//   numerics  one rounding to y's type; a token that occurs twice is changed once
//   limits    any sizes; a token outside V is passed over; any WAVE, any BLOCK
#include "sample/changes.h"
#ifndef P_Y
#define P_Y f32_t
#endif

typedef P_Y y_t;

DEVICE void repeat_penalty_item(int item, y_t* y, const x_t* logits, const i32* history, const i32* positions,
                                const i32* page_table, const float* penalty, const i32* window, int M) {
  const int r = item / GROUPS, group = item % GROUPS;
  float v[PER_LANE];
  load_group(v, logits + size_t(r) * COLUMNS, group);
  penalise(v, group, {history, page_table + size_t(r) * M, M, positions[r]}, {penalty[r], window[r]}, {0, 0.f, 0.f});
  store_group(y + size_t(r) * COLUMNS, v, group);
}

KERNEL void repeat_penalty(y_t* y, const x_t* logits, const i32* history, const i32* positions, const i32* page_table,
                           const float* penalty, const i32* window, i32 R, i32 M) {
  // waves do not wait for each other
  for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES)
    repeat_penalty_item(item, y, logits, history, positions, page_table, penalty, window, M);
}
