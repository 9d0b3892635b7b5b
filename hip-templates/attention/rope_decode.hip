// rope_attention for few tokens: q and k are rotated, k and v appended to the caches, and each token attends to what its
// request has then: y[t,h,:] = Σ_l softmax_l(scale · rope(q)[t,h,:]·k[l,:]) · v[l,:]
// where there are weights for it, heads of q and k are normed first: x[c] · rsqrt(mean_c(x²) + EPS) · norm[c]
//   layout    y: y_t[T, H, C] row-major; q, k, v: tokens STRIDE apart from OFFSET; positions, seq: i32[T]; page_table:
//             i32[R, M]; caches: kv_t[P, Hkv, PAGE, C]; factors: f32[dims/2] or null; q_norm, k_norm: [C] or null; partial,
//             weights, arrivals (absent where SPLITS = 1): as in decode.hip
//   launch    grid = T · Hkv · HEAD_PARTS · SPLITS, block = BLOCK; blocks as in decode.hip
//   appends   the block whose split ends with a token's own position appends it. No block reads what this launch writes:
//             rows of tokens of this step come from k and v, rounded as the cache would
//   aliasing  none; no two tokens have one request and position
//   numerics  angles exact to 2^−32 turns; sine and cosine within 4 ulp; k and v rounded once, to the cache's type; scores
//             and softmax as in decode.hip; one rounding to y's type
//   limits    dims even; any C, any H multiple of Hkv, any window; any WAVE, any BLOCK; 0 and no append where seq or
//             position is negative
#ifndef P_K
#define P_K f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_V
#define P_V f32_t
#endif
#ifndef P_Q_NORM
#define P_Q_NORM void  // element types of the weights that heads are normed with; void: they are not
#endif
#ifndef P_K_NORM
#define P_K_NORM void
#endif
#ifndef P_EPS
#define P_EPS 1e-6f  // added to the mean square of a head
#endif
#ifndef P_TOKENS
#define P_TOKENS 0  // T where it is known; 0: any
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
typedef P_Q_NORM q_norm_t;
typedef P_K_NORM k_norm_t;
constexpr float EPS = float(P_EPS);
constexpr int TOKENS = P_TOKENS;
constexpr int Q_STRIDE = P_Q_STRIDE, Q_OFFSET = P_Q_OFFSET, K_STRIDE = P_K_STRIDE, K_OFFSET = P_K_OFFSET;
constexpr int V_STRIDE = P_V_STRIDE, V_OFFSET = P_V_OFFSET;

// behind what few.h keeps in LDS: a new key and value [C], and the key's scores
constexpr int LDS_K = LDS_END, LDS_V = LDS_K + C, LDS_SCORES = LDS_V + C;

struct rope_call {
  attention_call attention;
  const q_t* q;
  const k_t* k;
  const v_t* v;
  kv_t *k_cache, *v_cache;
  const float* factors;
  const q_norm_t* q_norm;
  const k_norm_t* k_norm;
  i32 T;
};

/** Of the tokens of this step: the first position that is new to the request, or the token at `position` (none: −1). */
DEVICE int first_new(const rope_call& call, const attention_place& at) {
  if constexpr (TOKENS == 1) return at.position;
  int first = 0x7fffffff;
  for (int t = lane_id(); t < call.T; t += WAVE)
    if (call.attention.seq[t] == at.request && call.attention.positions[t] >= 0) first = min_int(first, call.attention.positions[t]);
  return wave_reduce(first, Min{});
}
DEVICE int token_at(const rope_call& call, int request, int position) {
  int found = -1;
  for (int t = lane_id(); t < call.T; t += WAVE)
    if (call.attention.seq[t] == request && call.attention.positions[t] == position) found = t;
  return wave_reduce(found, Max{});
}

// ---- one head of a token, by a wave: a lane has pairs lane, lane + WAVE, … and of the channels behind them likewise --------

constexpr int LANE_PAIRS = ceil_div(PAIRS, WAVE), LANE_REST = ceil_div(C - DIMS, WAVE);
constexpr int LANE_CHANNELS = 2 * LANE_PAIRS + LANE_REST;

struct lane_angles {
  u64 step[LANE_PAIRS];
  float cosine[LANE_PAIRS], sine[LANE_PAIRS];
  DEVICE explicit lane_angles(const float* factors) {
    each_of_lane<LANE_PAIRS>([&](int n) { step[n] = step_of_pair(min_int(lane_id() + n * WAVE, PAIRS - 1), factors); });
  }
  DEVICE void make(int position) {
    each_of_lane<LANE_PAIRS>([&](int n) { make_angle(cosine[n], sine[n], step[n], position); });
  }
};

/** Which channel the lane's number n is; from C on: none. */
DEVICE int lane_channel(int n) {
  if (n >= 2 * LANE_PAIRS) return DIMS + lane_id() + (n - 2 * LANE_PAIRS) * WAVE;
  const int pair = lane_id() + n / 2 * WAVE, c = INTERLEAVED ? 2 * pair + n % 2 : pair + n % 2 * PAIRS;
  return PAIRS % WAVE == 0 || pair < PAIRS ? c : C;
}

struct lane_head {
  float v[LANE_CHANNELS];
  template <class X> DEVICE void load(const X* x) {
    each_of_lane<LANE_CHANNELS>([&](int n) { v[n] = float(x[min_int(lane_channel(n), C - 1)]); });
  }
  /** The rms_norm of the head, where there are weights for it. */
  template <class W> DEVICE void norm(const W* weights) {
    if constexpr (!same_type<W, void>::value) {
      lane_head w;
      w.load(weights);
      float squares = 0.f;
      each_of_lane<LANE_CHANNELS>([&](int n) { squares = lane_channel(n) < C ? fma_f32(v[n], v[n], squares) : squares; });
      const float scale = rsqrt_f32(wave_reduce(squares, Add{}) * (1.f / C) + EPS);
      each_of_lane<LANE_CHANNELS>([&](int n) { v[n] *= scale * w.v[n]; });
    }
  }
  DEVICE void turn(const lane_angles& angles) {
    each_of_lane<LANE_PAIRS>([&](int n) {
      const float a = v[2 * n], b = v[2 * n + 1];
      v[2 * n] = a * angles.cosine[n] - b * angles.sine[n];
      v[2 * n + 1] = b * angles.cosine[n] + a * angles.sine[n];
    });
  }
  /** Into LDS, as the cache would give it back, and into `row` of the cache if that is one; blocks of elements follow later. */
  DEVICE void put_kept(float* to, kv_t* row) const {
    each_of_lane<LANE_CHANNELS>([&](int n) {
      const int c = lane_channel(n);
      if (c >= C) return;
      if constexpr (CACHE_BLOCK == 1) to[c] = keep<1>(row, c, splat<1>(v[n]))[0];
      else to[c] = v[n];
    });
  }
};

/** Where a new key and value are appended; nowhere if row is negative. */
struct append_place {
  i64 row;
  DEVICE kv_t* in(kv_t* cache) const { return row < 0 ? nullptr : cache + row; }
};

/** Rows that a token brings to a block, a wave each: its queries, and then a key and a value. */
constexpr int KEY_ROW = BLOCK_HEADS, VALUE_ROW = BLOCK_HEADS + 1, TOKEN_ROWS = BLOCK_HEADS + 2;

/** Puts such a row into LDS, normed and turned; key and value also where they are appended. A block barrier must follow. */
DEVICE void put_row(const rope_call& call, int t, const attention_place& at, int row, const lane_angles& angles,
                    const append_place& place, float* lds) {
  lane_head head;
  if (row < KEY_ROW) {
    const int of_block = min_int(row, at.block_heads() - 1);
    head.load(call.q + Q_OFFSET + size_t(t) * Q_STRIDE + (at.block_head() + of_block) * C);
    head.norm(call.q_norm);
    head.turn(angles);
    put_query(lds, row, head.v, [](int n) { return lane_channel(n); });
  } else if (row == KEY_ROW) {
    head.load(call.k + K_OFFSET + size_t(t) * K_STRIDE + at.kv * C);
    head.norm(call.k_norm);
    head.turn(angles);
    head.put_kept(lds + LDS_K, place.in(call.k_cache));
  } else {
    head.load(call.v + V_OFFSET + size_t(t) * V_STRIDE + at.kv * C);
    head.put_kept(lds + LDS_V, place.in(call.v_cache));
  }
}

/** Where elements are kept in blocks: key and value in LDS become what the caches would give back. Passes a block barrier. */
DEVICE void keep_blocks(const rope_call& call, const append_place& place, float* lds) {
  if constexpr (CACHE_BLOCK > 1) {
    KEEP_LOOP for (int i = rematerialized_thread_id() * CACHE_BLOCK; i < 2 * C; i += BLOCK * CACHE_BLOCK) {
      kv_t* const row = place.in(i < C ? call.k_cache : call.v_cache);
      store<CACHE_BLOCK>(lds + LDS_K + i, keep<CACHE_BLOCK>(row, i % C, load<CACHE_BLOCK>(lds + LDS_K + i)));
    }
    block_sync();
  }
}

/** Key and value of a position that the caches hold, into LDS. */
DEVICE void read_row(const rope_call& call, i64 row, float* lds) {
  KEEP_LOOP for (int c = rematerialized_thread_id() * CHUNK; c < C; c += BLOCK * CHUNK) {
    store<CHUNK>(lds + LDS_K + c, load_cached<CHUNK>(call.k_cache + row, c));
    store<CHUNK>(lds + LDS_V + c, load_cached<CHUNK>(call.v_cache + row, c));
  }
}

/** f(g, score) of the key in LDS and each of the block's heads, by the first lane of a wave. */
template <class F> DEVICE void each_score(const float* lds, F f) {
  KEEP_LOOP for (int g = wave_id(); g < BLOCK_HEADS; g += WAVES) {
    float sum = 0.f;
    for (int c = lane_id(); c < C; c += WAVE) sum = fma_f32(lds[LDS_Q + g * C + c], lds[LDS_K + c], sum);
    sum = wave_reduce(sum, Add{});
    if (lane_id() == 0) f(g, sum);
  }
}

/** Makes the key and value in LDS the first of the slot of new positions. */
DEVICE void start_fresh(float* lds) {
  each_score(lds, [&](int g, float score) { maximum_of(lds, HELD, g) = score, sum_of(lds, HELD, g) = 1.f; });
  KEEP_LOOP for (int i = rematerialized_thread_id(); i < BLOCK_HEADS * C; i += BLOCK) out_of(lds, HELD, i / C)[i % C] = lds[LDS_V + i % C];
}

/** Adds them to the slot. A block barrier precedes the change of its tables. */
DEVICE void add_fresh(float* lds) {
  each_score(lds, [&](int g, float score) { lds[LDS_SCORES + g] = score; });
  block_sync();
  KEEP_LOOP for (int i = rematerialized_thread_id(); i < BLOCK_HEADS * C; i += BLOCK) {
    const int g = i / C;
    const float maximum = maximum_of(lds, HELD, g), score = lds[LDS_SCORES + g], highest = max_f32(maximum, score);
    float& out = out_of(lds, HELD, g)[i % C];
    out = out * fast_exp(maximum - origin_of(highest)) + lds[LDS_V + i % C] * fast_exp(score - origin_of(highest));
  }
  block_sync();
  KEEP_LOOP for (int g = rematerialized_thread_id(); g < BLOCK_HEADS; g += BLOCK) {
    const float maximum = maximum_of(lds, HELD, g), score = lds[LDS_SCORES + g], highest = max_f32(maximum, score);
    maximum_of(lds, HELD, g) = highest;
    sum_of(lds, HELD, g) = sum_of(lds, HELD, g) * fast_exp(maximum - origin_of(highest)) + fast_exp(score - origin_of(highest));
  }
}

/** Other new positions of the request that are in this split: those of tokens of this step, and cached ones between them. */
DEVICE void add_others(const rope_call& call, const attention_place& at, lane_angles& angles, int cached, bool& fresh,
                       float* lds) {
  const i32* const pages = pages_of(call.attention, at);
  KEEP_LOOP for (int l = min_int(at.to, at.position) - 1; l >= cached; l--) {
    const int token = token_at(call, at.request, l), page = page_of(pages, l);
    block_sync();  // what is in LDS may still be read
    if (token >= 0) {
      angles.make(l);
      KEEP_LOOP for (int row = KEY_ROW + wave_id(); row < TOKEN_ROWS; row += WAVES)
        put_row(call, token, at, row, angles, {-1}, lds);
      block_sync();
      keep_blocks(call, {-1}, lds);
    } else {
      read_row(call, i64(cache_row(page, at.kv, l)), lds);
      block_sync();
    }
    if (fresh) add_fresh(lds);
    else start_fresh(lds);
    fresh = true;
  }
}

DEVICE void rope_attention_tile(int tile, const rope_call& call) {
  float* const lds = dyn_lds<float>();
  attention_place at = place_of(tile, call.attention);
  if (at.idle()) {
    await_earlier_launches();
    return store_nothing(call.attention, at);
  }
  if (at.from >= at.to) return await_earlier_launches();
  lane_angles angles(call.factors);  // all that needs no query is prefetched and computed, while earlier launches finish
  /** what this split reads from the cache ends here; does the token's own position belong to it? */
  const int cached = max_int(at.from, min_int(at.to, first_new(call, at)));
  const bool own = at.to > at.position;
  stream s;
  s.find(call.attention, at, at.from, cached);
  int page = -1;
  if (own && at.part == 0) page = page_of(pages_of(call.attention, at), at.position);
  angles.make(at.position);
  s.ask();
  scheduling_barrier();
  const append_place place = {page < 0 ? -1 : i64(cache_row(page, at.kv, at.position))};
  await_earlier_launches();
  block_sync();  // the tile before may still be read
  KEEP_LOOP for (int row = wave_id(); row < (own ? TOKEN_ROWS : BLOCK_HEADS); row += WAVES)
    put_row(call, at.t, at, row, angles, place, lds);
  block_sync();
  if (own) {
    keep_blocks(call, place, lds);
    start_fresh(lds);
  }
  bool fresh = own;
  if constexpr (TOKENS != 1) add_others(call, at, angles, cached, fresh, lds);
  s.begin(lds);
  s.attend(lds);
  place_tile(at, wave_uniform(rematerialize(tile)));
  finish(call.attention, at, s, fresh, lds);
}

KERNEL void rope_attention(y_t* y, float* partial, float* weights, u32* arrivals, const q_t* q, const k_t* k, const v_t* v,
                    kv_t* k_cache, kv_t* v_cache, const i32* positions, const i32* seq, const i32* page_table,
                    const float* factors, const q_norm_t* q_norm, const k_norm_t* k_norm, i32 T, i32 M) {
  const rope_call call = {{by_lane(y), by_lane(partial), by_lane(weights), by_lane(arrivals), k_cache, v_cache, positions,
                           seq, page_table, M},
                          by_lane(q), by_lane(k), by_lane(v), k_cache, v_cache, factors, q_norm, k_norm, T};
  const int tiles = T * KV_HEADS * HEAD_PARTS * SPLITS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) rope_attention_tile(tile, call);
  await_earlier_launches();  // a block without a tile
}
