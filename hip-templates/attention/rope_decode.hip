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

/** A row in LDS becomes what the cache would give back; it is stored there unless `to` is null. */
DEVICE void round_row(float* row, kv_t* to) {
  constexpr int WIDTH = KEPT == 32 ? 32 : 1;
  for (int c = thread_id() * WIDTH; c < C; c += BLOCK * WIDTH) {
    kv_t kept[WIDTH / KEPT];
    store_kept<WIDTH>(kept, 0, load<WIDTH>(row + c));
    store<WIDTH>(row + c, load_kept<WIDTH>(kept, 0));
    if (to) {
      UNROLL for (int i = 0; i < WIDTH / KEPT; i++) to[c / KEPT + i] = kept[i];
    }
  }
}

/** Key and value of one head of a token of this step, rotated, into LDS; the angles are there. The block must meet. */
DEVICE void make_row(const rope_call& call, int t, int kv, float* lds) {
  for (int c = thread_id(); c < C; c += BLOCK) {
    lds[LDS_K + c] = rotated(call.k + K_OFFSET + size_t(t) * K_STRIDE + kv * C, c, lds + LDS_COSINES, lds + LDS_SINES);
    lds[LDS_V + c] = float(call.v[V_OFFSET + size_t(t) * V_STRIDE + kv * C + c]);
  }
}

/** Position l, from the tokens of this step or, if none of them has it, from the cache. `made`: its row is in LDS. */
DEVICE void add_new(running& r, const row_part (&q)[HEADS], const rope_call& call, const attention_place& at,
                    const i32* pages, int l, bool made, float* lds) {
  const int token = l == at.position ? at.t : token_at(call, at.request, l), page = page_of(pages, l);
  if (token >= 0) {
    const bool appends = token == at.t && at.part == 0 && page >= 0;
    if (!made) {
      block_sync();  // the row before may still be read
      make_angles(lds + LDS_COSINES, lds + LDS_SINES, l, call.factors);
      block_sync();
      make_row(call, token, at.kv, lds);
      block_sync();
    }
    round_row(lds + LDS_K, appends ? call.k_cache + cache_row(page, at.kv, l) : nullptr);
    round_row(lds + LDS_V, appends ? call.v_cache + cache_row(page, at.kv, l) : nullptr);
    block_sync();
  }
  if (wave_id() / HEAD_WAVES == 0) {
    const row_part k = token >= 0 ? load_row(lds + LDS_K) : load_cached(call.k_cache + cache_row(page, at.kv, l));
    row_part v[1];
    v[0] = token >= 0 ? load_row(lds + LDS_V) : load_cached(call.v_cache + cache_row(page, at.kv, l));
    float sums[HEAD_SUMS];
    UNROLL for (int g = 0; g < HEAD_SUMS; g++) sums[g] = g < HEADS ? dot_part(q[min_int(g, HEADS - 1)], k) : 0.f;
    sum_rows(sums);
    if (share_slot() > 0) {
      UNROLL for (int g = 0; g < HEAD_SUMS; g++) sums[g] = -INF;
      v[0] = zero_row();
    }
    add_positions<1>(r, sums, v);
  }
}

DEVICE void rope_attention_tile(int tile, const rope_call& call) {
  float* const lds = dyn_lds<float>();
  const attention_place at = place_of(tile, call.attention);
  if (at.idle()) return store_nothing(call.attention, at);
  if (at.from >= at.to) return;
  const i32* const pages = call.attention.page_table + size_t(at.request) * call.attention.M;
  block_sync();  // the tile before may still be read
  make_angles(lds + LDS_COSINES, lds + LDS_SINES, at.position, call.factors);
  const int cached = max_int(at.from, min_int(at.to, first_new(call, at.request)));
  block_sync();
  for (int i = thread_id(); i < BLOCK_HEADS * C; i += BLOCK) {
    const int head = at.block_head() + min_int(i / C, at.block_heads() - 1);
    const q_t* const from = call.q + Q_OFFSET + size_t(at.t) * Q_STRIDE + head * C;
    lds[LDS_Q + i] = rotated(from, i % C, lds + LDS_COSINES, lds + LDS_SINES) * SCALE;
  }
  const bool own = cached == at.position;  // all that is new here, as where each token has a request of its own
  if (own && at.to > cached) make_row(call, at.t, at.kv, lds);
  block_sync();
  running r;
  row_part q[HEADS];
  UNROLL for (int g = 0; g < HEADS; g++) q[g] = load_row(lds + LDS_Q + (wave_id() % HEAD_WAVES * HEADS + g) * C);
  start(r);
  attend(r, q, call.attention, pages, at.kv, at.from, cached);
  KEEP_LOOP for (int l = cached; l < at.to; l++) add_new(r, q, call, at, pages, l, own, lds);
  finish(call.attention, at, r, lds);
}

KERNEL void rope_attention(y_t* y, float* partial, float* weights, u32* arrivals, const q_t* q, const k_t* k, const v_t* v,
                    kv_t* k_cache, kv_t* v_cache, const i32* positions, const i32* seq, const i32* page_table,
                    const float* factors, i32 T, i32 M) {
  const rope_call call = {{y, partial, weights, arrivals, k_cache, v_cache, positions, seq, page_table, M},
                          q, k, v, k_cache, v_cache, factors, T};
  const int tiles = T * KV_HEADS * HEAD_PARTS * SPLITS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) rope_attention_tile(tile, call);
}
