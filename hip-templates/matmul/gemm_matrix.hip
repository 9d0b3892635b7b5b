// gemm_matrix: y[t,n] = epilogue(Σ_k x[t,k] · w[n,k]) for many tokens on matrix units (prelude/matrix/unit.h)
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; w: rows of weight_t, see operands.h
//   launch    block = BLOCK; dynamic LDS for BUFFERS · SLICE_BYTES; tiles of TILE_ROWS rows of w × TILE_TOKENS tokens, walked
//             grid-stride, tokens innermost: blocks that run together share rows of w in L2
//   work      a team loop: all threads bring the next slices of DEPTH elements to LDS while their waves multiply this one, by
//             asynchronous copies BUFFERS - 1 slices ahead, or through registers: w is dequantised there, x split into TERMS.
//             With two BUFFERS or more (a double buffer, a ring) a slice costs one barrier, else two. Gate and up alternate by fragments, so that one lane has both sums of a
//             column; results go from registers to y in runs of RUN columns, without LDS
//   lds       rows of 128 bytes, without bank conflicts (prelude/matrix/swizzle.h)
//   aliasing  y may be residual
//   numerics  w is exact in mat_t, or rounded to f16 where it is quantised. x has mat_t's type, or is f32 and split into TERMS
//             numbers of it, each what is left after those before, rounded. Products are exact, sums are in f32
//   limits    K a multiple of 8; any T ≥ 0, N: what lies beyond is computed on zeros and not written
#ifndef P_MATRIX_ELEM
#define P_MATRIX_ELEM f16_t  // what is multiplied: f16_t or bf16_t
#endif
#ifndef P_TERMS
#define P_TERMS 1  // numbers of that type that make an x
#endif
#ifndef P_TILE_ROWS
#define P_TILE_ROWS 128  // rows of w in a block's tile; with swiglu half of gate, half of up
#endif
#ifndef P_TILE_TOKENS
#define P_TILE_TOKENS 128  // tokens of a block's tile
#endif
#ifndef P_WAVE_TOKENS
#define P_WAVE_TOKENS 64  // tokens of a wave's share; its rows of w follow from the number of waves
#endif
#ifndef P_BUFFERS
#define P_BUFFERS 1  // of slices in LDS
#endif
#include "matmul/operands.h"
#include "prelude/lds-copy.h"
#include "prelude/matrix/swizzle.h"
#include "prelude/matrix/unit.h"

typedef P_MATRIX_ELEM mat_t;
typedef matrix_unit<mat_t> unit;
constexpr int TERMS = P_TERMS, TILE_ROWS = P_TILE_ROWS, TILE_TOKENS = P_TILE_TOKENS, BUFFERS = P_BUFFERS;
constexpr int TILE_COLUMNS = TILE_ROWS / PARTS, COLUMN_TILES = (N + TILE_COLUMNS - 1) / TILE_COLUMNS;
constexpr int WAVE_TOKENS = P_WAVE_TOKENS, WAVES_ACROSS = TILE_TOKENS / WAVE_TOKENS;
constexpr int WAVES_DOWN = WAVES / WAVES_ACROSS, WAVE_ROWS = TILE_ROWS / WAVES_DOWN;
static_assert(TILE_TOKENS % WAVE_TOKENS == 0 && WAVES % WAVES_ACROSS == 0 && TILE_ROWS % WAVES_DOWN == 0,
              "waves share a tile evenly");
constexpr int ROW_FRAGMENTS = WAVE_ROWS / unit::ROWS, TOKEN_FRAGMENTS = WAVE_TOKENS / unit::COLUMNS;
static_assert(WAVE_ROWS % (unit::ROWS * PARTS) == 0 && WAVE_TOKENS % unit::COLUMNS == 0, "a wave's share is whole fragments");
static_assert(K % 8 == 0, "a row is whole chunks of 16 bytes");

constexpr int CHUNK = 8, CHUNKS = 8, DEPTH = CHUNK * CHUNKS;  // elements of a chunk, chunks and elements of a row of a slice
constexpr int SLICE = (TILE_ROWS + TERMS * TILE_TOKENS) * DEPTH, SLICE_BYTES = SLICE * 2;
constexpr int RUN = unit::RUN, OUT = N % RUN == 0 ? RUN : 1;  // columns of an aligned store
static_assert(DEPTH % unit::STEP == 0 && unit::ROWS == 16, "slices are whole steps; gate and up alternate by 16 rows");

/** The column of y, from the tile's first, that row `row` of the tile adds to, and which of its PARTS. */
DEVICE int column_of(int row) { return PARTS == 1 ? row : row / 32 * 16 + row % 16; }
DEVICE int part_of(int row) { return PARTS == 1 ? 0 : row / 16 % 2; }

constexpr bool W_RAW = weight_t::block_elems == 1, X_RAW = TERMS == 1;
static_assert(!X_RAW || same_type<x_t, mat_t>::value, "one term holds an x of its own type");
/** Elements that LDS takes as they are go there without a register on the way, where several buffers leave them time. */
constexpr bool W_COPIED = W_RAW && ASYNC_COPIES && BUFFERS > 1, X_COPIED = X_RAW && ASYNC_COPIES && BUFFERS > 1;

/** f(n, row, chunk) of each chunk that this thread brings of a slice's ROWS rows, n < SHARE. */
template <int ROWS> struct slice_share {
  static constexpr int SHARE = ceil_div(ROWS * CHUNKS, BLOCK);
  template <class F> static DEVICE void each(F f) {
    UNROLL for (int n = 0; n < SHARE; n++) {
      const int i = n * BLOCK + thread_id();
      if (ROWS * CHUNKS % BLOCK == 0 || i < ROWS * CHUNKS) f(n, i / CHUNKS, i % CHUNKS);
    }
  }
};
/** Does element `at` of a row lie in it? Known for all where rows are whole slices. */
DEVICE bool in_row(int at) { return K % DEPTH == 0 || at < K; }

/**
 * This thread's part of w in a slice: load() prefetches it into registers and store() puts it into LDS, or, where it is COPIED,
 * copy() sends it there. Rows beyond the last repeat it: what comes of them is not written. Offsets are of 32 bits, from the
 * tile's first row.
 */
template <class W, bool RAW, bool COPIED> struct w_part : slice_share<TILE_ROWS> {
  typedef slice_share<TILE_ROWS> share;
  const u8* base;
  u32 at[share::SHARE];
  vec<float, RAW ? 1 : CHUNK> numbers[RAW ? 1 : share::SHARE];
  words<4> raw[RAW && !COPIED ? share::SHARE : 1];

  DEVICE w_part(const matmul_call& call, int n0) {
    base = weight_row(call, n0);
    share::each([&](int i, int row, int) {
      at[i] = u32(min_int(n0 + column_of(row), N - 1) - n0 + part_of(row) * N) * u32(W::row_bytes(K));
    });
  }
  DEVICE void load(int k) {
    if constexpr (COPIED) return;
    share::each([&](int i, int, int chunk) {
      const int from = k + chunk * CHUNK;
      if constexpr (RAW) raw[i] = in_row(from) ? load_words<4, 16, true>(base + at[i] + from * 2) : words<4>{};
      else numbers[i] = in_row(from) ? W::template load<CHUNK>(base + at[i], from) : splat<CHUNK>(0.f);
    });
  }
  DEVICE void store(mat_t* slice) const {
    if constexpr (COPIED) return;
    share::each([&](int i, int row, int chunk) {
      if constexpr (RAW) store_words(slice + swizzled(row, chunk), raw[i]);
      else ::store<CHUNK>(slice + swizzled(row, chunk), numbers[i]);
    });
  }
  DEVICE void copy(mat_t* slice, int k) const {
    if constexpr (!COPIED) return;
    share::each([&](int i, int row, int chunk) {
      const int from = k + chunk * CHUNK;
      copy_to_lds_if(in_row(from), slice + swizzled(row, chunk), base + at[i] + (in_row(from) ? from : 0) * 2);
    });
  }
};

/** The same of x: tokens, and TERMS numbers of each element in LDS. */
template <class X, bool RAW, bool COPIED> struct x_part : slice_share<TILE_TOKENS> {
  typedef slice_share<TILE_TOKENS> share;
  const X* base;
  u32 at[share::SHARE];
  vec<float, RAW ? 1 : CHUNK> numbers[RAW ? 1 : share::SHARE];
  words<4> raw[RAW && !COPIED ? share::SHARE : 1];

  DEVICE x_part(const matmul_call& call, int t0) {
    base = x_row(call, t0);
    share::each([&](int i, int token, int) { at[i] = u32(min_int(t0 + token, call.tokens - 1) - t0) * K; });
  }
  DEVICE void load(int k) {
    if constexpr (COPIED) return;
    share::each([&](int i, int, int chunk) {
      const int from = k + chunk * CHUNK;
      if constexpr (RAW) raw[i] = in_row(from) ? load_words<4, 16, false>(base + at[i] + from) : words<4>{};
      else numbers[i] = in_row(from) ? ::load<CHUNK>(base + at[i] + from) : splat<CHUNK>(0.f);
    });
  }
  DEVICE void store(mat_t* slice) const {
    if constexpr (COPIED) return;
    share::each([&](int i, int token, int chunk) {
      if constexpr (RAW) {
        store_words(slice + swizzled(TILE_ROWS + token, chunk), raw[i]);
      } else {
        vec<float, CHUNK> left = numbers[i];
        UNROLL for (int term = 0; term < TERMS; term++) {
          ::store<CHUNK>(slice + swizzled(TILE_ROWS + term * TILE_TOKENS + token, chunk), left);
          UNROLL for (int e = 0; e < CHUNK; e++) left.set(e, left[e] - float(mat_t(left[e])));
        }
      }
    });
  }
  DEVICE void copy(mat_t* slice, int k) const {
    if constexpr (!COPIED) return;
    share::each([&](int i, int token, int chunk) {
      const int from = k + chunk * CHUNK;
      copy_to_lds_if(in_row(from), slice + swizzled(TILE_ROWS + token, chunk), base + at[i] + (in_row(from) ? from : 0));
    });
  }
};

/** A wave's share of the tile, from its first row of w and its first token. */
struct wave_tile {
  float acc[ROW_FRAGMENTS][TOKEN_FRAGMENTS][unit::RUNS * RUN];

  DEVICE void clear() {
    UNROLL for (int i = 0; i < ROW_FRAGMENTS; i++)
      UNROLL for (int j = 0; j < TOKEN_FRAGMENTS; j++)
        UNROLL for (int e = 0; e < unit::RUNS * RUN; e++) acc[i][j][e] = 0.f;
  }

  /** Where this lane's loads of a fragment begin: fragments lie multiples of 8 rows apart, which says how chunks are placed. */
  template <int LOADS, class F> struct lane_rows {
    const mat_t* from[LOADS];
    int swizzles[LOADS];
    DEVICE lane_rows(const mat_t* slice, int first, F row_of) {
      UNROLL for (int l = 0; l < LOADS; l++) from[l] = slice + (first + row_of(l)) * DEPTH, swizzles[l] = swizzle(row_of(l));
    }
    /** 16 bytes of the row `rows` below, a multiple of 8, from chunk `chunk` */
    DEVICE words<4> load(int l, int rows, int chunk) const {
      return load_words<4, 16, false>(from[l] + (chunk ^ swizzles[l] ^ rows / 8 % 2 * 2) * CHUNK + rows * DEPTH);
    }
  };

  /** Multiplies a slice: holds the fragments of whichever operand has fewer of them, and takes the other's one by one. */
  DEVICE void step(const mat_t* slice, int row, int token) {
    const auto w_row = [](int l) { return unit::row_of(l); };
    const auto x_row = [](int l) { return unit::token_of(l); };
    const lane_rows<unit::W_LOADS, decltype(w_row)> w_rows(slice, row, w_row);
    const lane_rows<unit::X_LOADS, decltype(x_row)> x_rows(slice, TILE_ROWS + token, x_row);
    UNROLL for (int s = 0; s < DEPTH / unit::STEP; s++) {
      const int chunk = s * (unit::STEP / CHUNK) + unit::chunk();
      const auto load_w = [&](typename unit::w_fragment& w, int i) {
        UNROLL for (int l = 0; l < unit::W_LOADS; l++)
          UNROLL for (int c = 0; c < unit::CHUNKS; c++) w.set(l, c, w_rows.load(l, i * unit::ROWS, chunk + c));
      };
      const auto load_x = [&](typename unit::x_fragment& x, int term, int j) {
        UNROLL for (int l = 0; l < unit::X_LOADS; l++)
          UNROLL for (int c = 0; c < unit::CHUNKS; c++)
            x.set(l, c, x_rows.load(l, term * TILE_TOKENS + j * unit::COLUMNS, chunk + c));
      };
      if constexpr (TERMS * TOKEN_FRAGMENTS <= ROW_FRAGMENTS) {
        typename unit::x_fragment x[TERMS][TOKEN_FRAGMENTS];
        UNROLL for (int term = 0; term < TERMS; term++)
          UNROLL for (int j = 0; j < TOKEN_FRAGMENTS; j++) load_x(x[term][j], term, j);
        UNROLL for (int i = 0; i < ROW_FRAGMENTS; i++) {
          typename unit::w_fragment w;
          load_w(w, i);
          UNROLL for (int term = 0; term < TERMS; term++)
            UNROLL for (int j = 0; j < TOKEN_FRAGMENTS; j++) unit::multiply(acc[i][j], w, x[term][j]);
        }
      } else {
        typename unit::w_fragment w[ROW_FRAGMENTS];
        UNROLL for (int i = 0; i < ROW_FRAGMENTS; i++) load_w(w[i], i);
        UNROLL for (int j = 0; j < TOKEN_FRAGMENTS; j++) {
          UNROLL for (int term = 0; term < TERMS; term++) {
            typename unit::x_fragment x;
            load_x(x, term, j);
            UNROLL for (int i = 0; i < ROW_FRAGMENTS; i++) unit::multiply(acc[i][j], w[i], x);
          }
        }
      }
    }
  }

  /** Writes the share: of columns from n, of tokens from t. */
  DEVICE void write(const matmul_call& call, int n, int t) const {
    UNROLL for (int j = 0; j < TOKEN_FRAGMENTS; j++) {
      UNROLL for (int run = 0; run < unit::RUNS; run++) {
        const int token = t + j * unit::COLUMNS + unit::token(run);
        if (token >= call.tokens) continue;
        UNROLL for (int i = 0; i < ROW_FRAGMENTS; i += PARTS) {
          const int column = n + i / PARTS * unit::ROWS + unit::first_row(run);
          UNROLL for (int e = 0; e < RUN; e += OUT) {
            vec<float, OUT> sum, up;
            UNROLL for (int r = 0; r < OUT; r++) {
              sum.set(r, acc[i][j][run * RUN + e + r]);
              up.set(r, acc[i + PARTS - 1][j][run * RUN + e + r]);
            }
            if (column + e < N) finish<OUT>(call, token, column + e, sum, up);
          }
        }
      }
    }
  }
};

DEVICE void gemm_matrix_tile(int index, const matmul_call& call, mat_t* lds) {
  const int token_tiles = ceil_div(call.tokens, TILE_TOKENS);
  const int n0 = index / token_tiles * TILE_COLUMNS, t0 = index % token_tiles * TILE_TOKENS;
  const int wave = wave_uniform(wave_id());
  const int row = wave / WAVES_ACROSS * WAVE_ROWS, token = wave % WAVES_ACROSS * WAVE_TOKENS;
  w_part<weight_t, W_RAW, W_COPIED> w(call, n0);
  x_part<x_t, X_RAW, X_COPIED> x(call, t0);
  wave_tile tile;
  tile.clear();
  if constexpr (BUFFERS == 1) {
    w.load(0), x.load(0);
    KEEP_LOOP for (int k = 0; k < K; k += DEPTH) {
      w.store(lds), x.store(lds);
      block_sync();
      if (k + DEPTH < K) w.load(k + DEPTH), x.load(k + DEPTH);
      tile.step(lds, row, token);
      block_sync();
    }
    tile.write(call, n0 + row / PARTS, t0 + token);
  } else {
    UNROLL for (int s = 0; s < BUFFERS - 1; s++) {
      if (s * DEPTH < K) w.copy(lds + s * SLICE, s * DEPTH), x.copy(lds + s * SLICE, s * DEPTH);
      commit_copies();
    }
    w.load(0), x.load(0);
    w.store(lds), x.store(lds);
    if (DEPTH < K) w.load(DEPTH), x.load(DEPTH);
    int current = 0;
    KEEP_LOOP for (int k = 0; k < K; k += DEPTH) {
      wait_for_copies<BUFFERS - 2>();
      block_sync();  // this slice is there, and nobody reads the one before any more
      const int next = current + 1 == BUFFERS ? 0 : current + 1, last = current == 0 ? BUFFERS - 1 : current - 1;
      if (k + DEPTH < K) w.store(lds + next * SLICE), x.store(lds + next * SLICE);
      if (k + 2 * DEPTH < K) w.load(k + 2 * DEPTH), x.load(k + 2 * DEPTH);
      constexpr int AHEAD = (BUFFERS - 1) * DEPTH;
      if (k + AHEAD < K) w.copy(lds + last * SLICE, k + AHEAD), x.copy(lds + last * SLICE, k + AHEAD);
      commit_copies();
      tile.step(lds + current * SLICE, row, token);
      current = next;
    }
    tile.write(call, n0 + row / PARTS, t0 + token);
    block_sync();  // the next tile begins with the first buffer
  }
}

KERNEL void gemm_matrix(y_t* y, const x_t* x, const u8* w, const bias_t* bias, const residual_t* residual, i32 T) {
  mat_t* const lds = dyn_lds<mat_t>();
  const int tiles = COLUMN_TILES * ceil_div(T, TILE_TOKENS);
  for (int tile = block_id(); tile < tiles; tile += grid_size())
    gemm_matrix_tile(tile, {y, x, w, bias, residual, T}, lds);
}
