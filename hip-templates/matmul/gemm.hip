// gemm: y[t,n] = epilogue(Σ_k x[t,k] · w[n,k]) for many tokens, by the matrix primitive on tiles in LDS
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; w: rows of weight_t, see operands.h
//   launch    block = BLOCK; tiles of TILE_TOKENS tokens × TILE_ROWS rows of w, walked grid-stride
//   work      a block stages DEPTH elements of its rows of x and w in LDS, w dequantised, and prefetches the next ones into
//             registers while each wave multiplies its share of the tile (a double buffer: registers and LDS); sums go through LDS once more, so that the epilogue sees gate and up
//             together and writes rows
//   aliasing  y may be residual
//   numerics  products of tile_t (x's type where w has the same, else f32) summed in f32; see operands.h
//   limits    any T ≥ 0, N, K: what lies beyond is computed on zeros and not written; any WAVE, any BLOCK
#ifndef P_TILE_TOKENS
#define P_TILE_TOKENS 64  // tokens of a block's tile
#endif
#ifndef P_TILE_ROWS
#define P_TILE_ROWS 128  // rows of w in a block's tile; with swiglu half of gate, half of up
#endif
#ifndef P_WAVE_TOKENS
#define P_WAVE_TOKENS 32  // tokens of a wave's share; its rows of w follow from the number of waves
#endif
#ifndef P_DEPTH
#define P_DEPTH 32  // elements of K brought to LDS at a time
#endif
#include "matmul/operands.h"
#include "prelude/tile.h"

constexpr int TILE_TOKENS = P_TILE_TOKENS, TILE_ROWS = P_TILE_ROWS, DEPTH = P_DEPTH;
constexpr int TILE_COLUMNS = TILE_ROWS / PARTS, COLUMN_TILES = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;
constexpr int WAVE_TOKENS = P_WAVE_TOKENS, WAVES_DOWN = TILE_TOKENS / WAVE_TOKENS;
constexpr int WAVES_ACROSS = WAVES / WAVES_DOWN, WAVE_ROWS = TILE_ROWS / WAVES_ACROSS;
static_assert(TILE_TOKENS % WAVE_TOKENS == 0 && WAVES % WAVES_DOWN == 0 && TILE_ROWS % WAVES_ACROSS == 0,
              "waves share a tile evenly");

/** What LDS holds: exact for both operands. */
template <class W, class X> struct tile_type { typedef f32_t type; };
template <> struct tile_type<f16_w, f16_t> { typedef f16_t type; };
template <> struct tile_type<bf16_w, bf16_t> { typedef bf16_t type; };
typedef typename tile_type<weight_t, x_t>::type tile_t;

constexpr int PAD = 16 / int(sizeof(tile_t));  // 16 bytes a row, so that rows start in different banks
constexpr int STRIDE = DEPTH + PAD;
constexpr int CHUNK = QUANT || K % 8 == 0 ? 8 : K % 4 == 0 ? 4 : K % 2 == 0 ? 2 : 1;  // elements of an aligned load
constexpr int OUT = TILE_COLUMNS % 8 == 0 && N % 8 == 0 ? 8 : N % 4 == 0 ? 4 : N % 2 == 0 ? 2 : 1;  // of an aligned store
constexpr int SUM_STRIDE = TILE_ROWS + 4;
static_assert(DEPTH % 8 == 0 && TILE_COLUMNS % OUT == 0, "a tile is a whole number of chunks");

union gemm_lds {
  struct {
    tile_t x[TILE_TOKENS * STRIDE];
    tile_t w[TILE_ROWS * STRIDE];
  } slice;
  float sums[TILE_TOKENS * SUM_STRIDE];
};

/** Chunks of a slice, and how many of them a thread brings to LDS. */
constexpr int CHUNKS = DEPTH / CHUNK;
constexpr int X_SHARE = ceil_div(TILE_TOKENS * CHUNKS, BLOCK), W_SHARE = ceil_div(TILE_ROWS * CHUNKS, BLOCK);

/** A thread's share of a slice, prefetched into registers while the slice before is multiplied. */
template <int ROWS, int SHARE> struct slice_share {
  vec<float, CHUNK> chunks[SHARE];

  /** fetch(row, k) gives a chunk; what lies beyond K is zero. */
  template <class F> DEVICE void load_from(int k, F fetch) {
    UNROLL for (int n = 0; n < SHARE; n++) {
      const int i = n * BLOCK + thread_id(), at = k + i % CHUNKS * CHUNK;
      chunks[n] = i < ROWS * CHUNKS && at < K ? fetch(i / CHUNKS, at) : splat<CHUNK>(0.f);
    }
  }
  DEVICE void store_to(tile_t* lds) const {
    UNROLL for (int n = 0; n < SHARE; n++) {
      const int i = n * BLOCK + thread_id();
      if (i < ROWS * CHUNKS) store<CHUNK>(lds + i / CHUNKS * STRIDE + i % CHUNKS * CHUNK, chunks[n]);
    }
  }
};

DEVICE void gemm_tile(int index, const matmul_call& call, gemm_lds& lds) {
  const int n0 = index % COLUMN_TILES * TILE_COLUMNS, t0 = index / COLUMN_TILES * TILE_TOKENS;
  const int down = wave_id() / WAVES_ACROSS * WAVE_TOKENS, across = wave_id() % WAVES_ACROSS * WAVE_ROWS;
  tile_mma<WAVE_TOKENS, WAVE_ROWS, DEPTH, tile_t> tile;
  tile.clear();
  slice_share<TILE_TOKENS, X_SHARE> x;
  slice_share<TILE_ROWS, W_SHARE> w;
  const auto load_slice = [&](int k) {
    x.load_from(k, [&](int t, int at) {
      return t0 + t < call.tokens ? load<CHUNK>(x_row(call, t0 + t) + at) : splat<CHUNK>(0.f);
    });
    w.load_from(k, [&](int row, int at) {
      const int n = n0 + row % TILE_COLUMNS;
      return n < N ? weight_t::template load<CHUNK>(weight_row(call, n + row / TILE_COLUMNS * N), at) : splat<CHUNK>(0.f);
    });
  };
  load_slice(0);
  for (int k = 0; k < K; k += DEPTH) {
    x.store_to(lds.slice.x);
    w.store_to(lds.slice.w);
    block_sync();
    if (k + DEPTH < K) load_slice(k + DEPTH);
    tile.step(lds.slice.x + down * STRIDE, STRIDE, lds.slice.w + across * STRIDE, STRIDE);
    block_sync();
  }
  tile.each([&](int t, int row, float sum) { lds.sums[(down + t) * SUM_STRIDE + across + row] = sum; });
  block_sync();
  for (int i = thread_id(); i < TILE_TOKENS * TILE_COLUMNS / OUT; i += BLOCK) {
    const int t = i / (TILE_COLUMNS / OUT), column = i % (TILE_COLUMNS / OUT) * OUT;
    const float* const sum = lds.sums + t * SUM_STRIDE + column;
    if (t0 + t < call.tokens && n0 + column < N) {
      vec<float, OUT> gate, up;
      UNROLL for (int j = 0; j < OUT; j++) gate.set(j, sum[j]), up.set(j, sum[TILE_ROWS - TILE_COLUMNS + j]);
      finish<OUT>(call, t0 + t, n0 + column, gate, up);
    }
  }
  block_sync();  // the next tile overwrites the sums
}

KERNEL void gemm(y_t* y, const x_t* x, const u8* w, const bias_t* bias, const residual_t* residual, i32 T) {
  LDS(gemm_lds, lds, 1);
  const int tiles = COLUMN_TILES * ceil_div(T, TILE_TOKENS);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) gemm_tile(tile, {y, x, w, bias, residual, T}, lds[0]);
}
