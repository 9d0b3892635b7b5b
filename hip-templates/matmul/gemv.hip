// gemv: y[t,n] = epilogue(Σ_k x[t,k] · w[n,k]) for few tokens: every weight is read once and used for TOKENS tokens
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; w: rows of weight_t, see operands.h
//   launch    block = BLOCK; tiles of TOKENS tokens × WAVES · ROWS · STRIPS columns, walked grid-stride
//   work      a wave makes ROWS columns at a time: its lanes share each row, CHUNK elements a lane and step
//   aliasing  y may be residual
//   numerics  products summed in f32, in VEC or WAVE partial sums; see operands.h
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
#ifndef P_CHUNK
#define P_CHUNK 8  // elements of a row that a lane takes at a time, where a wave has several lanes
#endif
#ifndef P_DEPTH
#define P_DEPTH 2  // chunks of each row in flight
#endif
#include "matmul/operands.h"

constexpr int ROWS = P_ROWS, TOKENS = P_TOKENS, STRIPS = P_STRIPS;

/** Elements that a lane takes at a time: SIMD registers where it is alone, else what aligned loads of x allow. */
constexpr int CHUNK = WAVE == 1 ? (QUANT ? 32 : VEC) : K % P_CHUNK == 0 ? P_CHUNK : K % 4 == 0 ? 4 : K % 2 == 0 ? 2 : 1;
/** Elements between the chunks of a lane. */
constexpr int STEP = WAVE * CHUNK;
/** Chunks of a row that are in flight: of a lone lane whole blocks, whose scales are then read once. */
constexpr int FLIGHT = WAVE == 1 && weight_t::block_elems > CHUNK * P_DEPTH ? weight_t::block_elems / CHUNK : P_DEPTH;

/** A running sum: one number a lane, or a SIMD register where a wave is one lane. */
typedef vec<float, WAVE == 1 ? VEC : 1> partial_t;

template <int M, int CHUNK_>
DEVICE void accumulate(vec<float, M>& sum, const vec<float, CHUNK_>& a, const vec<float, CHUNK_>& b) {
  if constexpr (M == CHUNK_) sum = fma(a, b, sum);
  else if constexpr (M == 1) {
    UNROLL for (int i = 0; i < CHUNK_; i++) sum.set(0, fma_f32(a[i], b[i], sum[0]));
  } else {
    accumulate(sum, a.lo, b.lo);
    accumulate(sum, a.hi, b.hi);
  }
}

struct gemv_rows {
  const u8* w[ROWS * PARTS];
  const x_t* x[TOKENS];
  partial_t sum[ROWS * PARTS][TOKENS];

  /** Adds the products of D chunks of every row, from element k. A lone lane's k starts a block: its offsets are known. */
  template <int D> DEVICE void add(int k) {
    const size_t start = WAVE == 1 ? weight_t::row_bytes(k) : 0;
    const int at = WAVE == 1 ? 0 : k;
    UNROLL for (int d = 0; d < D; d++) {
      vec<float, CHUNK> weights[ROWS * PARTS];
      UNROLL for (int r = 0; r < ROWS * PARTS; r++)
        weights[r] = weight_t::template load_nt<CHUNK>(w[r] + start, at + d * STEP);
      UNROLL for (int t = 0; t < TOKENS; t++) {
        const vec<float, CHUNK> chunk = load<CHUNK>(x[t] + k + d * STEP);
        UNROLL for (int r = 0; r < ROWS * PARTS; r++) accumulate(sum[r][t], weights[r], chunk);
      }
    }
  }

  /** Adds the products of the last n < CHUNK elements; only where a wave is one lane. */
  DEVICE void add_tail(int k, int n) {
    UNROLL for (int t = 0; t < TOKENS; t++) {
      const vec<float, CHUNK> chunk = load_tail<CHUNK>(x[t] + k, n);
      UNROLL for (int r = 0; r < ROWS * PARTS; r++) accumulate(sum[r][t], weight_tail<CHUNK>(w[r], k, n), chunk);
    }
  }
};

/** ROWS columns from `first`, TOKENS tokens from `token`; columns and tokens beyond the last repeat it unwritten. */
DEVICE void gemv_strip(const matmul_call& call, int first, int token) {
  gemv_rows rows;
  UNROLL for (int r = 0; r < ROWS; r++)
    UNROLL for (int p = 0; p < PARTS; p++) rows.w[r * PARTS + p] = weight_row(call, min_int(first + r, N - 1) + p * N);
  UNROLL for (int t = 0; t < TOKENS; t++) rows.x[t] = x_row(call, min_int(token + t, call.tokens - 1));
  UNROLL for (int r = 0; r < ROWS * PARTS; r++)
    UNROLL for (int t = 0; t < TOKENS; t++) rows.sum[r][t] = splat<WAVE == 1 ? VEC : 1>(0.f);

  int k = lane_id() * CHUNK;
  for (; k + (FLIGHT - 1) * STEP + CHUNK <= K; k += FLIGHT * STEP) rows.add<FLIGHT>(k);
  for (; k + CHUNK <= K; k += STEP) rows.add<1>(k);
  if constexpr (K % CHUNK != 0) rows.add_tail(k, K - k);

  UNROLL for (int r = 0; r < ROWS; r++)
    UNROLL for (int t = 0; t < TOKENS; t++) {
      float sum[PARTS];
      UNROLL for (int p = 0; p < PARTS; p++) sum[p] = wave_reduce(hsum(rows.sum[r * PARTS + p][t]), Add{});
      if (lane_id() == 0 && first + r < N && token + t < call.tokens)
        finish<1>(call, token + t, first + r, splat<1>(sum[0]), splat<1>(sum[PARTS - 1]));
    }
}

constexpr int TILE_COLUMNS = WAVES * ROWS * STRIPS, COLUMN_TILES = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;

DEVICE void gemv_tile(int tile, const matmul_call& call) {
  const int from = tile % COLUMN_TILES * TILE_COLUMNS + wave_id() * (ROWS * STRIPS);
  for (int n = from; n < min_int(from + ROWS * STRIPS, N); n += ROWS) gemv_strip(call, n, tile / COLUMN_TILES * TOKENS);
}

DEVICE void gemv_tiles(const matmul_call& call) {
  const int tiles = COLUMN_TILES * ceil_div(call.tokens, TOKENS);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) gemv_tile(tile, call);
}

extern "C" __global__ __launch_bounds__(BLOCK)
void gemv(y_t* y, const x_t* x, const u8* w, const bias_t* bias, const residual_t* residual, i32 T) {
  gemv_tiles({y, x, w, bias, residual, T});
}
