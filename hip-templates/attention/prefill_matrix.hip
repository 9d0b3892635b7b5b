// flash attention for many queries on matrix units: y[t,h,:] = Σ_l softmax_l(scale · q[t,h,:]·k[l,:]) · v[l,:] over the positions
// l that t sees
//   layout    y: y_t[T, H, C], q: q_t[T, H, C] row-major; caches: kv_t[P, Hkv, PAGE, C], f16 or bf16; positions, seq: i32[T];
//             page_table: i32[R, M]
//   launch    grid = ⌈T / QUERIES⌉ · Hkv · HEAD_TILES, block = BLOCK; dynamic LDS for LDS_BYTES. A block makes QUERIES tokens × HEADS
//             query heads of one kv head, each of its waves WAVE_ROWS of these rows, over TILE positions at a time
//   work      S = K · Qᵀ with positions on M and query rows on N, so that a row's scores lie in a few lanes of one wave: online
//             softmax without a block barrier; P goes through the wave's own LDS into fragments of O += Vᵀ · Pᵀ. V is
//             transposed in registers on its way to LDS. Tiles behind the last position that the block sees are skipped
//   requests  tokens of one request must follow each other; a block takes the requests among its tokens in turn
//   aliasing  none
//   numerics  q and the weights are rounded to kv_t (a bf16 q beyond f16's range to its largest number), sums and softmax are in
//             f32; one rounding to y's type. An infinite or NaN value at a position that some row of the block sees may reach
//             the others as NaN
//   limits    any T, C, any H multiple of Hkv, any window; WAVE as the matrix unit has it
#ifndef P_GROUP
#define P_GROUP 4  // query heads of a kv head: H / Hkv
#endif
#ifndef P_HEADS
#define P_HEADS 4  // query heads of a block
#endif
#ifndef P_QUERIES
#define P_QUERIES 16  // tokens of a block
#endif
#ifndef P_WAVE_ROWS
#define P_WAVE_ROWS 16  // query rows of a wave
#endif
#ifndef P_TILE
#define P_TILE 64  // positions in LDS at a time: 32 or 64
#endif
#ifndef P_SCALE
#define P_SCALE 0.125f  // factor of the scores
#endif
#ifndef P_Q
#define P_Q f16_t  // element types: f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f16_t
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_HEAD_DIM
#endif
#include "attention/window.h"
#include "cache/pages.h"
#include "prelude/matrix/unit.h"
#include "prelude/matrix/swizzle.h"

typedef P_Q q_t;
typedef P_Y y_t;
typedef matrix_unit<kv_t> unit;
constexpr int C = CHANNELS, GROUP = P_GROUP, HEADS = P_HEADS, QUERIES = P_QUERIES, WAVE_ROWS = P_WAVE_ROWS;
constexpr int QUERY_HEADS = GROUP * KV_HEADS, HEAD_TILES = ceil_div(GROUP, HEADS), ROWS = WAVES * WAVE_ROWS;
constexpr float SCALE = float(P_SCALE);
static_assert(QUERIES * HEADS <= ROWS && WAVE_ROWS % unit::COLUMNS == 0, "the waves have a row for each query");
static_assert(C % 8 == 0, "a head is whole chunks of 16 bytes");

constexpr int TILE = P_TILE, ROW = 64;  // elements of a row of LDS: 128 bytes
constexpr int C_PARTS = ceil_div(C, ROW), C_ROWS = ceil_div(C, 16) * 16;  // LDS rows of a key, rows of transposed values
constexpr int K_ROWS = TILE * C_PARTS;
constexpr int LDS_BYTES = (K_ROWS + C_ROWS + ROWS) * ROW * 2;
constexpr int POSITION_FRAGMENTS = TILE / unit::ROWS, ROW_FRAGMENTS = WAVE_ROWS / unit::COLUMNS, CHANNEL_FRAGMENTS = C_ROWS / 16;
constexpr int RUN = unit::RUN, RUNS = unit::RUNS, STEPS = ceil_div(C, unit::STEP), STEP_CHUNKS = unit::STEP / 8;
constexpr bool WHOLE = C % ROW == 0;  // no chunk of a key lies beyond its end
static_assert(TILE % unit::STEP == 0 && TILE <= ROW && unit::ROWS == 16, "rows of LDS are whole steps");

struct attention_call {
  y_t* y;
  const q_t* q;
  const kv_t *k_cache, *v_cache;
  const i32 *positions, *seq, *page_table;
  i32 T, M;
};

/** An element of q as it is multiplied. */
DEVICE kv_t query_element(float v) {
  if constexpr (same_type<kv_t, f16_t>::value && !same_type<q_t, f16_t>::value)
    v = v > 65504.f ? 65504.f : v < -65504.f ? -65504.f : v;  // NaN stays
  return kv_t(v);
}
DEVICE words<4> query_chunk(const q_t* from) {
  if constexpr (same_type<q_t, kv_t>::value) {
    return load_words<4, 16, false>(from);
  } else {
    const vec<float, 8> v = load<8>(from);
    words<4> out;
    UNROLL for (int i = 0; i < 4; i++)
      out.w[i] = query_element(v[2 * i]).bits | u32(query_element(v[2 * i + 1]).bits) << 16;
    return out;
  }
}

/** Keys of TILE positions from `first`, as far as `last`, which stands for those beyond: rows of LDS of 64 channels each. */
DEVICE void load_keys(kv_t* lds, const kv_t* cache, const i32* pages, int kv, int first, int last) {
  constexpr int CHUNKS = C_PARTS * 8;
  UNROLL for (int n = 0; n < ceil_div(TILE * CHUNKS, BLOCK); n++) {
    const int i = n * BLOCK + thread_id(), l = i / CHUNKS, chunk = i % CHUNKS;
    if (TILE * CHUNKS % BLOCK != 0 && l >= TILE) break;
    const int position = min_int(first + l, last);
    words<4> v{};
    if (WHOLE || chunk * 8 < C)
      v = load_words<4, 16, false>(cache + cache_row(page_of(pages, position), kv, position) + chunk * 8);
    store_words(lds + swizzled(chunk / 8 * TILE + l, chunk % 8), v);
  }
}

/** Values of the same positions, transposed: rows of channels. A thread has 8 positions of 8 channels at a time. */
DEVICE void load_values(kv_t* lds, const kv_t* cache, const i32* pages, int kv, int first, int last) {
  constexpr int CHUNKS = C_ROWS / 8, BLOCKS = TILE / 8 * CHUNKS;
  KEEP_LOOP for (int n = 0; n < ceil_div(BLOCKS, BLOCK); n++) {
    const int i = n * BLOCK + thread_id(), chunk = i % CHUNKS, l = i / CHUNKS;
    if (BLOCKS % BLOCK != 0 && l >= TILE / 8) break;
    words<4> rows[8], columns[8];
    UNROLL for (int r = 0; r < 8; r++) {
      const int position = min_int(first + l * 8 + r, last);
      rows[r] = words<4>{};
      if (C % 16 == 0 || chunk * 8 < C)
        rows[r] = load_words<4, 16, false>(cache + cache_row(page_of(pages, position), kv, position) + chunk * 8);
    }
    UNROLL for (int c = 0; c < 8; c += 2) {
      UNROLL for (int p = 0; p < 4; p++) {
        const u32 a = rows[2 * p].w[c / 2], b = rows[2 * p + 1].w[c / 2];
        columns[c].w[p] = (a & 0xffff) | b << 16;
        columns[c + 1].w[p] = a >> 16 | (b & 0xffff0000u);
      }
    }
    UNROLL for (int c = 0; c < 8; c++) store_words(lds + swizzled(chunk * 8 + c, l), columns[c]);
  }
}

/** One wave's rows: which positions each column of its fragments sees, and what has come of them. */
struct wave_rows {
  float out[CHANNEL_FRAGMENTS][ROW_FRAGMENTS][RUNS * RUN];
  float maximum[ROW_FRAGMENTS][RUNS], sum[ROW_FRAGMENTS][RUNS];
  int first[ROW_FRAGMENTS][RUNS], last[ROW_FRAGMENTS][RUNS];
  typename unit::x_fragment q[ROW_FRAGMENTS][STEPS];

  DEVICE void clear() {
    UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++) {
      UNROLL for (int r = 0; r < RUNS; r++) maximum[j][r] = -INF, sum[j][r] = 0.f;
      UNROLL for (int i = 0; i < CHANNEL_FRAGMENTS; i++)
        UNROLL for (int e = 0; e < RUNS * RUN; e++) out[i][j][e] = 0.f;
    }
  }

  /** Row `row` of the block is this head of that token. */
  static DEVICE int token_of(int row) { return row / HEADS; }
  static DEVICE int head_of(int row) { return row % HEADS; }

  DEVICE void load_queries(const attention_call& call, int start, int head, int heads) {
    UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++) {
      const int row = wave_id() * WAVE_ROWS + j * unit::COLUMNS + unit::token_of(0);
      const int t = min_int(start + min_int(token_of(row), QUERIES - 1), call.T - 1), h = min_int(head_of(row), heads - 1);
      const q_t* const from = call.q + (size_t(t) * QUERY_HEADS + head + h) * C;
      UNROLL for (int s = 0; s < STEPS; s++)
        UNROLL for (int c = 0; c < unit::CHUNKS; c++) {
          const int at = (s * STEP_CHUNKS + unit::chunk() + c) * 8;
          q[j][s].set(0, c, C % unit::STEP == 0 || at < C ? query_chunk(from + at) : words<4>{});
        }
    }
  }

  /** What each row sees in the request of the tokens token … end-1. */
  DEVICE void load_windows(const attention_call& call, int start, int token, int end) {
    UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++)
      UNROLL for (int r = 0; r < RUNS; r++) {
        const int row = wave_id() * WAVE_ROWS + j * unit::COLUMNS + unit::token(r), t = start + token_of(row);
        const bool there = row < QUERIES * HEADS && t >= token && t < end;
        const int position = there ? call.positions[t] : -1;
        first[j][r] = there ? first_seen(position) : 0x7fffffff, last[j][r] = position;
      }
  }

  /** Adds the tile of positions from `from`, whose keys and values are in LDS; `p` is the wave's own part of LDS. */
  DEVICE void add_tile(const kv_t* keys, const kv_t* values, kv_t* p, int from) {
    float scores[POSITION_FRAGMENTS][ROW_FRAGMENTS][RUNS * RUN];
    UNROLL for (int i = 0; i < POSITION_FRAGMENTS; i++)
      UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++)
        UNROLL for (int e = 0; e < RUNS * RUN; e++) scores[i][j][e] = 0.f;
    UNROLL for (int s = 0; s < STEPS; s++) {
      const int chunk = s * STEP_CHUNKS;
      UNROLL for (int i = 0; i < POSITION_FRAGMENTS; i++) {
        typename unit::w_fragment k;
        load_fragment(k, keys + chunk / 8 * TILE * ROW, i * 16, chunk % 8);
        UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++) unit::multiply(scores[i][j], k, q[j][s]);
      }
    }
    UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++) {
      UNROLL for (int r = 0; r < RUNS; r++) {
        const int low = first[j][r] - from, high = last[j][r] - from;
        float most = -INF;
        UNROLL for (int i = 0; i < POSITION_FRAGMENTS; i++)
          UNROLL for (int e = 0; e < RUN; e++) {
            const int l = i * 16 + unit::first_row(r) + e;
            float& score = scores[i][j][r * RUN + e];
            score = l >= low && l <= high ? score * SCALE : -INF;
            most = max_f32(most, score);
          }
        const float now = max_f32(maximum[j][r], unit::over_rows(most, Max{})), origin = now == -INF ? 0.f : now;
        const float factor = fast_exp(maximum[j][r] - origin);
        float added = 0.f;
        UNROLL for (int i = 0; i < POSITION_FRAGMENTS; i++) {
          vec<float, RUN> weights;
          UNROLL for (int e = 0; e < RUN; e++) {
            weights.set(e, fast_exp(scores[i][j][r * RUN + e] - origin));
            added += weights[e];
          }
          const int l = i * 16 + unit::first_row(r);
          store<RUN>(p + swizzled(j * unit::COLUMNS + unit::token(r), l / 8) + l % 8, weights);
        }
        maximum[j][r] = now, sum[j][r] = sum[j][r] * factor + unit::over_rows(added, Add{});
        UNROLL for (int i = 0; i < CHANNEL_FRAGMENTS; i++)
          UNROLL for (int e = 0; e < RUN; e++) out[i][j][r * RUN + e] *= factor;
      }
    }
    wave_sync();  // the wave's lanes have written their weights
    UNROLL for (int s = 0; s < TILE / unit::STEP; s++) {
      const int chunk = s * STEP_CHUNKS;
      typename unit::x_fragment weights[ROW_FRAGMENTS];
      UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++)
        UNROLL for (int c = 0; c < unit::CHUNKS; c++)
          weights[j].set(0, c, load_words<4, 16, false>(
              p + swizzled(j * unit::COLUMNS + unit::token_of(0), chunk + unit::chunk() + c)));
      UNROLL for (int i = 0; i < CHANNEL_FRAGMENTS; i++) {
        typename unit::w_fragment v;
        load_fragment(v, values, i * 16, chunk);
        UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++) unit::multiply(out[i][j], v, weights[j]);
      }
    }
    wave_sync();  // and read them
  }

  static DEVICE void load_fragment(typename unit::w_fragment& w, const kv_t* rows, int row, int chunk) {
    UNROLL for (int l = 0; l < unit::W_LOADS; l++)
      UNROLL for (int c = 0; c < unit::CHUNKS; c++)
        w.set(l, c, load_words<4, 16, false>(rows + row * ROW + swizzled(unit::row_of(l), chunk + unit::chunk() + c)));
  }

  DEVICE void store_results(const attention_call& call, int start, int head, int heads) const {
    UNROLL for (int j = 0; j < ROW_FRAGMENTS; j++)
      UNROLL for (int r = 0; r < RUNS; r++) {
        const int row = wave_id() * WAVE_ROWS + j * unit::COLUMNS + unit::token(r), t = start + token_of(row), h = head_of(row);
        if (row >= QUERIES * HEADS || t >= call.T || h >= heads) continue;
        y_t* const to = call.y + (size_t(t) * QUERY_HEADS + head + h) * C;
        UNROLL for (int i = 0; i < CHANNEL_FRAGMENTS; i++) {
          const int c = i * 16 + unit::first_row(r);
          vec<float, RUN> v;
          UNROLL for (int e = 0; e < RUN; e++) v.set(e, out[i][j][r * RUN + e] / sum[j][r]);
          if (C % 16 == 0 || c < C) store<RUN>(to + c, v);
        }
      }
  }
};

DEVICE void attention_prefill_matrix_tile(int tile, const attention_call& call) {
  kv_t* const keys = dyn_lds<kv_t>();
  kv_t* const values = keys + K_ROWS * ROW;
  kv_t* const weights = values + C_ROWS * ROW + wave_uniform(wave_id()) * WAVE_ROWS * ROW;
  const int part = tile % HEAD_TILES, kv = tile / HEAD_TILES % KV_HEADS, head = kv * GROUP + part * HEADS;
  const int heads = min_int(HEADS, GROUP - part * HEADS);
  const int start = tile / (HEAD_TILES * KV_HEADS) * QUERIES, stop = min_int(start + QUERIES, call.T);
  wave_rows rows;
  rows.clear();
  rows.load_queries(call, start, head, heads);
  for (int token = start, end; token < stop; token = end) {
    const int request = call.seq[token];
    int least = 0x7fffffff, most = -1;
    for (end = token; end < stop && call.seq[end] == request; end++) {
      least = min_int(least, first_seen(call.positions[end]));
      most = max_int(most, call.positions[end]);
    }
    const i32* const pages = call.page_table + size_t(request) * call.M;
    rows.load_windows(call, start, token, end);
    KEEP_LOOP for (int first = least / TILE * TILE; first <= most; first += TILE) {
      block_sync();  // the tile before may still be read
      load_keys(keys, call.k_cache, pages, kv, max_int(first, 0), most);
      scheduling_barrier();  // keys and values in flight at once would take too many registers
      load_values(values, call.v_cache, pages, kv, max_int(first, 0), most);
      block_sync();
      rows.add_tile(keys, values, weights, first);
    }
  }
  rows.store_results(call, start, head, heads);
}

KERNEL void attention_prefill_matrix(y_t* y, const q_t* q, const kv_t* k_cache, const kv_t* v_cache, const i32* positions,
                                     const i32* seq, const i32* page_table, i32 T, i32 M) {
  const attention_call call = {y, q, k_cache, v_cache, positions, seq, page_table, T, M};
  const int tiles = ceil_div(T, QUERIES) * KV_HEADS * HEAD_TILES;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_prefill_matrix_tile(tile, call);
}
