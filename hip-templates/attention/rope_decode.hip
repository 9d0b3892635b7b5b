// rope_attention for few tokens: q and k are rotated, k and v appended to the caches, and each token attends to what its
// request has then: y[t,h,:] = Σ_l softmax_l(scale · rope(q)[t,h,:]·k[l,:]) · v[l,:]
//   layout    y: y_t[T, H, C] row-major; q, k, v: tokens STRIDE apart from OFFSET; positions, seq: i32[T]; page_table:
//             i32[R, M]; caches: kv_t[P, Hkv, PAGE, C]; factors: f32[dims/2] or null; partial, weights, arrivals (absent
//             where SPLITS = 1): as in decode.hip
//   launch    grid = T · Hkv · HEAD_PARTS · SPLITS, block = BLOCK; blocks as in decode.hip
//   appends   the block whose split ends with a token's own position appends it. No block reads what this launch writes:
//             rows of tokens of this step come from k and v, rounded as the cache would
//   aliasing  none; no two tokens have one request and position
//   numerics  angles exact to 2^−32 turns; sine and cosine within 4 ulp; q stays f32; k and v rounded once, to the cache's
//             type; softmax online, in f32; one rounding to y's type
//   limits    dims even; any C, any H multiple of Hkv, any window; any WAVE, any BLOCK; 0 and no append where seq or
//             position is negative
#ifndef P_K
#define P_K f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_V
#define P_V f32_t
#endif
#ifndef P_Q_STRIDE
#define P_Q_STRIDE 512  // elements from token to token
#endif
#ifndef P_Q_OFFSET
#define P_Q_OFFSET 0  // elements before the first token
#endif
#ifndef P_K_STRIDE
#define P_K_STRIDE 512
#endif
#ifndef P_K_OFFSET
#define P_K_OFFSET 0
#endif
#ifndef P_V_STRIDE
#define P_V_STRIDE 512
#endif
#ifndef P_V_OFFSET
#define P_V_OFFSET 0
#endif
#include "attention/few.h"
#include "rope/angles.h"

typedef P_K k_t;
typedef P_V v_t;
constexpr int Q_STRIDE = P_Q_STRIDE, Q_OFFSET = P_Q_OFFSET, K_STRIDE = P_K_STRIDE, K_OFFSET = P_K_OFFSET;
constexpr int V_STRIDE = P_V_STRIDE, V_OFFSET = P_V_OFFSET;

// behind what few.h keeps in LDS: queries [BLOCK_HEADS][C], a key and a value [C], cosines and sines
constexpr int LDS_Q = LDS_END, LDS_K = LDS_Q + BLOCK_HEADS * C, LDS_V = LDS_K + C, LDS_COSINES = LDS_V + C;
constexpr int LDS_SINES = LDS_COSINES + PAIRS;

struct rope_call {
  attention_call attention;
  const q_t* q;
  const k_t* k;
  const v_t* v;
  kv_t *k_cache, *v_cache;
  const float* factors;
  i32 T;
};

/** Of the tokens of this step: the first position that is new to the request, or the token at `position` (none: −1). */
DEVICE int first_new(const rope_call& call, int request) {
  int first = 0x7fffffff;
  for (int t = lane_id(); t < call.T; t += WAVE)
    if (call.attention.seq[t] == request && call.attention.positions[t] >= 0) first = min_int(first, call.attention.positions[t]);
  return wave_reduce(first, Min{});
}
DEVICE int token_at(const rope_call& call, int request, int position) {
  int found = -1;
  for (int t = lane_id(); t < call.T; t += WAVE)
    if (call.attention.seq[t] == request && call.attention.positions[t] == position) found = t;
  return wave_reduce(found, Max{});
}

/** Key and value of one head of a token of this step, rotated, into LDS; the angles are there. The block must meet. */
DEVICE void make_row(const rope_call& call, int t, int kv, float* lds) {
  KEEP_LOOP for (int c = late_thread_id(); c < C; c += BLOCK) {
    lds[LDS_K + c] = rotated(call.k + K_OFFSET + size_t(t) * K_STRIDE + kv * C, c, lds + LDS_COSINES, lds + LDS_SINES);
    lds[LDS_V + c] = float(call.v[V_OFFSET + size_t(t) * V_STRIDE + kv * C + c]);
  }
}

/** Key and value in LDS become what the caches would give back; they are stored at `row` of them, if that is one. */
DEVICE void round_row(const rope_call& call, i64 row, float* lds) {
  KEEP_LOOP for (int i = late_thread_id() * KEPT; i < 2 * C; i += BLOCK * KEPT) {
    kv_t* const cache = row < 0 ? nullptr : (i < C ? call.k_cache : call.v_cache) + row;
    store<KEPT>(lds + LDS_K + i, keep<KEPT>(cache, i % C, load<KEPT>(lds + LDS_K + i)));
  }
}

/** The same of a position that the caches hold. */
DEVICE void read_row(const rope_call& call, i64 row, float* lds) {
  KEEP_LOOP for (int c = late_thread_id() * CHUNK; c < C; c += BLOCK * CHUNK) {
    store<CHUNK>(lds + LDS_K + c, load_kept<CHUNK>(call.k_cache + row, c));
    store<CHUNK>(lds + LDS_V + c, load_kept<CHUNK>(call.v_cache + row, c));
  }
}

/** Head g of this wave, rotated and scaled. */
DEVICE row_part query(const float* lds, int g) {
  return load_row(lds + LDS_Q + (wave_id() % HEAD_WAVES * HEADS + g) * C);
}

/** Adds the position whose key and value are in LDS, in the first slot. */
DEVICE void add_row(running& r, const float* lds) {
  const row_part k = load_row(lds + LDS_K);
  const row_part v[1] = {share_slot() == 0 ? load_row(lds + LDS_V) : zero_row()};
  float sums[HEAD_SUMS];
  UNROLL for (int g = 0; g < HEAD_SUMS; g++) sums[g] = g < HEADS ? dot_part(query(lds, min_int(g, HEADS - 1)), k) : 0.f;
  sum_rows(sums);
  add_positions<1>(r, sums, v, share_slot() == 0);
}

/** Rotates the queries by the angles in LDS; the block must meet. */
DEVICE void rotate_queries(const rope_call& call, const attention_place& at, float* lds) {
  KEEP_LOOP for (int i = late_thread_id(); i < BLOCK_HEADS * C; i += BLOCK) {
    const int head = at.block_head() + min_int(i / C, at.block_heads() - 1);
    const q_t* const from = call.q + Q_OFFSET + size_t(at.t) * Q_STRIDE + head * C;
    lds[LDS_Q + i] = rotated(from, i % C, lds + LDS_COSINES, lds + LDS_SINES) * SCALE;
  }
}

DEVICE void rope_attention_tile(int tile, const rope_call& call) {
  float* const lds = dyn_lds<float>();
  const attention_place at = place_of(tile, call.attention);
  if (at.idle()) return store_nothing(call.attention, at);
  if (at.from >= at.to) return;
  const i32* const pages = call.attention.page_table + size_t(at.request) * call.attention.M;
  /** what this split reads from the cache ends here */
  const int cached = max_int(at.from, min_int(at.to, first_new(call, at.request)));
  running r;
  start(r);
  // the token's own position first: its angles turn the queries; then others of this step, if they are in this split
  KEEP_LOOP for (int l = at.position; l == at.position || l >= cached; l = min_int(l, at.to) - 1) {
    const bool own = l == at.position, here = l < at.to;
    const int token = own ? at.t : token_at(call, at.request, l), page = here ? page_of(pages, l) : -1;
    block_sync();  // what is in LDS may still be read
    if (token >= 0) make_angles(lds + LDS_COSINES, lds + LDS_SINES, l, call.factors);
    block_sync();
    if (own) rotate_queries(call, at, lds);
    if (here && token >= 0) {
      make_row(call, token, at.kv, lds);
      block_sync();
      const bool appends = own && at.part == 0 && page >= 0;
      round_row(call, appends ? i64(cache_row(page, at.kv, l)) : -1, lds);
    } else if (here) {
      read_row(call, i64(cache_row(page, at.kv, l)), lds);
    }
    block_sync();
    if (here && wave_id() / HEAD_WAVES == 0) add_row(r, lds);
  }
  row_part q[HEADS];
  UNROLL for (int g = 0; g < HEADS; g++) q[g] = query(lds, g);
  attend(r, q, call.attention, pages, at.kv, at.from, cached);
  finish(call.attention, at, r, lds);
}

KERNEL void rope_attention(y_t* y, float* partial, float* weights, u32* arrivals, const q_t* q, const k_t* k, const v_t* v,
                    kv_t* k_cache, kv_t* v_cache, const i32* positions, const i32* seq, const i32* page_table,
                    const float* factors, i32 T, i32 M) {
  const rope_call call = {{by_lane(y), by_lane(partial), by_lane(weights), by_lane(arrivals), k_cache, v_cache, positions,
                           seq, page_table, M},
                          by_lane(q), by_lane(k), by_lane(v), k_cache, v_cache, factors, T};
  const int tiles = T * KV_HEADS * HEAD_PARTS * SPLITS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) rope_attention_tile(tile, call);
}
