// kv_append: cache[page_table[seq[t], positions[t] / PAGE], h, positions[t] mod PAGE, c] = x[t,h,c]
//   layout    cache: kv_t[P, Hkv, PAGE, C]; x: x_t, tokens X_STRIDE apart from X_OFFSET; positions, seq: i32[T];
//             page_table: i32[R, M]
//   launch    grid = T, block = BLOCK; one block per token
//   aliasing  none; no two tokens have one request and position
//   numerics  one rounding to the cache's type (q8_0: to steps of a block's largest / 127); i32 is copied
//   limits    a token without a page (seq, position or page negative) is not appended; any WAVE, any BLOCK
#ifndef P_X
#define P_X f32_t  // element type: f32_t, f16_t, bf16_t; or i32 where P_KV is
#endif
#ifndef P_X_STRIDE
#define P_X_STRIDE 512  // elements from token to token of x
#endif
#ifndef P_X_OFFSET
#define P_X_OFFSET 0  // elements before the first token of x
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every head, elements
#endif
#include "cache/pages.h"

typedef P_X x_t;
constexpr int X_STRIDE = P_X_STRIDE, X_OFFSET = P_X_OFFSET;
constexpr int CHUNK = CACHE_BLOCK > 1 ? CACHE_BLOCK : min_int(VEC, P_ALIGN), CHUNKS = CHANNELS / CHUNK;
static_assert(CHANNELS % CHUNK == 0, "P_ALIGN must divide the channels of a head");

template <class To, class From> DEVICE void copy_chunk(To* row, int c, const From* from) {
  store_cached<CHUNK>(row, c, load<CHUNK>(from));
}
DEVICE void copy_chunk(i32* row, int c, const i32* from) {
  UNROLL for (int i = 0; i < CHUNK; i++) row[c + i] = from[i];
}

DEVICE void kv_append_tile(int t, kv_t* cache, const x_t* x, const i32* positions, const i32* seq, const i32* page_table,
                           int M) {
  const int position = positions[t], request = seq[t];
  const int page = request < 0 || position < 0 ? -1 : page_of(page_table + size_t(request) * M, position);
  if (page < 0) return;
  const x_t* const from = x + X_OFFSET + size_t(t) * X_STRIDE;
  for (int i = thread_id(); i < KV_HEADS * CHUNKS; i += BLOCK)
    copy_chunk(cache + cache_row(page, i / CHUNKS, position), i % CHUNKS * CHUNK, from + i * CHUNK);
}

KERNEL void kv_append(kv_t* cache, const x_t* x, const i32* positions, const i32* seq, const i32* page_table, i32 T, i32 M) {
  for (int t = block_id(); t < T; t += grid_size()) kv_append_tile(t, cache, x, positions, seq, page_table, M);
}
