// kv_read: y[r,l,h,c] = cache[page_table[r, l / PAGE], h, l mod PAGE, c]; 0 where a request has no page
//   layout    y: y_t[R, L, Hkv, C] row-major; cache: kv_t[P, Hkv, PAGE, C]; page_table: i32[R, M]
//   launch    grid = R · L, block = BLOCK; one block per position of a request
//   aliasing  none
//   numerics  one rounding to y's type
//   limits    any L; any WAVE, any BLOCK
#ifndef P_Y
#define P_Y f32_t  // element type: f32_t, f16_t or bf16_t
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the channels of a head
#endif
#include "cache/pages.h"

typedef P_Y y_t;
constexpr int CHUNK = min_int(VEC, P_ALIGN), CHUNKS = CHANNELS / CHUNK;
static_assert(CHANNELS % CHUNK == 0, "P_ALIGN must divide the channels of a head");

DEVICE void kv_read_tile(int tile, y_t* y, const kv_t* cache, const i32* page_table, int L, int M) {
  const int position = tile % L;
  const int page = position / PAGE >= M ? -1 : page_of(page_table + size_t(tile / L) * M, position);
  y_t* const to = y + size_t(tile) * (KV_HEADS * CHANNELS);
  for (int i = thread_id(); i < KV_HEADS * CHUNKS; i += BLOCK) {
    const vec<float, CHUNK> v =
        page < 0 ? splat<CHUNK>(0.f) : load_cached<CHUNK>(cache + cache_row(page, i / CHUNKS, position), i % CHUNKS * CHUNK);
    store<CHUNK>(to + i * CHUNK, v);
  }
}

KERNEL void kv_read(y_t* y, const kv_t* cache, const i32* page_table, i32 R, i32 L, i32 M) {
  for (int tile = block_id(); tile < R * L; tile += grid_size()) kv_read_tile(tile, y, cache, page_table, L, M);
}
