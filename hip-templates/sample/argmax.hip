// argmax: i[r] = the first column where x[r,:] is largest; NaN counts as −∞; −2^31 where that leaves −∞ alone
//   layout    y: i32[R]; x: x_t[R, V] row-major; bests: Indexed[R, GROUPS]
//   launch    argmax_groups: grid = ⌈R · GROUPS / WAVES⌉, a wave finds the best of a group of a row's logits;
//             argmax_rows: grid = R, a block the best of a row's groups; block = BLOCK
//   aliasing  none
//   numerics  exact
//   limits    V < 2^24; any WAVE, any BLOCK
#include "sample/best.h"

KERNEL void argmax_groups(Indexed* bests, const x_t* x, i32 R) {
  // waves do not wait for each other
  for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES) {
    const int r = item / GROUPS, group = item % GROUPS;
    float v[PER_LANE];
    load_group(v, x + size_t(r) * COLUMNS, group);
    const Indexed best = best_of_group(v, group);
    if (lane_id() == 0) bests[size_t(r) * GROUPS + group] = best;
  }
}

KERNEL void argmax_rows(i32* y, const Indexed* bests, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) {
    const Indexed best = best_of_row(bests + size_t(r) * GROUPS);
    if (thread_id() == 0) y[r] = best.index;
  }
}
