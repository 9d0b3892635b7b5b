// gemv: y[t,n] = epilogue(Σ_k x[t,k] · w[n,k]) for few tokens: every weight is read once and used for TOKENS tokens
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; w: rows of weight_t, see operands.h
//   launch    block = BLOCK; tiles of TOKENS tokens × WAVES · ROWS · STRIPS columns, walked grid-stride
//   work      a wave makes ROWS columns at a time: its lanes share each row, CHUNK elements a lane and step
//   aliasing  y may be residual
//   numerics  products summed in f32, in VEC or WAVE partial sums; see dot.h, operands.h
//   limits    any T ≥ 0, N, K; any WAVE, any BLOCK. Lanes whose wave is 1 wide mask the tail of K; wider waves take
//             chunks that divide K
#ifndef P_ROWS
#define P_ROWS 4  // columns of y that a wave makes at a time; they share the loads of x
#endif
#ifndef P_TOKENS
#define P_TOKENS 1  // tokens that share the loads of w
#endif
#ifndef P_STRIPS
#define P_STRIPS 1  // times ROWS columns that a wave makes one after another
#endif
#define P_CHUNK 8  // elements of a row that a lane takes at a time, where a wave has several lanes
#ifndef P_DEPTH
#define P_DEPTH 2  // chunks of each row in flight
#endif
#include "matmul/dot.h"

constexpr int ROWS = P_ROWS, TOKENS = P_TOKENS, STRIPS = P_STRIPS;
constexpr int TILE_COLUMNS = WAVES * ROWS * STRIPS, COLUMN_TILES = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;

/**
 * A wave's columns: ROWS at a time, STRIPS apart, so that each of its ROWS streams of weights runs on without a gap. A
 * CPU's prefetcher needs that: rows side by side, sharing a page, read at a third of the speed.
 */
DEVICE void gemv_tile(int tile, const matmul_call& call) {
  const int from = tile % COLUMN_TILES * TILE_COLUMNS + wave_id() * (ROWS * STRIPS);
  for (int n = from; n < min_int(from + STRIPS, N); n++)
    dot_columns<ROWS, TOKENS>(call, n, STRIPS, tile / COLUMN_TILES * TOKENS);
}

DEVICE void gemv_tiles(const matmul_call& call) {
  const int tiles = COLUMN_TILES * ceil_div(call.tokens, TOKENS);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) gemv_tile(tile, call);
}

KERNEL void gemv(y_t* y, const x_t* x, const u8* w, const bias_t* bias, const residual_t* residual, i32 T) {
  gemv_tiles({y, x, w, bias, residual, T});
}
