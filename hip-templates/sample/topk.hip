// topk: the K largest of each row in falling order, and their columns; of equals the lower column first, NaN last
//   method    the K-th largest logit is searched by value (reach.h), among its equals the last column that is taken by
//             column; what is kept is collected in any order and sorted in LDS
//   layout    values: f32[R, K], indices: i32[R, K], x: x_t[R, V], row-major
//   launch    grid = R, block = BLOCK; one block per row
//   aliasing  none
//   numerics  exact; NaN ranks as −∞ and is given back as it is
//   limits    K ≤ 1024, K ≤ V < 2^24; any WAVE, any BLOCK
#ifndef P_K
#define P_K 40  // entries of a row of the result
#endif
#include "sample/reach.h"
#include "prelude/atomic.h"

constexpr int K = P_K;
constexpr int power_from(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}
constexpr int SORTED = power_from(K);

DEVICE float rank_of(float v) { return v >= -INF ? v : -INF; }

/** Columns before `end` whose logit ranks as `value`. */
DEVICE float equals_before(const x_t* row, float value, int end) {
  float count = 0.f;
  for (int i = thread_id(); i < end; i += BLOCK) count += rank_of(float(row[i])) == value ? 1.f : 0.f;
  return block_reduce(count, Add{});
}

/** a before b: larger first, of equals the lower column. */
DEVICE bool ranks_before(Indexed a, Indexed b) { return a.value > b.value || (a.value == b.value && a.index < b.index); }

/** Bitonic sort of SORTED entries by the threads of the block. */
DEVICE void sort_entries(Indexed* entries) {
  for (int width = 2; width <= SORTED; width *= 2)
    for (int stride = width / 2; stride > 0; stride /= 2) {
      block_sync();
      for (int i = thread_id(); i < SORTED / 2; i += BLOCK) {
        const int low = i / stride * 2 * stride + i % stride, high = low + stride;
        const bool falling = (low & width) == 0;
        const Indexed a = entries[low], b = entries[high];
        if (ranks_before(b, a) == falling) entries[low] = b, entries[high] = a;
      }
    }
  block_sync();
}

DEVICE void topk_tile(int r, float* values, i32* indices, const x_t* x) {
  LDS(Indexed, entries, SORTED);
  LDS(u32, taken, 1);
  const x_t* const row = x + size_t(r) * COLUMNS;
  const float most = largest(Row<x_t>{row}).value;
  // all −∞: any value between would do as well
  float least = K == COLUMNS || most == -INF ? -INF : reach(Row<x_t>{row}, float(K), key_of(-INF), key_of(most) + 1, Counted{});

  // `least` may lie below the K-th logit: take that itself
  float kept = 0.f, smallest = INF;
  for (int i = thread_id(); i < COLUMNS; i += BLOCK) {
    const float v = rank_of(float(row[i]));
    if (v >= least) kept += 1.f, smallest = min_f32(v, smallest);
  }
  kept = block_reduce(kept, Add{});
  least = block_reduce(smallest, Min{});

  // of the logits that equal it, those before column `end`
  int end = COLUMNS;
  if (kept > K) {
    const float equal = equals_before(row, least, COLUMNS), wanted = equal - (kept - K);
    int low = 0;  // fewer than wanted before low, enough before end
    while (end - low > 1) {
      const int middle = low + (end - low) / 2;
      if (equals_before(row, least, middle) >= wanted) end = middle;
      else low = middle;
    }
  }

  block_sync();  // the row before may still be read
  if (thread_id() == 0) taken[0] = 0;
  for (int i = thread_id(); i < SORTED; i += BLOCK) entries[i] = {-INF, 0x7fffffff};
  block_sync();
  for (int i = thread_id(); i < COLUMNS; i += BLOCK) {
    const float v = rank_of(float(row[i]));
    if (v > least || (v == least && i < end)) {
      const u32 at = atomic_add(&taken[0], 1u);
      if (at < u32(K)) entries[at] = {v, i};
    }
  }
  sort_entries(entries);
  for (int i = thread_id(); i < K; i += BLOCK) {
    const int column = entries[i].index;
    indices[size_t(r) * K + i] = column;
    values[size_t(r) * K + i] = float(row[column]);
  }
}

KERNEL void topk(float* values, i32* indices, const x_t* x, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) topk_tile(r, values, indices, x);
}
