// gemv: y[t,n] = epilogue(Σ_k x'[t,k] · w[n,k]) for a few tokens on matrix instructions: 16-bit weights go from memory straight
// into them, x' comes from LDS. x' is x, or with P_NORM rms_norm(x), as in gemv_stream.hip.
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; norm: norm_t[K]; w: f16 or bf16 rows;
//             with slices partial: f32[SLICES, T, PARTS, N], arrivals: u32[MOST_SHARES], 0 before and after
//   launch    grid: any, best P_BLOCKS_PER_CU blocks for each CU; block = BLOCK; dynamic LDS for X_BUFFERS · X_BYTES and
//             SUM_BUFFERS · TOKENS · TOKEN_SUMS floats, with one pass NORM_BYTES at least
//   work      a block has a contiguous share of the columns, which its TEAMS of SEGMENTS waves take in turns. A wave
//             multiplies a fragment of 16 rows of w (with swiglu 8 of gate and 8 of up) by all tokens over its segment of K, and always has
//             DEPTH steps of 32 elements in flight, of the same rows or of the next. Where x of all K has no room in LDS, it
//             is copied there in PASSES, anew in each turn, into a double
//             buffer: the next pass while this one is multiplied. It lies there as fragments, 16 bytes a lane.
//             With SLICES > 1 a block has a share of the columns and one slice of K: sums of slices go to `partial`, and the
//             block that comes last adds them, always in the same order.
//             Which elements one instruction multiplies does not matter as long as w and x agree
//   numerics  x' is rounded to w's type where x has 16 bits, as an rms_norm of its own would; else it is split into SPLITS
//             numbers of w's type. Products are exact, sums are in f32, in an order that the grid does not change. The norm's
//             factor multiplies finished sums
//   aliasing  y may be residual
//   limits    WAVE 32; K a multiple of 32; BLOCK ≥ 4 · TOKENS; any T ≥ 0, N, grid
#ifndef P_TOKENS
#define P_TOKENS 8
#endif
#ifndef P_SPLITS
#define P_SPLITS 1  // parts of an x': 1 (8 or 11 bits), 2 (16) or 3 (24)
#endif
#ifndef P_SEGMENTS
#define P_SEGMENTS 8  // waves that share a row
#endif
#ifndef P_SLICES
#define P_SLICES 1  // blocks that share a row
#endif
#ifndef P_PASSES
#define P_PASSES 1  // in which x comes to LDS
#endif
#ifndef P_DEPTH
#define P_DEPTH 8  // steps in flight to a wave
#endif
#ifndef P_BUNCH
#define P_BUNCH 2  // steps that are multiplied, then refilled, together
#endif
#ifndef P_TILE
#define P_TILE 1  // turns between two barriers; with several passes 1
#endif
#ifndef P_BLOCKS_PER_CU
#define P_BLOCKS_PER_CU 1  // blocks for each CU in the grid: their registers must fit
#endif
#include "matmul/share.h"
#include "prelude/atomic.h"
#include "prelude/lds-copy.h"
#include "prelude/mma-sync.h"

static_assert(WAVE == 32 && K % 32 == 0, "lanes form 8 groups of 4");
typedef typename elements_of<weight_t>::type weight_elem_t;
constexpr int TOKENS = P_TOKENS, SPLITS = P_SPLITS, SEGMENTS = P_SEGMENTS, PASSES = P_PASSES, DEPTH = P_DEPTH;
constexpr int BUNCH = P_BUNCH, TILE = P_TILE, TEAMS = WAVES / SEGMENTS;
constexpr int SLICES = P_SLICES, ALL_STEPS = K / 32 / SLICES;  // of 32 elements, in a slice
constexpr int STEPS = ceil_div(ceil_div(ALL_STEPS, SEGMENTS * PASSES), DEPTH) * DEPTH;  // of a wave in a pass
constexpr int PASS_STEPS = SEGMENTS * STEPS;
constexpr bool EXACT = PASS_STEPS * PASSES == ALL_STEPS;
static_assert(SLICES == 1 || (!NORMED && K % (32 * SLICES) == 0), "slices are equal, and see squares of their own part alone");
static_assert(TEAMS >= 1 && (PASSES == 1 || TILE == 1), "a block needs a wave for each segment; sums stay in registers");
constexpr int ACROSS = ceil_div(TOKENS * SPLITS, 8);  // instructions side by side, each with 8 columns
constexpr bool MERGED = TOKENS % 8 == 0;              // all splits of a token add to the same sums
constexpr int SUMS = MERGED ? TOKENS / 8 : ACROSS, TERMS = MERGED ? SEGMENTS : SEGMENTS * SPLITS;
constexpr int GROUPS = min_int(8, TOKENS * SPLITS);  // of lanes whose columns LDS holds; the others' sums nobody reads
constexpr int COLUMNS = 16 / PARTS;                  // of a turn of a team
constexpr int TILE_LINES = TILE * TEAMS * 16, TILE_COLUMNS = TILE_LINES / PARTS;
constexpr int STRIDE = stride_of(TERMS), TOKEN_SUMS = (TILE_LINES + 4) * STRIDE;  // 4: tokens begin in different LDS banks
constexpr int UNIT = SLICES == 1 ? 1 : N % 4 == 0 ? 4 : 1;  // columns of an access to sums of slices
constexpr int SUM_BUFFERS = PASSES == 1 && SLICES == 1 ? 2 : 1, X_BUFFERS = PASSES == 1 ? 1 : 2;
constexpr int FRAGMENT_BYTES = PASS_STEPS * ACROSS * GROUPS * 64, NORM_BYTES = NORMED ? PASS_STEPS * 32 * int(sizeof(norm_t)) : 0;
constexpr int X_BYTES = FRAGMENT_BYTES + (PASSES == 1 ? 0 : NORM_BYTES);  // of a pass; in a single one sums overwrite the norm

/** Where a lane stands: its group is a row of w and a column of x, its place in the group which elements of each 32. */
struct lane_position {
  int group, place, segment, team;
  bool at_work;
  DEVICE lane_position() {
    const int wave = wave_uniform(wave_id());
    group = lane_id() / 4, place = lane_id() % 4;
    segment = wave % SEGMENTS, team = wave / SEGMENTS, at_work = team < TEAMS;
  }
};

// ---- x -------------------------------------------------------------------------------------------------------------

/** A lane's 8 elements of a step for one column, packed in pairs. */
typedef words<4> x_fragment;

CONSTANT int power_of_two_from(int n) { return n <= 1 ? 1 : 2 * power_of_two_from((n + 1) / 2); }
/** Threads that bring a step of x to LDS: 4 for each token. */
constexpr int LOADERS = 4 * power_of_two_from(TOKENS), LOADED_STEPS = BLOCK / LOADERS;
constexpr int SQUARE_TERMS = ceil_div(BLOCK, max_int(LOADERS, WAVE)), SQUARE_STRIDE = stride_of(SQUARE_TERMS);
static_assert(LOADED_STEPS >= 1, "BLOCK must be at least four threads a token");
constexpr int RAW = int(sizeof(x_t)) / 2;  // pieces that 8 elements of x take as they come
constexpr bool CONVERTS = NORMED || !same_type<x_t, weight_elem_t>::value;
static_assert(RAW <= SPLITS, "what comes has room where the splits will be");

/** Column c has split c / TOKENS of token c % TOKENS; this is where a step's piece of it lies among the pieces of the pass. */
DEVICE int fragment_at(int step, int column, int place) {
  return ((step * ACROSS + column / 8) * GROUPS + column % 8) * 4 + place;
}

/**
 * A thread's part in bringing x to LDS, always the same token: it is copied as it is, to where its splits will lie, and
 * normed and split there by the thread that copied it.
 */
struct x_loader {
  int place, token, first;
  bool at_work;
  float squares = 0.f;
  DEVICE x_loader() {
    place = thread_id() % 4, token = thread_id() / 4 % (LOADERS / 4), first = thread_id() / LOADERS;
    at_work = token < TOKENS && first < LOADED_STEPS;
  }
  static DEVICE int steps_of(int pass) { return EXACT ? PASS_STEPS : min_int(PASS_STEPS, ALL_STEPS - pass * PASS_STEPS); }
  static DEVICE norm_t* norm_in(x_fragment* x) { return (norm_t*)((u8*)x + FRAGMENT_BYTES); }

  /** Has a pass of x copied to x. */
  DEVICE void copy(x_fragment* x, const matmul_call& call, int pass) const {
    if (!at_work) return;
    const int steps = steps_of(pass);
    const x_t* const row = x_row(call, min_int(token, call.tokens - 1)) + pass * PASS_STEPS * 32 + place * 8;
    for (int step = first; step < steps; step += LOADED_STEPS) {
      UNROLL for (int i = 0; i < RAW; i++)
        copy_to_lds(x + fragment_at(step, i * TOKENS + token, place), (const u8*)(row + step * 32) + i * 16);
    }
  }

  /** The same for the norm's weights, which no launch writes. */
  static DEVICE void copy_norm(x_fragment* x, const norm_t* norm, int pass) {
    if constexpr (NORMED) {
      constexpr int EACH = 16 / int(sizeof(norm_t));
      const norm_t* const from = norm + pass * PASS_STEPS * 32;
      for (int i = thread_id() * EACH; i < steps_of(pass) * 32; i += BLOCK * EACH) copy_to_lds(norm_in(x) + i, from + i);
    }
  }

  /** Makes what was copied what multiply wants; then all threads may read it. */
  DEVICE void convert(x_fragment* x, int pass) {
    wait_for_copies();
    if constexpr (NORMED) block_sync();
    if constexpr (CONVERTS) {
      if (at_work) {
        const int steps = steps_of(pass);
        for (int step = first; step < steps; step += LOADED_STEPS) convert_step(x, step);
      }
    }
    block_sync();
  }

  /** Each split is what is left after those before, rounded. */
  DEVICE void convert_step(x_fragment* x, int step) {
    vec<float, 8> v;
    if constexpr (RAW == 1) {
      v = load<8>((const x_t*)(x + fragment_at(step, token, place)));
    } else {
      v = join(load<4>((const x_t*)(x + fragment_at(step, token, place))),
               load<4>((const x_t*)(x + fragment_at(step, TOKENS + token, place))));
    }
    if constexpr (NORMED) {
      squares += hsum(v * v);
      v *= load<8>(norm_in(x) + step * 32 + place * 8);
    }
    UNROLL for (int which = 0; which < SPLITS; which++) {
      store<8>((weight_elem_t*)(x + fragment_at(step, which * TOKENS + token, place)), v);
      if (which + 1 < SPLITS) {
        UNROLL for (int i = 0; i < 8; i++) v.set(i, v[i] - float(weight_elem_t(v[i])));
      }
    }
  }

  /** Writes partial sums of squares, SQUARE_TERMS of each token. */
  DEVICE void store_squares(float* to) const {
    float sum = group_reduce<4>(squares, Add{});
    UNROLL for (int mask = LOADERS; mask < WAVE; mask *= 2) sum += wave_shfl_xor(sum, mask);
    if (place == 0 && lane_id() < LOADERS && token < TOKENS)
      to[token * SQUARE_STRIDE + thread_id() / max_int(LOADERS, WAVE)] = sum;
  }
};

// ---- w -------------------------------------------------------------------------------------------------------------

/** A lane's two rows of a turn, from its place. */
struct w_rows {
  const u8* from[2];
  /** of the columns from n, in a share whose last column is `last` */
  DEVICE w_rows(const u8* w, int n, int last, const lane_position& at) {
    UNROLL for (int r = 0; r < 2; r++) {
      const int row = PARTS == 2 ? min_int(n + at.group, last) + r * N : min_int(n + at.group + r * 8, last);
      from[r] = w + size_t(row) * ROW_BYTES + at.place * 16;
    }
  }
};

/** The lane's elements of a step of its two rows. */
struct w_fragment {
  words<4> rows[2];
  DEVICE void load(const w_rows& w, int step) {
    UNROLL for (int r = 0; r < 2; r++)
      rows[r] = load_words<4, 16, true>(w.from[r] + (EXACT ? step : min_int(step, ALL_STEPS - 1)) * 64);
  }
};

/** sums += rows of w times columns of x over the 32 elements of a step, whose first piece for the lane is at x. */
DEVICE void multiply(float (&sums)[SUMS][4], const w_fragment& w, const x_fragment* x) {
  UNROLL for (int j = 0; j < ACROSS; j++) {
    const x_fragment piece = load_words<4, 16, false>(x + j * GROUPS * 4);
    UNROLL for (int half = 0; half < 4; half += 2) {
      const u32 rows[4] = {w.rows[0].w[half], w.rows[1].w[half], w.rows[0].w[half + 1], w.rows[1].w[half + 1]};
      const u32 columns[2] = {piece.w[half], piece.w[half + 1]};
      mma_16x8x16(sums[j % SUMS], rows, columns, weight_elem_t());
    }
  }
}

// ---- sums ----------------------------------------------------------------------------------------------------------

/** Puts a team's sums of a turn, whose first line is `line`, where write_tile looks for them. Lines are rows of w. */
DEVICE void store_sums(float* to, int line, const float (&sums)[SUMS][4], const lane_position& at) {
  UNROLL for (int j = 0; j < SUMS; j++) {
    UNROLL for (int e = 0; e < 4; e++) {
      const int column = j * 8 + at.place * 2 + e % 2, token = column % TOKENS, which = column / TOKENS;
      if (MERGED || which < SPLITS)
        to[token * TOKEN_SUMS + (line + at.group + e / 2 * 8) * STRIDE + which * SEGMENTS + at.segment] = sums[j][e];
    }
  }
}

/** Writes y for `columns` columns from n, or the slice's sums to `partial`. */
DEVICE void write_tile(const matmul_call& call, float* partial, int n, int columns, const float* sums, const float* squares) {
  KEEP_LOOP for (int i = thread_id(); i < TILE_COLUMNS * TOKENS; i += BLOCK) {
    const int t = i / TILE_COLUMNS, column = i % TILE_COLUMNS;
    if (column >= columns || t >= call.tokens) continue;
    const float* const from = sums + t * TOKEN_SUMS + (column / COLUMNS * 16 + column % COLUMNS) * STRIDE;
    float sum = sum_of<TERMS>(from), up = SWIGLU ? sum_of<TERMS>(from + COLUMNS * STRIDE) : 0.f;
    if constexpr (NORMED) {
      const float factor = rsqrt_f32(sum_of<SQUARE_TERMS>(squares + t * SQUARE_STRIDE) * (1.f / K) + EPS);
      sum *= factor, up *= factor;
    }
    if constexpr (SLICES > 1) {
      float* const to = partial + size_t(t) * N * PARTS + n + column;
      to[0] = sum;
      if constexpr (SWIGLU) to[N] = up;
    } else {
      finish<1>(call, t, n + column, splat<1>(sum), splat<1>(up));
    }
  }
}

/** What the slices wrote becomes y, by the last of their blocks. */
DEVICE void combine_slices(const matmul_call& call, const float* partial, const share& own) {
  constexpr size_t SLICE = size_t(TOKENS) * N * PARTS;
  constexpr int TOGETHER = max_int(1, 8 / (SLICES * PARTS));  // loads of as many results are in flight
  const int units = own.count / UNIT, count = units * call.tokens;
  KEEP_LOOP for (int from = thread_id(); from < count; from += BLOCK * TOGETHER) {
    vec<float, UNIT> sums[TOGETHER][PARTS][SLICES], residual[TOGETHER];
    UNROLL for (int j = 0; j < TOGETHER; j++) {
      const int i = min_int(from + j * BLOCK, count - 1), t = i / units, n = own.first + i % units * UNIT;
      UNROLL for (int p = 0; p < PARTS; p++)
        UNROLL for (int s = 0; s < SLICES; s++)
          sums[j][p][s] = load<UNIT>(partial + s * SLICE + (size_t(t) * PARTS + p) * N + n);
      if constexpr (ADDS) residual[j] = load<UNIT>(call.residual + size_t(t) * N + n);  // y may be there: before any is written
    }
    UNROLL for (int j = 0; j < TOGETHER; j++) {
      const int i = from + j * BLOCK, t = i / units, n = own.first + i % units * UNIT;
      if (i >= count) break;
      UNROLL for (int p = 0; p < PARTS; p++)
        UNROLL for (int s = 1; s < SLICES; s++) sums[j][p][0] += sums[j][p][s];
      if constexpr (ADDS) {
        if constexpr (HAS_BIAS) sums[j][0][0] += load<UNIT>(call.bias + n);
        store<UNIT>(call.y + size_t(t) * N + n, sums[j][0][0] + residual[j]);
      } else {
        finish<UNIT>(call, t, n, sums[j][0][0], sums[j][PARTS - 1][0]);
      }
    }
  }
}

/** True in all threads of the block that comes last of those of a share. */
DEVICE bool is_last_slice(u32* arrivals) {
  LDS(u32, last, 1);
  device_release();  // every thread's sums are seen before the block is counted
  block_sync();
  if (thread_id() == 0) {
    device_fence();
    last[0] = atomic_add(arrivals, 1u) == u32(SLICES - 1);
    if (last[0]) *arrivals = 0;
    device_fence();
  }
  block_sync();
  return last[0] != 0;
}

// ---- a block -------------------------------------------------------------------------------------------------------

DEVICE void gemv_share(const matmul_call& call, const norm_t* norm, float* partial, const share& own) {
  if (own.count == 0 || call.tokens == 0) return await_earlier_launches();
  const lane_position at;
  const int turns = ceil_div(own.count, COLUMNS * TEAMS), last = own.first + own.count - 1;
  const auto column_of = [&](int turn) { return own.first + (turn * TEAMS + at.team) * COLUMNS; };
  const auto works_in = [&](int turn) { return at.at_work && turn < turns && column_of(turn) <= last; };
  LDS(float, squares, NORMED ? TOKENS * SQUARE_STRIDE : 1);
  x_fragment* const x = dyn_lds<x_fragment>();
  float* const tiles = (float*)((u8*)x + X_BUFFERS * X_BYTES);
  const auto x_in = [&](int buffer) { return (x_fragment*)((u8*)x + buffer * X_BYTES); };
  const int own_x = fragment_at(at.segment * STEPS, at.group % GROUPS, at.place);

  w_fragment ring[DEPTH];
  unset(ring);
  x_loader filling;
  block_sync();  // a stage before this one may have read the LDS
  if (works_in(0)) {
    const w_rows rows(call.w, column_of(0), last, at);
    UNROLL for (int d = 0; d < DEPTH; d++) ring[d].load(rows, at.segment * STEPS + d);
  }
  filling.copy_norm(x, norm, 0);
  await_earlier_launches();
  filling.copy(x, call, 0);
  if constexpr (PASSES == 1) filling.convert(x, 0);

  int sum_buffer = 0, x_buffer = 0;
  KEEP_LOOP for (int tile = 0; tile < turns; tile += TILE, sum_buffer = (sum_buffer + 1) % SUM_BUFFERS) {
    float* const tile_sums = tiles + sum_buffer * TOKENS * TOKEN_SUMS;
    const int end = min_int(tile + TILE, turns);
    if (SUM_BUFFERS == 1 && PASSES == 1 && tile > 0) block_sync();  // the sums of the tile before are read
    KEEP_LOOP for (int turn = tile; turn < end; turn++) {
      float sums[SUMS][4];
      UNROLL for (int j = 0; j < SUMS; j++)
        UNROLL for (int e = 0; e < 4; e++) sums[j][e] = 0.f;
      KEEP_LOOP for (int pass = 0; pass < PASSES; pass++) {
        const x_fragment* const pass_x = x_in(x_buffer) + own_x;
        if constexpr (PASSES > 1) {
          filling.convert(x_in(x_buffer), pass);  // now all are done with the pass before
          x_buffer ^= 1;
          const bool turns_over = pass + 1 == PASSES;
          if (!turns_over || turn + 1 < turns) {
            filling.copy_norm(x_in(x_buffer), norm, turns_over ? 0 : pass + 1);
            filling.copy(x_in(x_buffer), call, turns_over ? 0 : pass + 1);
          }
        }
        if (!works_in(turn)) continue;
        KEEP_LOOP for (int group = 0; group < STEPS; group += DEPTH) {
          // what is read next: the rows' next steps, those of the next pass, or the next rows
          const bool leaves_pass = group + DEPTH == STEPS, leaves_rows = leaves_pass && pass + 1 == PASSES;
          const int next_turn = leaves_rows ? turn + 1 : turn, next_pass = leaves_rows ? 0 : leaves_pass ? pass + 1 : pass;
          const int step = pass * PASS_STEPS + at.segment * STEPS + group;
          const int next = next_pass * PASS_STEPS + at.segment * STEPS + (leaves_pass ? 0 : group + DEPTH);
          const bool more = works_in(next_turn);
          const w_rows rows(call.w, column_of(next_turn), last, at);
          UNROLL for (int bunch = 0; bunch < DEPTH; bunch += BUNCH) {
            UNROLL for (int d = bunch; d < min_int(bunch + BUNCH, DEPTH); d++)
              if (EXACT || step + d < ALL_STEPS) multiply(sums, ring[d], pass_x + fragment_at(group + d, 0, 0));
            UNROLL for (int d = bunch; d < min_int(bunch + BUNCH, DEPTH); d++)
              if (more) ring[d].load(rows, next + d);
          }
        }
      }
      if (works_in(turn)) store_sums(tile_sums, ((turn - tile) * TEAMS + at.team) * 16, sums, at);
      if constexpr (NORMED) {
        if (turn == 0) filling.store_squares(squares);
      }
    }
    block_sync();  // sums of the next tile go to the other buffer, or wait for the barriers of its passes
    const int done = tile * TEAMS * COLUMNS;
    write_tile(call, partial, own.first + done, min_int(TILE_COLUMNS, own.count - done), tile_sums, squares);
  }
}

constexpr int MOST_SHARES = 1024;  // as in codegen/kernels/matmul/gemv-matrix.ts
DEVICE int sliced_shares() { return max_int(1, min_int(grid_size() / SLICES, MOST_SHARES)); }

/** The part of a call that slice `slice` has. */
DEVICE matmul_call slice_of(const matmul_call& call, int slice) {
  matmul_call own = call;
  own.x += slice * ALL_STEPS * 32, own.w += slice * ALL_STEPS * 64;
  return own;
}

KERNEL void gemv(y_t* y, float* partial, u32* arrivals, const x_t* x, const norm_t* norm, const u8* w, const bias_t* bias,
                 const residual_t* residual, i32 T) {
  const matmul_call call = {y, x, w, bias, residual, T};
  if constexpr (SLICES == 1) {
    gemv_share(call, norm, partial, share());
  } else {
    const int shares = sliced_shares();
    KEEP_LOOP for (int item = block_id(); item < shares * SLICES; item += grid_size()) {
      const int index = item / SLICES, slice = item % SLICES;
      const share own(index, shares, UNIT);
      gemv_share(slice_of(call, slice), norm, partial + slice * (size_t(TOKENS) * N * PARTS), own);
      if (is_last_slice(arrivals + index)) combine_slices(call, partial, own);
    }
    if (block_id() >= shares * SLICES) await_earlier_launches();  // nothing to do
  }
}

/** Prefetches into L2 what a block will read first; to be called before its gemv, with the same arguments and grid. */
DEVICE void gemv_prefetch(y_t*, float*, u32*, const x_t*, const norm_t*, const u8* w, const bias_t*, const residual_t*, i32) {
  if constexpr (SLICES == 1) {
    prefetch_first_weights(w);
  } else {
    constexpr int PIECE = ALL_STEPS * 64, ROWS = ceil_div(P_AHEAD, PIECE);
    const int shares = sliced_shares(), item = block_id();
    const share own(min_int(item / SLICES, shares - 1), shares, UNIT);
    const int i = thread_id();
    if (item < shares * SLICES && i < PARTS * min_int(ROWS, own.count))
      prefetch_l2(w + size_t(own.first + i / PARTS + i % PARTS * N) * ROW_BYTES + item % SLICES * PIECE, PIECE);
  }
}
