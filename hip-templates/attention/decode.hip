// attention for few queries: y[t,h,:] = Σ_l softmax_l(scale · q[t,h,:]·k[l,:]) · v[l,:] over the positions l that t sees
//   layout    y: y_t[T, H, C], q: q_t[T, H, C] row-major; caches: kv_t[P, Hkv, PAGE, C]; positions, seq: i32[T];
//             page_table: i32[R, M]; partial: f32[T, H, SPLITS, C], weights: f32[T, H, SPLITS, 2] (maximum, sum)
//   launch    attention_decode: grid = T · Hkv · HEAD_TILES · SPLITS; a block serves HEADS query heads of one kv head over
//             one split of the positions. attention_combine (SPLITS > 1): grid = T · H, adds the splits up
//   capture   grids depend on T alone: lengths come from positions, and splits without work leave at once
//   aliasing  none
//   numerics  softmax online over TILE positions at a time, all in f32; one rounding to y's type
//   limits    any C, any H multiple of Hkv, any window; any WAVE, any BLOCK
#ifndef P_GROUP
#define P_GROUP 4  // query heads of a kv head: H / Hkv
#endif
#ifndef P_HEADS
#define P_HEADS 4  // query heads of a block
#endif
#ifndef P_SCALE
#define P_SCALE 0.125f  // factor of the scores
#endif
#ifndef P_Q
#define P_Q f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_TILE
#define P_TILE 128  // positions whose scores are in LDS at a time; a multiple of VEC
#endif
#ifndef P_ROWS
#define P_ROWS 4  // rows of K or V that a slot has in flight
#endif
#include "attention/rows.h"
#include "attention/window.h"
#include "cache/pages.h"

typedef P_Q q_t;
typedef P_Y y_t;
constexpr int GROUP = P_GROUP, HEADS = P_HEADS, TILE = P_TILE, ROWS = P_ROWS;
constexpr int QUERY_HEADS = GROUP * KV_HEADS, HEAD_TILES = ceil_div(GROUP, HEADS);
constexpr float SCALE = float(P_SCALE);
/** Scores that a lane turns into weights at a time. */
constexpr int SCORES = WAVE == 1 ? VEC : 1;
constexpr int HEAD_SUMS = power_from(HEADS);                           // scores of a row, rounded up to a power of two
constexpr int SUMS_HELD = max_int(1, ROWS * HEAD_SUMS / LANES);        // of ROWS rows, that a lane ends with
constexpr int WAVE_SUMS = WAVES > 1 ? WAVES * C : 1;  // LDS to add up what waves have
static_assert(TILE % VEC == 0, "P_TILE must be a multiple of VEC");
static_assert(power_from(ROWS) == ROWS, "P_ROWS must be a power of two");

struct attention_call {
  y_t* y;
  float *partial, *weights;
  const q_t* q;
  const kv_t *k_cache, *v_cache;
  const i32 *positions, *seq, *page_table;
  i32 M;
};

/** Scores of the block's heads at TILE positions, then their weights; and the softmax so far. */
struct score_tile {
  float* scores;  // [HEADS][TILE]
  float *maximum, *sum, *rescale;
};

/** scores[g, l - first] = scale · q_g · k_l for first ≤ l < first + count. */
DEVICE void score(const score_tile& s, const row_part* q, const kv_t* k_cache, const i32* pages, int head, int first,
                  int count) {
  KEEP_LOOP for (int base = 0; base < count; base += SLOTS * ROWS) {  // as often for every thread: lanes meet in dot
    row_part k[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) {
      const int l = first + min_int(base + i * SLOTS + row_slot(), count - 1);
      k[i] = load_row(k_cache + cache_row(page_of(pages, l), head, l));
    }
    // sum of row i and head g: number i · HEAD_SUMS + g
    float sums[ROWS * HEAD_SUMS];
    UNROLL for (int i = 0; i < ROWS; i++)
      UNROLL for (int g = 0; g < HEAD_SUMS; g++) sums[i * HEAD_SUMS + g] = g < HEADS ? dot_part(q[min_int(g, HEADS - 1)], k[i]) : 0.f;
    reduce_rows(sums);
    UNROLL for (int i = 0; i < SUMS_HELD; i++) {
      const int sum = held_sum<ROWS * HEAD_SUMS>(row_lane(), i), g = sum % HEAD_SUMS;
      const int l = base + sum / HEAD_SUMS * SLOTS + row_slot();
      if (g < HEADS && l < count && row_lane() < ROWS * HEAD_SUMS) s.scores[g * TILE + l] = sums[i];
    }
  }
}

/** Scores become weights e^(score − maximum); the wave that has a head keeps its softmax up to date. */
DEVICE void weigh(const score_tile& s, int count) {
  for (int g = wave_id(); g < HEADS; g += WAVES) {
    float* const row = s.scores + g * TILE;
    if constexpr (SCORES > 1)
      for (int l = count; l % SCORES != 0; l++) row[l] = -INF;
    vec<float, SCORES> most = splat<SCORES>(-INF);
    for (int l = lane_id() * SCORES; l < count; l += WAVE * SCORES) most = max(load<SCORES>(row + l), most);
    const float before = s.maximum[g], now = max_f32(before, wave_reduce(hmax(most), Max{}));
    const float origin = now == -INF ? 0.f : now;  // all −∞: every weight is 0, not NaN
    vec<float, SCORES> total = splat<SCORES>(0.f);
    for (int l = lane_id() * SCORES; l < count; l += WAVE * SCORES) {
      const vec<float, SCORES> weight = fast_exp(load<SCORES>(row + l) - origin);
      store<SCORES>(row + l, weight);
      total += weight;
    }
    const float added = wave_reduce(hsum(total), Add{});
    if (lane_id() == 0) {
      const float factor = fast_exp(before - origin);
      s.maximum[g] = now;
      s.sum[g] = s.sum[g] * factor + added;
      s.rescale[g] = factor;
    }
  }
}

/** out[g] = out[g] · rescale + Σ_l weight[g][l] · v_l over this slot's positions. */
DEVICE void add_values(const score_tile& s, row_part* out, const kv_t* v_cache, const i32* pages, int head, int first,
                       int count) {
  UNROLL for (int g = 0; g < HEADS; g++) scale_row(out[g], s.rescale[g]);
  KEEP_LOOP for (int base = row_slot(); base < count; base += SLOTS * ROWS) {
    row_part v[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) {
      const int l = base + i * SLOTS;
      v[i] = l < count ? load_row(v_cache + cache_row(page_of(pages, first + l), head, first + l)) : zero_row();
    }
    UNROLL for (int i = 0; i < ROWS; i++) {
      const int l = base + i * SLOTS;
      UNROLL for (int g = 0; g < HEADS; g++) add_scaled(out[g], v[i], l < count ? s.scores[g * TILE + l] : 0.f);
    }
  }
}

/** Adds the slots of the block up and writes y, or this split's part of it. */
DEVICE void finish(const attention_call& call, const score_tile& s, row_part* out, float* sums, int t, int head, int heads,
                   int split) {
  const size_t first = size_t(t) * QUERY_HEADS + head;
  UNROLL for (int g = 0; g < HEADS; g++) {
    sum_slots(out[g]);
    if (WAVES > 1 && thread_id() % WAVE < LANES) store_row(sums + (wave_id() * HEADS + g) * C, out[g]);
    if (WAVES == 1 && row_slot() == 0) store_row(sums + g * C, out[g]);
  }
  block_sync();
  for (int i = thread_id(); i < heads * CHUNKS; i += BLOCK) {
    const int g = i / CHUNKS, c = i % CHUNKS * CHUNK;
    chunk_t total = load<CHUNK>(sums + g * C + c);
    for (int w = 1; w < WAVES; w++) total += load<CHUNK>(sums + (w * HEADS + g) * C + c);
    if constexpr (SPLITS == 1) store<CHUNK>(call.y + (first + g) * C + c, total / s.sum[g]);
    else store<CHUNK>(call.partial + ((first + g) * SPLITS + split) * C + c, total);
  }
  if constexpr (SPLITS > 1) {
    for (int g = thread_id(); g < heads; g += BLOCK) {
      call.weights[((first + g) * SPLITS + split) * 2] = s.maximum[g];
      call.weights[((first + g) * SPLITS + split) * 2 + 1] = s.sum[g];
    }
  }
}

DEVICE void attention_decode_tile(int tile, const attention_call& call) {
  LDS(float, score_rows, HEADS * TILE);
  LDS(float, sum_rows, WAVES * HEADS * C);
  LDS(float, state, 3 * HEADS);
  const score_tile s = {score_rows, state, state + HEADS, state + 2 * HEADS};

  const int split = tile % SPLITS, part = tile / SPLITS % HEAD_TILES, kv = tile / (SPLITS * HEAD_TILES) % KV_HEADS;
  const int t = tile / (SPLITS * HEAD_TILES * KV_HEADS);
  const int position = call.positions[t], seen = first_seen(position), length = split_length(position + 1 - seen);
  const int from = seen + split * length, to = min_int(from + length, position + 1);
  if (SPLITS > 1 && from >= to) return;  // attention_combine knows which splits have work

  const i32* const pages = call.page_table + size_t(call.seq[t]) * call.M;
  const int head = kv * GROUP + part * HEADS, heads = min_int(HEADS, GROUP - part * HEADS);
  row_part q[HEADS], out[HEADS];
  UNROLL for (int g = 0; g < HEADS; g++) {
    q[g] = load_row(call.q + (size_t(t) * QUERY_HEADS + head + min_int(g, heads - 1)) * C);
    scale_row(q[g], SCALE);
    out[g] = zero_row();
  }
  block_sync();  // the tile before may still be read
  for (int g = thread_id(); g < HEADS; g += BLOCK) s.maximum[g] = -INF, s.sum[g] = 0.f;
  KEEP_LOOP for (int first = from; first < to; first += TILE) {
    const int count = min_int(TILE, to - first);
    score(s, q, call.k_cache, pages, kv, first, count);
    block_sync();
    weigh(s, count);
    block_sync();
    add_values(s, out, call.v_cache, pages, kv, first, count);
    block_sync();
  }
  finish(call, s, out, sum_rows, t, head, heads, split);
}

#if P_SPLITS == 1
KERNEL void attention_decode(y_t* y, const q_t* q, const kv_t* k_cache, const kv_t* v_cache, const i32* positions, const i32* seq,
                      const i32* page_table, i32 T, i32 M) {
  const attention_call call = {y, nullptr, nullptr, q, k_cache, v_cache, positions, seq, page_table, M};
  const int tiles = T * KV_HEADS * HEAD_TILES;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_decode_tile(tile, call);
}
#else
KERNEL void attention_split(float* partial, float* weights, const q_t* q, const kv_t* k_cache, const kv_t* v_cache,
                     const i32* positions, const i32* seq, const i32* page_table, i32 T, i32 M) {
  const attention_call call = {nullptr, partial, weights, q, k_cache, v_cache, positions, seq, page_table, M};
  const int tiles = T * KV_HEADS * HEAD_TILES * SPLITS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_decode_tile(tile, call);
}

/** y[t,h,:] = Σ_s e^(m_s − m) · partial_s / Σ_s e^(m_s − m) · sum_s over the splits that have work. */
DEVICE void attention_combine_tile(int row, y_t* y, const float* partial, const float* weights, const i32* positions) {
  const int position = positions[row / QUERY_HEADS], count = position + 1 - first_seen(position);
  const int splits = ceil_div(count, split_length(count));
  const float* const of = weights + size_t(row) * SPLITS * 2;
  float most = -INF, sum = 0.f;
  for (int s = 0; s < splits; s++) most = max_f32(most, of[2 * s]);
  const float origin = most == -INF ? 0.f : most;
  row_part out = zero_row();
  for (int s = row_slot(); s < splits; s += SLOTS) {
    const float factor = fast_exp(of[2 * s] - origin);
    sum = fma_f32(of[2 * s + 1], factor, sum);
    add_scaled(out, load_row(partial + (size_t(row) * SPLITS + s) * C), factor);
  }
  LDS(float, sum_rows, WAVE_SUMS);
  LDS(float, sums, WAVES);
  UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) sum += wave_shfl_xor(sum, mask);
  sum_slots(out);
  if constexpr (WAVES > 1) {
    block_sync();  // the row before may still be read
    if (thread_id() % WAVE < LANES) store_row(sum_rows + wave_id() * C, out);
    if (lane_id() == 0) sums[wave_id()] = sum;
    block_sync();
    if (row_slot() != 0) return;
    out = load_row(sum_rows);
    sum = sums[0];
    for (int w = 1; w < WAVES; w++) add_scaled(out, load_row(sum_rows + w * C), 1.f), sum += sums[w];
  }
  if (row_slot() != 0) return;
  scale_row(out, 1.f / sum);
  store_row(y + size_t(row) * C, out);
}

KERNEL void attention_combine(y_t* y, const float* partial, const float* weights, const i32* positions, i32 T) {
  for (int row = block_id(); row < T * QUERY_HEADS; row += grid_size())
    attention_combine_tile(row, y, partial, weights, positions);
}
#endif
