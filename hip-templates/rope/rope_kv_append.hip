// rope_kv_append: q_out = rope(q); k_cache[position of t] = rope(k[t]); v_cache[position of t] = v[t]
//   layout    q_out: y_t[T, H, C] row-major; q, k, v: tokens STRIDE apart from OFFSET; positions, seq: i32[T];
//             page_table: i32[R, M]; caches: kv_t[P, Hkv, PAGE, C]; factors: f32[dims/2] or null
//   launch    grid = T · ⌈(H + 2·Hkv) / TILE_HEADS⌉, block = BLOCK; one block per TILE_HEADS heads of q, k, v of a token
//   aliasing  none; no two tokens have one request and position
//   numerics  angles exact to 2^−32 turns; sine and cosine within 4 ulp; one rounding to each result's type
//   limits    dims even; a token without a page (seq, position or page negative) is not appended; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H, heads of q
#endif
#ifndef P_TILE_HEADS
#define P_TILE_HEADS 8  // heads of a block
#endif
#ifndef P_Q
#define P_Q f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_K
#define P_K f32_t
#endif
#ifndef P_V
#define P_V f32_t
#endif
#ifndef P_Y
#define P_Y f32_t
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
#include "rope/rotate.h"
#include "cache/pages.h"

typedef P_Q q_t;
typedef P_K k_t;
typedef P_V v_t;
typedef P_Y y_t;
constexpr int HEADS = P_HEADS, TILE_HEADS = P_TILE_HEADS;
constexpr int Q_STRIDE = P_Q_STRIDE, Q_OFFSET = P_Q_OFFSET, K_STRIDE = P_K_STRIDE, K_OFFSET = P_K_OFFSET;
constexpr int V_STRIDE = P_V_STRIDE, V_OFFSET = P_V_OFFSET;
constexpr int TILES = ceil_div(HEADS + 2 * KV_HEADS, TILE_HEADS);
constexpr int COPIED = power_in(C, min_int(VEC, P_ALIGN));

/** As many pieces of v as of a rotated head, so that all heads split alike. */
template <class Y, class V> DEVICE void copy_chunk(Y* y, const V* v, int chunk) {
  for (int c = chunk * COPIED; c < C; c += HEAD_CHUNKS * COPIED) store<COPIED>(y + c, load<COPIED>(v + c));
}

/** Caches of 8 bits are written a piece at a time: a block, or a single element. */
constexpr bool NARROW = CACHE_BLOCK > 1 || sizeof(kv_t) == 1;
constexpr int PIECE = CACHE_BLOCK;
template <class F> DEVICE void keep_pieces(kv_t* row, int chunk, F value) {
  for (int c = chunk * PIECE; c < C; c += HEAD_CHUNKS * PIECE) {
    vec<float, PIECE> v;
    for (int i = 0; i < PIECE; i++) v.set(i, value(c + i));
    store_cached<PIECE>(row, c, v);
  }
}
template <class K> DEVICE void append_key(kv_t* row, const K* k, int chunk, const float* cosines, const float* sines) {
  if constexpr (NARROW) keep_pieces(row, chunk, [&](int c) { return rotated(k, c, cosines, sines); });
  else rotate_chunk(row, k, chunk, cosines, sines);
}
template <class V> DEVICE void append_value(kv_t* row, const V* v, int chunk) {
  if constexpr (NARROW) keep_pieces(row, chunk, [&](int c) { return float(v[c]); });
  else copy_chunk(row, v, chunk);
}

struct rope_kv_call {
  y_t* q_out;
  const q_t* q;
  const k_t* k;
  const v_t* v;
  kv_t *k_cache, *v_cache;
  const i32 *positions, *seq, *page_table;
  const float* factors;
  i32 M;
};

DEVICE void rope_kv_append_tile(int tile, const rope_kv_call& call) {
  LDS(float, cosines, PAIRS);
  LDS(float, sines, PAIRS);
  const int t = tile / TILES, first = tile % TILES * TILE_HEADS;
  const int position = call.positions[t], request = call.seq[t];
  const int page = request < 0 || position < 0 ? -1 : page_of(call.page_table + size_t(request) * call.M, position);
  block_sync();  // the tile before may still be read
  make_angles(cosines, sines, position, call.factors);
  block_sync();
  const int heads = min_int(TILE_HEADS, HEADS + 2 * KV_HEADS - first);
  for (int i = rematerialized_thread_id(); i < heads * HEAD_CHUNKS; i += BLOCK) {
    const int chunk = i % HEAD_CHUNKS, h = first + i / HEAD_CHUNKS, kv = h - HEADS;
    if (kv < 0) {
      rotate_chunk(call.q_out + (size_t(t) * HEADS + h) * C, call.q + Q_OFFSET + size_t(t) * Q_STRIDE + h * C, chunk,
                   cosines, sines);
    } else if (page < 0) {
      continue;
    } else if (kv < KV_HEADS) {
      append_key(call.k_cache + cache_row(page, kv, position), call.k + K_OFFSET + size_t(t) * K_STRIDE + kv * C, chunk,
                   cosines, sines);
    } else {
      const int head = kv - KV_HEADS;
      append_value(call.v_cache + cache_row(page, head, position), call.v + V_OFFSET + size_t(t) * V_STRIDE + head * C,
                 chunk);
    }
  }
}

KERNEL void rope_kv_append(y_t* q_out, const q_t* q, const k_t* k, const v_t* v, kv_t* k_cache, kv_t* v_cache,
                    const i32* positions, const i32* seq, const i32* page_table, const float* factors, i32 T, i32 M) {
  const rope_kv_call call = {by_lane(q_out), by_lane(q), by_lane(k), by_lane(v), k_cache, v_cache, positions, seq, page_table, factors, M};
  for (int tile = block_id(); tile < T * TILES; tile += grid_size()) rope_kv_append_tile(tile, call);
}
