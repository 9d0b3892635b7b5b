// logit_bias: y = logits, values[r,i] added to the logit of token ids[r,i]; a list ends at its first negative id
//   layout    y: y_t[R, V], logits: x_t[R, V], row-major; ids: i32[R, BIASES], values: f32[R, BIASES]
//   launch    grid = ⌈R · GROUPS / WAVES⌉, block = BLOCK; a wave takes a group of a request's logits
//   aliasing  y may be logits
//   numerics  added in f32 in the order of the list, one rounding to y's type
//   limits    any sizes; a token outside V is passed over; any WAVE, any BLOCK
#include "sample/changes.h"
#ifndef P_Y
#define P_Y f32_t
#endif

typedef P_Y y_t;

DEVICE void logit_bias_item(int item, y_t* y, const x_t* logits, const i32* ids, const float* values) {
  const int r = item / GROUPS, group = item % GROUPS;
  float v[PER_LANE];
  load_group(v, logits + size_t(r) * COLUMNS, group);
  add_biases(v, group, {ids + size_t(r) * BIASES, values + size_t(r) * BIASES});
  store_group(y + size_t(r) * COLUMNS, v, group);
}

KERNEL void logit_bias(y_t* y, const x_t* logits, const i32* ids, const float* values, i32 R) {
  // waves do not wait for each other
  for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES)
    logit_bias_item(item, y, logits, ids, values);
}
