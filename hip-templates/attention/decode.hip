// flash decoding, attention for few queries: y[t,h,:] = Σ_l softmax_l(scale · q[t,h,:]·k[l,:]) · v[l,:] over the positions l that t sees
//   layout    y: y_t[T, H, C], q: q_t[T, H, C] row-major; caches: kv_t[P, Hkv, PAGE, C]; positions, seq: i32[T];
//             page_table: i32[R, M]; partial: f32[T, H, SPLITS, C], weights: f32[T, H, SPLITS, 2] (maximum, sum);
//             arrivals: u32[T, Hkv, HEAD_PARTS], 0 before and after
//   launch    grid = T · Hkv · HEAD_PARTS · SPLITS, block = BLOCK; a block has one kv head of a token and one split of its
//             positions; attention_split (SPLITS > 1): the last block of a head combines the splits, in their order
//   capture   grids depend on T alone: lengths come from positions, and splits without work leave at once
//   aliasing  none
//   numerics  softmax online, some positions at a time, sums in f32; on matrix instructions a query and a weight are the sum
//             of two f16, of 22 bits, or of three bf16, of 24: their products are exact, and an infinite value may give NaN
//             for infinity; else they are f32. One rounding to y's type
//   limits    any C, any H multiple of Hkv, any window; any WAVE, any BLOCK; 0 where seq or position is negative
#include "attention/few.h"

DEVICE void attention_tile(int tile, const q_t* queries, const attention_call& call) {
  float* const lds = dyn_lds<float>();
  const attention_place at = place_of(tile, call);
  if (at.idle()) return store_nothing(call, at);
  if (at.from >= at.to) return;
  stream s;
  s.find(call, at, at.from, at.to);
  s.ask();
  scheduling_barrier();
  block_sync();  // the tile before may still be read
  KEEP_LOOP for (int row = wave_id(); row < BLOCK_HEADS; row += WAVES) {
    const q_t* const q = queries + (size_t(at.t) * QUERY_HEADS + at.block_head() + min_int(row, at.block_heads() - 1)) * C;
    const auto channel = [](int n) { return (lane_id() + n / CHUNK * WAVE) * CHUNK + n % CHUNK; };
    constexpr int LANE_CHUNKS = ceil_div(CHUNKS, WAVE);
    float v[LANE_CHUNKS * CHUNK];
    each_of_lane<LANE_CHUNKS>([&](int n) {
      const vec<float, CHUNK> chunk = load<CHUNK>(q + min_int(channel(n * CHUNK), C - CHUNK));
      UNROLL for (int i = 0; i < CHUNK; i++) v[n * CHUNK + i] = chunk[i];
    });
    put_query(lds, row, v, channel);
  }
  block_sync();
  s.begin(lds);
  s.attend(lds);
  finish(call, at, s, false, lds);
}

#if P_SPLITS == 1
KERNEL void attention_decode(y_t* y, const q_t* q, const kv_t* k_cache, const kv_t* v_cache, const i32* positions, const i32* seq,
                      const i32* page_table, i32 T, i32 M) {
  await_earlier_launches();
  const attention_call call = {y, nullptr, nullptr, nullptr, k_cache, v_cache, positions, seq, page_table, M};
  const int tiles = T * KV_HEADS * HEAD_PARTS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_tile(tile, q, call);
}
#else
KERNEL void attention_split(y_t* y, float* partial, float* weights, u32* arrivals, const q_t* q, const kv_t* k_cache,
                     const kv_t* v_cache, const i32* positions, const i32* seq, const i32* page_table, i32 T, i32 M) {
  await_earlier_launches();
  const attention_call call = {y, partial, weights, arrivals, k_cache, v_cache, positions, seq, page_table, M};
  const int tiles = T * KV_HEADS * HEAD_PARTS * SPLITS;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) attention_tile(tile, q, call);
}
#endif
