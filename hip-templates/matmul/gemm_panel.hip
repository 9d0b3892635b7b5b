// gemm_panel: y[t,n] = epilogue(Σ_k x[t,k] · w[n,k]) for many tokens, where a block is one thread with SIMD registers
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; w: rows of weight_t, see operands.h
//   launch    block = 1; tiles of TILE_TOKENS tokens × TILE_COLUMNS columns, walked grid-stride
//   work      a tile goes through K in slices of SLICE. A slice of w is decoded once into a panel of f32, its columns
//             side by side, and serves all tokens of the tile; GROUP tokens × 2 registers of columns at a time are
//             summed in registers. Panel and slice of x stay in the L2 and L1 caches
//   aliasing  y may be residual
//   numerics  products summed in f32, in order within a slice, then slice by slice; see operands.h
//   limits    any T ≥ 0, N, K; tails of tokens and columns are computed on zeros and not written
#ifndef P_TILE_TOKENS
#define P_TILE_TOKENS 132  // a tile decodes its weights once: more is less work, but fewer tiles
#endif
#ifndef P_TILE_ROWS
#define P_TILE_ROWS 64  // rows of w in a tile; with swiglu half of gate, half of up
#endif
#ifndef P_SLICE
#define P_SLICE 256  // elements of K in a slice
#endif
#define P_DEPTH 1
#define P_CHUNK 8
#include "matmul/dot.h"
#include "prelude/transpose.h"

constexpr int SPAN = 2 * VEC;                   // columns of a register tile
constexpr int GROUP = VEC == 16 ? 12 : 6;       // tokens of a register tile: 24 of AVX-512's 32 registers, 12 of AVX2's 16
constexpr int TILE_TOKENS = P_TILE_TOKENS, TILE_ROWS = P_TILE_ROWS, SPANS = TILE_ROWS / SPAN;
constexpr int TILE_COLUMNS = TILE_ROWS / PARTS, COLUMN_TILES = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;
constexpr int SLICE = P_SLICE < K ? P_SLICE : K;
constexpr int STRIDE = (SLICE + CHUNK - 1) / CHUNK * CHUNK;
constexpr int FEW = 12;                         // up to so many tokens dot products are faster than panels
static_assert(TILE_ROWS % (SPAN * PARTS) == 0, "a tile is a whole number of register tiles");
static_assert(P_SLICE % CHUNK == 0, "a slice is a whole number of chunks");

/** What a thread keeps of a tile between its steps. */
struct gemm_tile {
  float panel[SPANS][STRIDE][SPAN];       // a slice of w, f32, columns side by side
  float tokens[GROUP][STRIDE];            // the same slice of x for GROUP tokens
  float sums[TILE_TOKENS][TILE_ROWS];
};

/** Row of w behind column `i` of the tile that starts at column n of y. */
DEVICE int tile_row(int n, int i) {
  const int column = n + i % TILE_COLUMNS;
  return min_int(column, N - 1) + i / TILE_COLUMNS * N;
}

/** Decodes elements k … k+depth of the tile's rows into its panel, in squares of VEC rows × VEC elements. */
DEVICE void pack_weights(gemm_tile& tile, const matmul_call& call, int n, int k, int depth) {
  float rows[VEC][STRIDE];
  for (int at = 0; at < TILE_ROWS; at += VEC) {
    for (int r = 0; r < VEC; r++) {
      const u8* row = weight_row(call, tile_row(n, at + r));
      int i = 0;
      for (; i + CHUNK <= depth; i += CHUNK) store<CHUNK>(&rows[r][i], weight_t::template load<CHUNK>(row, k + i));
      if constexpr (K % CHUNK != 0) {
        if (i < depth) store<CHUNK>(&rows[r][i], weight_tail<CHUNK>(row, k + i, depth - i));
      }
    }
    for (int i = 0; i < depth; i += VEC) {
      vec<float, VEC> square[VEC];
      UNROLL for (int r = 0; r < VEC; r++) square[r] = load<VEC>(&rows[r][i]);
      transpose(square);
      UNROLL for (int r = 0; r < VEC; r++) store<VEC>(&tile.panel[at / SPAN][i + r][at % SPAN], square[r]);
    }
  }
}

/** Brings elements k … k+depth of GROUP tokens to f32; tokens beyond the last are zero. */
DEVICE void pack_tokens(gemm_tile& tile, const matmul_call& call, int token, int k, int depth) {
  for (int t = 0; t < GROUP; t++) {
    const int there = token + t < call.tokens ? depth : 0;
    const x_t* row = x_row(call, there ? token + t : 0) + k;
    for (int i = 0; i < depth; i += VEC) store<VEC>(&tile.tokens[t][i], load_tail<VEC>(row + i, max_int(there - i, 0)));
  }
}

/** Adds a slice's products to the sums of GROUP tokens × SPAN columns, held in registers. */
DEVICE void multiply(gemm_tile& tile, int token, int span, int depth, bool first) {
  vec<float, VEC> sum[GROUP][2];
  UNROLL for (int t = 0; t < GROUP; t++)
    UNROLL for (int c = 0; c < 2; c++) sum[t][c] = splat<VEC>(0.f);
  const float* column = tile.panel[span][0];
  for (int i = 0; i < depth; i++, column += SPAN) {
    const vec<float, VEC> left = load<VEC>(column), right = load<VEC>(column + VEC);
    UNROLL for (int t = 0; t < GROUP; t++) {
      const vec<float, VEC> x = splat<VEC>(tile.tokens[t][i]);
      sum[t][0] = fma(left, x, sum[t][0]);
      sum[t][1] = fma(right, x, sum[t][1]);
    }
  }
  UNROLL for (int t = 0; t < GROUP; t++)
    UNROLL for (int c = 0; c < 2; c++) {
      float* const to = &tile.sums[token + t][span * SPAN + c * VEC];
      store<VEC>(to, first ? sum[t][c] : sum[t][c] + load<VEC>(to));
    }
}

/** A tile of few tokens, without a panel. */
DEVICE void dot_tile(const matmul_call& call, int n, int columns, int token, int tokens) {
  const int half = ceil_div(columns, 2);
  for (int c = 0; c < half; c++) {
    if (tokens == 1) dot_columns<2, 1>(call, n + c, half, token);
    else
      for (int t = 0; t < tokens; t += 4) dot_columns<2, 4>(call, n + c, half, token + t);
  }
}

DEVICE void gemm_panel_tile(int index, const matmul_call& call) {
  const int n = index % COLUMN_TILES * TILE_COLUMNS, token = index / COLUMN_TILES * TILE_TOKENS;
  const int tokens = min_int(call.tokens - token, TILE_TOKENS), columns = min_int(N - n, TILE_COLUMNS);
  if (tokens <= FEW) return dot_tile(call, n, columns, token, tokens);
  alignas(64) gemm_tile tile;
  for (int k = 0; k < K; k += SLICE) {
    const int depth = min_int(SLICE, K - k);
    pack_weights(tile, call, n, k, depth);
    for (int t = 0; t < tokens; t += GROUP) {
      pack_tokens(tile, call, token + t, k, depth);
      for (int span = 0; span < SPANS; span++) multiply(tile, t, span, depth, k == 0);
    }
  }
  for (int t = 0; t < tokens; t++)
    for (int c = 0; c < columns; c += VEC)
      finish<VEC>(call, token + t, n + c, load<VEC>(&tile.sums[t][c]), load<VEC>(&tile.sums[t][TILE_ROWS - TILE_COLUMNS + c]));
}

DEVICE void gemm_panel_tiles(const matmul_call& call) {
  const int tiles = COLUMN_TILES * ceil_div(call.tokens, TILE_TOKENS);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) gemm_panel_tile(tile, call);
}

KERNEL void gemm_panel(y_t* y, const x_t* x, const u8* w, const bias_t* bias, const residual_t* residual, i32 T) {
  if (thread_id() == 0) gemm_panel_tiles({y, x, w, bias, residual, T});
}
