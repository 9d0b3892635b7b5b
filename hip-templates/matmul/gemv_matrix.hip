// gemv: y[t,n] = epilogue(Σ_k x'[t,k] · w[n,k]) for a few tokens on matrix instructions: 16-bit weights go from memory straight
// into them, x' comes from LDS. x' is x, or with P_NORM rms_norm(x), as in gemv_stream.hip.
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; norm: norm_t[K]; w: f16 or bf16 rows
//   launch    grid: any, best P_BLOCKS_PER_CU blocks for each CU; block = BLOCK; dynamic LDS for X_BYTES + SUM_BYTES
//   work      a block has a contiguous share of the columns, which its TEAMS of SEGMENTS waves take in turns. A wave
//             multiplies 16 rows of w (with swiglu 8 of gate and 8 of up) by all tokens over its segment of K, and always has
//             DEPTH steps of 32 elements on their way, of the same rows or of the next. Where x of all K has no room in LDS, it
//             is brought there in PASSES, anew in each turn. x lies there as lanes want it: 16 bytes each, one after the other.
//             Which elements meet in one instruction does not matter as long as w and x agree
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
#ifndef P_PASSES
#define P_PASSES 1  // in which x comes to LDS
#endif
#ifndef P_DEPTH
#define P_DEPTH 8  // steps on their way to a wave
#endif
#ifndef P_TILE
#define P_TILE 1  // turns between two meetings; with several passes 1
#endif
#ifndef P_BLOCKS_PER_CU
#define P_BLOCKS_PER_CU 1  // blocks for each CU in the grid: their registers must fit
#endif
#include "matmul/share.h"
#include "prelude/tile.h"

static_assert(WAVE == 32 && K % 32 == 0, "lanes form 8 groups of 4");
typedef typename elements_of<weight_t>::type weight_elem_t;
constexpr int TOKENS = P_TOKENS, SPLITS = P_SPLITS, SEGMENTS = P_SEGMENTS, PASSES = P_PASSES, DEPTH = P_DEPTH;
constexpr int TILE = P_TILE, TEAMS = WAVES / SEGMENTS;
constexpr int ALL_STEPS = K / 32, STEPS = ceil_div(ceil_div(ALL_STEPS, SEGMENTS * PASSES), DEPTH) * DEPTH;  // of a wave in a pass
constexpr int PASS_STEPS = SEGMENTS * STEPS;
constexpr bool EXACT = PASS_STEPS * PASSES == ALL_STEPS;
static_assert(TEAMS >= 1 && (PASSES == 1 || TILE == 1), "a block needs a wave for each segment; sums stay in registers");
constexpr int ACROSS = ceil_div(TOKENS * SPLITS, 8);  // instructions side by side, each with 8 columns
constexpr bool MERGED = TOKENS % 8 == 0;              // all splits of a token add to the same sums
constexpr int SUMS = MERGED ? TOKENS / 8 : ACROSS, TERMS = MERGED ? SEGMENTS : SEGMENTS * SPLITS;
constexpr int GROUPS = min_int(8, TOKENS * SPLITS);  // of lanes whose columns LDS holds; the others' sums nobody reads
constexpr int COLUMNS = 16 / PARTS;                  // of a turn of a team
constexpr int TILE_LINES = TILE * TEAMS * 16, TILE_COLUMNS = TILE_LINES / PARTS;
constexpr int STRIDE = stride_of(TERMS), TOKEN_SUMS = (TILE_LINES + 4) * STRIDE;  // 4: tokens begin in different LDS banks
constexpr int BUFFERS = PASSES == 1 ? 2 : 1;
[[maybe_unused]] constexpr int X_BYTES = PASS_STEPS * ACROSS * GROUPS * 64, SUM_BYTES = BUFFERS * TOKENS * TOKEN_SUMS * 4;

/** Where a lane stands: its group is a row of w and a column of x, its place in the group which elements of each 32. */
struct post {
  int group, place, segment, team;
  bool at_work;
  DEVICE post() {
    const int wave = wave_uniform(wave_id());
    group = lane_id() / 4, place = lane_id() % 4;
    segment = wave % SEGMENTS, team = wave / SEGMENTS, at_work = team < TEAMS;
  }
};

// ---- x -------------------------------------------------------------------------------------------------------------

/** A lane's 8 elements of a step for one column, packed in pairs. */
typedef words<4> x_piece;

CONSTANT int power_of_two_from(int n) { return n <= 1 ? 1 : 2 * power_of_two_from((n + 1) / 2); }
/** Threads that bring a step of x to LDS: 4 for each token. */
constexpr int FILLERS = 4 * power_of_two_from(TOKENS), FILLED = BLOCK / FILLERS;
constexpr int SQUARE_TERMS = ceil_div(BLOCK, max_int(FILLERS, WAVE)), SQUARE_STRIDE = stride_of(SQUARE_TERMS);
static_assert(FILLED >= 1, "BLOCK must be at least four threads a token");

/** Column c has split c / TOKENS of token c % TOKENS; this is where a step's piece of it lies among the pieces of the pass. */
DEVICE int piece_at(int step, int column, int place) {
  return ((step * ACROSS + column / 8) * GROUPS + column % 8) * 4 + place;
}

DEVICE u32 pack_pair(float low, float high) {
  return weight_elem_t(low).bits | u32(weight_elem_t(high).bits) << 16;
}

/** A thread's part in bringing x to LDS: always the same token, in every FILLED-th step. */
struct filler {
  static constexpr int TOGETHER = NORMED ? 2 : 4;  // loads on their way
  int place, token, first;
  bool at_work;
  float squares = 0.f;
  DEVICE filler() {
    place = thread_id() % 4, token = thread_id() / 4 % (FILLERS / 4), first = thread_id() / FILLERS;
    at_work = token < TOKENS && first < FILLED;
  }

  DEVICE void fill(x_piece* to, const matmul_call& call, const norm_t* norm, int pass) {
    if (!at_work) return;
    const int steps = EXACT ? PASS_STEPS : min_int(PASS_STEPS, ALL_STEPS - pass * PASS_STEPS);
    const x_t* const row = x_row(call, min_int(token, call.tokens - 1));
    KEEP_LOOP for (int from = first; from < steps; from += FILLED * TOGETHER) {
      vec<float, 8> v[TOGETHER];
      UNROLL for (int i = 0; i < TOGETHER; i++) {
        const int k = (pass * PASS_STEPS + min_int(from + i * FILLED, steps - 1)) * 32 + place * 8;
        v[i] = load<8>(row + k);
        if constexpr (NORMED) {
          if (from + i * FILLED < steps) squares += hsum(v[i] * v[i]);
          v[i] *= load<8>(norm + k);
        }
      }
      UNROLL for (int i = 0; i < TOGETHER; i++) {
        const int step = from + i * FILLED;
        if (step < steps) put(to, step, v[i]);
      }
    }
  }

  /** Each split is what is left of v after those before, rounded. */
  DEVICE void put(x_piece* to, int step, vec<float, 8> v) const {
    UNROLL for (int which = 0; which < SPLITS; which++) {
      x_piece piece;
      UNROLL for (int i = 0; i < 4; i++) piece.w[i] = pack_pair(v[2 * i], v[2 * i + 1]);
      store_words(to + piece_at(step, which * TOKENS + token, place), piece);
      if (which + 1 < SPLITS) {
        UNROLL for (int i = 0; i < 8; i++) v.set(i, v[i] - float(weight_elem_t(v[i])));
      }
    }
  }

  /** Writes partial sums of squares, SQUARE_TERMS of each token. */
  DEVICE void put_squares(float* to) const {
    float sum = group_reduce<4>(squares, Add{});
    UNROLL for (int mask = FILLERS; mask < WAVE; mask *= 2) sum += wave_shfl_xor(sum, mask);
    if (place == 0 && lane_id() < FILLERS && token < TOKENS)
      to[token * SQUARE_STRIDE + thread_id() / max_int(FILLERS, WAVE)] = sum;
  }
};

// ---- w -------------------------------------------------------------------------------------------------------------

/** A lane's two rows of a turn, from its place. */
struct w_rows {
  const u8* from[2];
  /** of the columns from n, in a share whose last column is `last` */
  DEVICE w_rows(const u8* w, int n, int last, const post& at) {
    UNROLL for (int r = 0; r < 2; r++) {
      const int row = PARTS == 2 ? min_int(n + at.group, last) + r * N : min_int(n + at.group + r * 8, last);
      from[r] = w + size_t(row) * ROW_BYTES + at.place * 16;
    }
  }
};

/** The lane's elements of a step of its two rows. */
struct w_step {
  words<4> rows[2];
  DEVICE void load(const w_rows& w, int step) {
    UNROLL for (int r = 0; r < 2; r++)
      rows[r] = load_words<4, 16, true>(w.from[r] + (EXACT ? step : min_int(step, ALL_STEPS - 1)) * 64);
  }
};

/** sums += rows of w times columns of x over the 32 elements of a step, whose first piece for the lane is at x. */
DEVICE void multiply(float (&sums)[SUMS][4], const w_step& w, const x_piece* x) {
  UNROLL for (int j = 0; j < ACROSS; j++) {
    const x_piece piece = load_words<4, 16, false>(x + j * GROUPS * 4);
    UNROLL for (int half = 0; half < 4; half += 2) {
      const u32 rows[4] = {w.rows[0].w[half], w.rows[1].w[half], w.rows[0].w[half + 1], w.rows[1].w[half + 1]};
      const u32 columns[2] = {piece.w[half], piece.w[half + 1]};
      multiply_16x8x16(sums[j % SUMS], rows, columns, weight_elem_t());
    }
  }
}

// ---- sums ----------------------------------------------------------------------------------------------------------

/** Puts a team's sums of a turn, whose first line is `line`, where write_tile looks for them. Lines are rows of w. */
DEVICE void put_sums(float* to, int line, const float (&sums)[SUMS][4], const post& at) {
  UNROLL for (int j = 0; j < SUMS; j++) {
    UNROLL for (int e = 0; e < 4; e++) {
      const int column = j * 8 + at.place * 2 + e % 2, token = column % TOKENS, which = column / TOKENS;
      if (MERGED || which < SPLITS)
        to[token * TOKEN_SUMS + (line + at.group + e / 2 * 8) * STRIDE + which * SEGMENTS + at.segment] = sums[j][e];
    }
  }
}

/** Writes y for `columns` columns from n. */
DEVICE void write_tile(const matmul_call& call, int n, int columns, const float* sums, const float* squares) {
  KEEP_LOOP for (int i = thread_id(); i < TILE_COLUMNS * TOKENS; i += BLOCK) {
    const int t = i / TILE_COLUMNS, column = i % TILE_COLUMNS;
    if (column >= columns || t >= call.tokens) continue;
    const float* const from = sums + t * TOKEN_SUMS + (column / COLUMNS * 16 + column % COLUMNS) * STRIDE;
    float sum = sum_of<TERMS>(from), up = SWIGLU ? sum_of<TERMS>(from + COLUMNS * STRIDE) : 0.f;
    if constexpr (NORMED) {
      const float factor = rsqrt_f32(sum_of<SQUARE_TERMS>(squares + t * SQUARE_STRIDE) * (1.f / K) + EPS);
      sum *= factor, up *= factor;
    }
    finish<1>(call, t, n + column, splat<1>(sum), splat<1>(up));
  }
}

// ---- a block -------------------------------------------------------------------------------------------------------

DEVICE void gemv_share(const matmul_call& call, const norm_t* norm) {
  const share own;
  if (own.count == 0 || call.tokens == 0) return await_earlier_launches();
  const post at;
  const int turns = ceil_div(own.count, COLUMNS * TEAMS), last = own.first + own.count - 1;
  const auto column_of = [&](int turn) { return own.first + (turn * TEAMS + at.team) * COLUMNS; };
  const auto works_in = [&](int turn) { return at.at_work && turn < turns && column_of(turn) <= last; };
  LDS(float, squares, NORMED ? TOKENS * SQUARE_STRIDE : 1);
  x_piece* const x = dyn_lds<x_piece>();
  float* const tiles = (float*)((u8*)x + X_BYTES);
  const x_piece* const own_x = x + piece_at(at.segment * STEPS, at.group % GROUPS, at.place);

  w_step ring[DEPTH];
  unset(ring);
  filler filling;
  block_sync();  // a stage before this one may have read the LDS
  if (works_in(0)) {
    const w_rows rows(call.w, column_of(0), last, at);
    UNROLL for (int d = 0; d < DEPTH; d++) ring[d].load(rows, at.segment * STEPS + d);
  }
  await_earlier_launches();
  if constexpr (PASSES == 1) {
    filling.fill(x, call, norm, 0);
    block_sync();
  }

  int buffer = 0;
  KEEP_LOOP for (int tile = 0; tile < turns; tile += TILE, buffer = (buffer + 1) % BUFFERS) {
    float* const tile_sums = tiles + buffer * TOKENS * TOKEN_SUMS;
    const int end = min_int(tile + TILE, turns);
    KEEP_LOOP for (int turn = tile; turn < end; turn++) {
      float sums[SUMS][4];
      UNROLL for (int j = 0; j < SUMS; j++)
        UNROLL for (int e = 0; e < 4; e++) sums[j][e] = 0.f;
      KEEP_LOOP for (int pass = 0; pass < PASSES; pass++) {
        if constexpr (PASSES > 1) {
          block_sync();  // all are done with the pass before
          filling.fill(x, call, norm, pass);
          block_sync();
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
          UNROLL for (int d = 0; d < DEPTH; d++) {
            if (EXACT || step + d < ALL_STEPS) multiply(sums, ring[d], own_x + piece_at(group + d, 0, 0));
            if (more) ring[d].load(rows, next + d);
          }
        }
      }
      if (works_in(turn)) put_sums(tile_sums, ((turn - tile) * TEAMS + at.team) * 16, sums, at);
      if constexpr (NORMED) {
        if (turn == 0) filling.put_squares(squares);
      }
    }
    block_sync();  // sums of the next tile go to the other buffer, or wait for the meetings of its passes
    const int done = tile * TEAMS * COLUMNS;
    write_tile(call, own.first + done, min_int(TILE_COLUMNS, own.count - done), tile_sums, squares);
  }
}

KERNEL void gemv(y_t* y, const x_t* x, const norm_t* norm, const u8* w, const bias_t* bias, const residual_t* residual,
                 i32 T) {
  gemv_share({y, x, w, bias, residual, T}, norm);
}

/** Asks L2 for what a block will read first; to be called before its gemv, with the same arguments and grid. */
DEVICE void gemv_ahead(y_t*, const x_t*, const norm_t*, const u8* w, const bias_t*, const residual_t*, i32) {
  ask_ahead(w);
}
