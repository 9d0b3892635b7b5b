// flash attention for many queries: y[t,h,:] = Σ_l softmax_l(scale · q[t,h,:]·k[l,:]) · v[l,:] over the positions l that t sees
//   layout    y: y_t[T, H, C], q: q_t[T, H, C] row-major; caches: kv_t[P, Hkv, PAGE, C]; positions, seq: i32[T];
//             page_table: i32[R, M]
//   launch    grid = ⌈T / QUERIES⌉ · Hkv · HEAD_TILES, block = BLOCK; a block makes QUERIES tokens × HEADS query heads of one
//             kv head, and walks its keys and values TILE positions at a time through LDS
//   requests  tokens of one request must follow each other; a block takes the requests among its tokens in turn
//   aliasing  none
//   numerics  softmax online over TILE positions at a time, all in f32; one rounding to y's type
//   limits    any T, C, any H multiple of Hkv, any window; any WAVE, any BLOCK
#ifndef P_GROUP
#define P_GROUP 4  // query heads of a kv head: H / Hkv
#endif
#ifndef P_HEADS
#define P_HEADS 4  // query heads of a block
#endif
#ifndef P_QUERIES
#define P_QUERIES 8  // tokens of a block
#endif
#ifndef P_TILE
#define P_TILE 16  // positions in LDS at a time; a power of two, at least VEC where a wave is one lane
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
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_HEAD_DIM
#endif
#include "attention/window.h"
#include "cache/pages.h"

typedef P_Q q_t;
typedef P_Y y_t;
constexpr int C = CHANNELS, GROUP = P_GROUP, HEADS = P_HEADS, QUERIES = P_QUERIES, TILE = P_TILE;
constexpr int QUERY_HEADS = GROUP * KV_HEADS, HEAD_TILES = ceil_div(GROUP, HEADS);
constexpr float SCALE = float(P_SCALE);

/** Elements of a row that a thread moves at a time. */
constexpr int CHUNK = min_int(VEC, P_ALIGN), CHUNKS = C / CHUNK;
static_assert(C % CHUNK == 0, "P_ALIGN must divide the channels of a head");

// A row is one head of one token. A thread makes patches of the two products: STEP rows × some positions or channels.
constexpr bool WIDE = WAVE == 1;  // one lane with SIMD registers
constexpr int STEP = 4;
constexpr int ROWS = ceil_div(QUERIES * HEADS, STEP) * STEP;
constexpr int SCORE_STEP = WIDE ? 4 : 2;                   // rows of a patch of scores
constexpr int SCORE_WIDTH = WIDE ? VEC : 1;                // positions of it
constexpr int VALUE_WIDTH = WIDE ? CHUNK : min_int(4, CHUNK);  // channels of a patch of values
constexpr int PITCH = TILE + (WIDE ? 0 : 1);               // of scores, odd so that rows lie in different LDS banks
/** Lanes that share the softmax of a row, and scores each takes at a time. */
constexpr int ROW_LANES = min_int(WAVE, TILE), ROW_WIDTH = WIDE ? VEC : 1;
static_assert(TILE % SCORE_WIDTH == 0 && TILE % ROW_LANES == 0, "P_TILE must be a power of two, at least VEC");

struct attention_call {
  y_t* y;
  const q_t* q;
  const kv_t *k_cache, *v_cache;
  const i32 *positions, *seq, *page_table;
  i32 T, M;
};

/** What a block keeps in LDS. */
struct attention_lds {
  float* q;        // [C][ROWS], scaled
  float* kv;       // keys [C][TILE], then values [TILE][C]
  float* scores;   // [ROWS][PITCH]
  float* out;      // [ROWS][C]
  float *maximum, *sum, *rescale;  // [ROWS]
  i32 *first, *last;               // [ROWS] positions that the row sees; none where first > last
};

DEVICE void load_queries(const attention_lds& s, const attention_call& call, int token, int head) {
  for (int i = thread_id(); i < ROWS * CHUNKS; i += BLOCK) {
    const int row = i % ROWS, c = i / ROWS * CHUNK, t = token + row / HEADS, h = row % HEADS;
    const bool there = row < QUERIES * HEADS && t < call.T && head + h < (head / GROUP + 1) * GROUP;
    const vec<float, CHUNK> v =
        there ? load<CHUNK>(call.q + (size_t(t) * QUERY_HEADS + head + h) * C + c) * SCALE : splat<CHUNK>(0.f);
    UNROLL for (int j = 0; j < CHUNK; j++) s.q[(c + j) * ROWS + row] = v[j];
    store<CHUNK>(s.out + row * C + c, splat<CHUNK>(0.f));
  }
  for (int row = thread_id(); row < ROWS; row += BLOCK) s.maximum[row] = -INF, s.sum[row] = 0.f;
}

/** What each row sees in the request of the tokens token … end-1. */
DEVICE void load_windows(const attention_lds& s, const attention_call& call, int start, int token, int end) {
  for (int row = thread_id(); row < ROWS; row += BLOCK) {
    const int t = start + row / HEADS;
    const bool there = row < QUERIES * HEADS && t >= token && t < end;
    const int position = there ? call.positions[t] : -1;
    s.first[row] = there ? first_seen(position) : 0;
    s.last[row] = position;
  }
}

DEVICE void load_keys(const attention_lds& s, const kv_t* k_cache, const i32* pages, int kv, int first, int count) {
  for (int i = thread_id(); i < TILE * CHUNKS; i += BLOCK) {
    const int l = i % TILE, c = i / TILE * CHUNK, position = first + l;
    const vec<float, CHUNK> v = l < count
                                    ? load_cached<CHUNK>(k_cache + cache_row(page_of(pages, position), kv, position), c)
                                    : splat<CHUNK>(0.f);
    UNROLL for (int j = 0; j < CHUNK; j++) s.kv[(c + j) * TILE + l] = v[j];
  }
}
DEVICE void load_values(const attention_lds& s, const kv_t* v_cache, const i32* pages, int kv, int first, int count) {
  for (int i = thread_id(); i < TILE * CHUNKS; i += BLOCK) {
    const int l = i / CHUNKS, c = i % CHUNKS * CHUNK, position = first + l;
    const vec<float, CHUNK> v = l < count
                                    ? load_cached<CHUNK>(v_cache + cache_row(page_of(pages, position), kv, position), c)
                                    : splat<CHUNK>(0.f);
    store<CHUNK>(s.kv + l * C + c, v);
  }
}

DEVICE void make_scores(const attention_lds& s) {
  for (int i = thread_id(); i < ROWS / SCORE_STEP * (TILE / SCORE_WIDTH); i += BLOCK) {
    const int l = i % (TILE / SCORE_WIDTH) * SCORE_WIDTH, row = i / (TILE / SCORE_WIDTH) * SCORE_STEP;
    vec<float, SCORE_WIDTH> sums[SCORE_STEP];
    UNROLL for (int r = 0; r < SCORE_STEP; r++) sums[r] = splat<SCORE_WIDTH>(0.f);
    for (int c = 0; c < C; c++) {
      const vec<float, SCORE_WIDTH> k = load<SCORE_WIDTH>(s.kv + c * TILE + l);
      UNROLL for (int r = 0; r < SCORE_STEP; r++) sums[r] = fma(k, s.q[c * ROWS + row + r], sums[r]);
    }
    UNROLL for (int r = 0; r < SCORE_STEP; r++) store<SCORE_WIDTH>(s.scores + (row + r) * PITCH + l, sums[r]);
  }
}

/** Scores of row `row` from position l of the tile on; −∞ where the row does not see. */
DEVICE vec<float, ROW_WIDTH> seen_scores(const attention_lds& s, int row, int l, int first) {
  vec<float, ROW_WIDTH> v = load<ROW_WIDTH>(s.scores + row * PITCH + l);
  const int from = s.first[row] - first - l, to = s.last[row] - first - l;
  if (from > 0 || to < ROW_WIDTH - 1)
    for (int i = 0; i < ROW_WIDTH; i++)
      if (i < from || i > to) v.set(i, -INF);
  return v;
}

/** Scores become weights e^(score − maximum), and the softmax of each row is kept up to date. */
DEVICE void make_weights(const attention_lds& s, int first) {
  constexpr int AT_ONCE = BLOCK / ROW_LANES;
  const int lane = ROW_LANES == 1 ? 0 : thread_id() % ROW_LANES;
  for (int base = 0; base < ROWS; base += AT_ONCE) {  // as often for every thread: all lanes take part in group_reduce
    const int mine = base + thread_id() / ROW_LANES, row = min_int(mine, ROWS - 1);
    vec<float, ROW_WIDTH> most = splat<ROW_WIDTH>(-INF), total = splat<ROW_WIDTH>(0.f);
    for (int l = lane * ROW_WIDTH; l < TILE; l += ROW_LANES * ROW_WIDTH) most = max(seen_scores(s, row, l, first), most);
    const float before = s.maximum[row], now = max_f32(before, group_reduce<ROW_LANES>(hmax(most), Max{}));
    const float origin = now == -INF ? 0.f : now;  // nothing seen yet: every weight is 0, not NaN
    for (int l = lane * ROW_WIDTH; l < TILE; l += ROW_LANES * ROW_WIDTH) {
      const vec<float, ROW_WIDTH> weight = fast_exp(seen_scores(s, row, l, first) - origin);
      total += weight;
      if (mine < ROWS) store<ROW_WIDTH>(s.scores + row * PITCH + l, weight);
    }
    const float added = group_reduce<ROW_LANES>(hsum(total), Add{});
    if (lane == 0 && mine < ROWS) {
      const float factor = fast_exp(before - origin);
      s.maximum[row] = now;
      s.sum[row] = s.sum[row] * factor + added;
      s.rescale[row] = factor;
    }
  }
}

/** Of what a row does not see nothing is added: there the value may be anything, even NaN. */
DEVICE void add_values(const attention_lds& s, int first, int count) {
  constexpr int ACROSS = C / VALUE_WIDTH;
  for (int i = thread_id(); i < ROWS / STEP * ACROSS; i += BLOCK) {
    const int c = i % ACROSS * VALUE_WIDTH, row = i / ACROSS * STEP;
    bool all = true, any = false;  // do all rows see the whole tile, does one see some of it
    UNROLL for (int r = 0; r < STEP; r++) {
      const int from = s.first[row + r] - first, to = s.last[row + r] - first;
      all = all && from <= 0 && to >= count - 1;
      any = any || (from < count && to >= 0);
    }
    if (!any) continue;  // every weight is 0, and no sum changes its scale
    vec<float, VALUE_WIDTH> sums[STEP];
    UNROLL for (int r = 0; r < STEP; r++) sums[r] = load<VALUE_WIDTH>(s.out + (row + r) * C + c) * s.rescale[row + r];
    if (all) {
      for (int l = 0; l < count; l++) {
        const vec<float, VALUE_WIDTH> v = load<VALUE_WIDTH>(s.kv + l * C + c);
        UNROLL for (int r = 0; r < STEP; r++) sums[r] = fma(v, s.scores[(row + r) * PITCH + l], sums[r]);
      }
    } else {
      for (int l = 0; l < count; l++) {
        const vec<float, VALUE_WIDTH> v = load<VALUE_WIDTH>(s.kv + l * C + c);
        UNROLL for (int r = 0; r < STEP; r++) {
          const float weight = s.scores[(row + r) * PITCH + l];
          if (weight != 0.f) sums[r] = fma(v, weight, sums[r]);
        }
      }
    }
    UNROLL for (int r = 0; r < STEP; r++) store<VALUE_WIDTH>(s.out + (row + r) * C + c, sums[r]);
  }
}

DEVICE void store_results(const attention_lds& s, const attention_call& call, int token, int head) {
  for (int i = thread_id(); i < QUERIES * HEADS * CHUNKS; i += BLOCK) {
    const int row = i / CHUNKS, c = i % CHUNKS * CHUNK, t = token + row / HEADS, h = row % HEADS;
    if (t >= call.T || head + h >= (head / GROUP + 1) * GROUP) continue;
    store<CHUNK>(call.y + (size_t(t) * QUERY_HEADS + head + h) * C + c, load<CHUNK>(s.out + row * C + c) / s.sum[row]);
  }
}

DEVICE void attention_prefill_tile(int tile, const attention_call& call) {
  LDS(float, q_rows, C * ROWS);
  LDS(float, kv_rows, C * TILE);
  LDS(float, score_rows, ROWS * PITCH);
  LDS(float, out_rows, ROWS * C);
  LDS(float, state, 3 * ROWS);
  LDS(i32, windows, 2 * ROWS);
  const attention_lds s = {q_rows,       kv_rows,        score_rows, out_rows,      state,
                           state + ROWS, state + 2 * ROWS, windows,    windows + ROWS};

  const int part = tile % HEAD_TILES, kv = tile / HEAD_TILES % KV_HEADS, head = kv * GROUP + part * HEADS;
  const int start = tile / (HEAD_TILES * KV_HEADS) * QUERIES, stop = min_int(start + QUERIES, call.T);
  block_sync();  // the tile before may still be read
  load_queries(s, call, start, head);
  for (int token = start, end; token < stop; token = end) {
    const int request = call.seq[token];
    int least = 0x7fffffff, most = -1;
    for (end = token; end < stop && call.seq[end] == request; end++) {
      least = min_int(least, first_seen(call.positions[end]));
      most = max_int(most, call.positions[end]);
    }
    const i32* const pages = call.page_table + size_t(request) * call.M;
    load_windows(s, call, start, token, end);
    for (int first = least; first <= most; first += TILE) {
      const int count = min_int(TILE, most + 1 - first);
      load_keys(s, call.k_cache, pages, kv, first, count);
      block_sync();
      make_scores(s);
      block_sync();
      load_values(s, call.v_cache, pages, kv, first, count);
      make_weights(s, first);
      block_sync();
      add_values(s, first, count);
      block_sync();
    }
    block_sync();  // windows are written again
  }
  store_results(s, call, start, head);
}

KERNEL void attention_prefill(y_t* y, const q_t* q, const kv_t* k_cache, const kv_t* v_cache, const i32* positions,
                       const i32* seq, const i32* page_table, i32 T, i32 M) {
  const attention_call call = {y, q, k_cache, v_cache, positions, seq, page_table, T, M};
  const int tiles = ceil_div(T, QUERIES) * KV_HEADS * HEAD_TILES;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_prefill_tile(tile, call);
}
