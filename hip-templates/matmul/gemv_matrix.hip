// gemv: y[t,n] = epilogue(Σ_k x'[t,k] · w[n,k]) for a few tokens on matrix instructions: 16-bit weights go from memory straight
// into them, x' stays in registers. x' is x, or with P_NORM rms_norm(x), as in gemv_stream.hip.
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; norm: norm_t[K]; w: f16 or bf16 rows
//   launch    grid: any, best P_BLOCKS_PER_CU blocks for each CU; block = BLOCK; dynamic LDS for TILE_SUMS floats, twice
//   work      a block has a contiguous share of the columns. A wave multiplies 16 rows of w (with swiglu 8 of gate and 8 of
//             up) by all tokens over its segment of K, STEPS · 32 elements; a lane loads 8 neighbours of two rows at a time,
//             and refills what it has used with the next rows. Which elements meet in one instruction does not matter as
//             long as w and x agree. Where a segment for each wave does not cover K, the rows are read in PASSES
//   numerics  an x that is not of w's type is split into SPLITS numbers that are: their products are exact, sums are in f32
//   aliasing  y may be residual
//   limits    WAVE 32; K a multiple of 32; any T ≥ 0, N, grid. In several passes x is read anew for every tile
#ifndef P_TOKENS
#define P_TOKENS 8
#endif
#ifndef P_SPLITS
#define P_SPLITS 1  // parts of an x: 1 where it is of w's type, else 2 (16 bits) or 3 (24 bits)
#endif
#ifndef P_STEPS
#define P_STEPS 8  // times 32 elements make a segment
#endif
#ifndef P_TILE
#define P_TILE 4  // batches of a team between two meetings
#endif
#ifndef P_BLOCKS_PER_CU
#define P_BLOCKS_PER_CU 1  // blocks for each CU in the grid: their registers must fit
#endif
#include "matmul/share.h"
#include "prelude/tile.h"

static_assert(WAVE == 32 && K % 32 == 0, "lanes form 8 groups of 4");
typedef typename elements_of<weight_t>::type weight_elem_t;
constexpr int TOKENS = P_TOKENS, SPLITS = P_SPLITS, STEPS = P_STEPS, TILE = P_TILE;
constexpr int ACROSS = ceil_div(TOKENS * SPLITS, 8);  // instructions side by side
constexpr int ALL_STEPS = K / 32, SEGMENTS = min_int(WAVES, ceil_div(ALL_STEPS, STEPS)), TEAMS = WAVES / SEGMENTS;
constexpr int PASSES = ceil_div(ALL_STEPS, SEGMENTS * STEPS);
constexpr int COLUMNS = 16 / PARTS;  // of a batch
constexpr int TERMS = SEGMENTS * SPLITS, STRIDE = stride_of(TERMS);
constexpr int TILE_COLUMNS = TILE * TEAMS * COLUMNS, TILE_SUMS = TILE_COLUMNS * PARTS * TOKENS * STRIDE;

/** Where a lane stands: its group is a row of w and a column of x, its place in the group which elements of each 32. */
struct post {
  int group, place, segment, team;
  bool at_work;
  DEVICE post() {
    const int wave = wave_uniform(wave_id());
    group = lane_id() / 4, place = lane_id() % 4;
    segment = wave % SEGMENTS, team = wave / SEGMENTS, at_work = team < TEAMS;
  }
  DEVICE int step(int pass, int s) const { return (pass * SEGMENTS + segment) * STEPS + s; }
  DEVICE bool inside(int pass, int s) const {
    return ALL_STEPS == PASSES * SEGMENTS * STEPS || step(pass, s) < ALL_STEPS;
  }
};

/** The lane's 8 elements of a step of x for each group of 8 columns, packed in pairs. Column c is split c / TOKENS of token c % TOKENS. */
struct x_step {
  words<4> packed[ACROSS];
};

DEVICE u32 pack_pair(weight_elem_t low, weight_elem_t high) { return low.bits | u32(high.bits) << 16; }

/** Split `which` of v: what is left of it after the splits before, rounded. */
DEVICE weight_elem_t split_of(float v, int which) {
  weight_elem_t part(v);
  UNROLL for (int s = 1; s < SPLITS; s++) {
    if (s > which) break;
    v -= float(part);
    part = weight_elem_t(v);
  }
  return part;
}

/** Loads a step of x; gives the sum of squares of x that this lane is to count. squares[j] belongs to column j · 8 + group. */
DEVICE void load_x(x_step& to, float (&squares)[ACROSS], const matmul_call& call, const norm_t* norm, int step, const post& at,
                   bool inside) {
  const int k = min_int(step, ALL_STEPS - 1) * 32 + at.place * 8;
  UNROLL for (int j = 0; j < ACROSS; j++) {
    const int column = j * 8 + at.group, token = column % TOKENS, which = column / TOKENS;
    vec<float, 8> v = load<8>(x_row(call, min_int(token, call.tokens - 1)) + k);
    if (!inside || which >= SPLITS) v = splat<8>(0.f);
    if constexpr (NORMED) {
      if (which == 0) squares[j] += hsum(v * v);
      v *= load<8>(norm + k);
    }
    UNROLL for (int i = 0; i < 4; i++)
      to.packed[j].w[i] = pack_pair(split_of(v[2 * i], which), split_of(v[2 * i + 1], which));
  }
}

/** The lane's elements of a step of its two rows. */
struct w_step {
  words<4> rows[2];
  /** of the columns from n, in a share whose last column is `last` */
  DEVICE void load(const u8* w, int n, int last, int step, const post& at) {
    UNROLL for (int r = 0; r < 2; r++) {
      const int row = PARTS == 2 ? min_int(n + at.group, last) + r * N : min_int(n + at.group + r * 8, last);
      rows[r] = load_words<4, 16, true>(w + size_t(row) * ROW_BYTES + min_int(step, ALL_STEPS - 1) * 64 + at.place * 16);
    }
  }
};

/** sums += rows of w times columns of x over the 32 elements of a step. */
DEVICE void multiply(float (&sums)[ACROSS][4], const w_step& w, const x_step& x) {
  UNROLL for (int half = 0; half < 4; half += 2) {
    const u32 rows[4] = {w.rows[0].w[half], w.rows[1].w[half], w.rows[0].w[half + 1], w.rows[1].w[half + 1]};
    UNROLL for (int j = 0; j < ACROSS; j++) {
      const u32 columns[2] = {x.packed[j].w[half], x.packed[j].w[half + 1]};
      multiply_16x8x16(sums[j], rows, columns, weight_elem_t());
    }
  }
}

/** Puts the sums of a batch, whose first column has its sums at `to`, where write_columns looks for them; later passes add. */
DEVICE void put_sums(float* to, const float (&sums)[ACROSS][4], const post& at, bool add) {
  UNROLL for (int j = 0; j < ACROSS; j++) {
    UNROLL for (int e = 0; e < 4; e++) {
      const int row = at.group + e / 2 * 8, column = j * 8 + at.place * 2 + e % 2;
      const int line = PARTS == 2 ? at.group * 2 + e / 2 : row, token = column % TOKENS, which = column / TOKENS;
      if (which >= SPLITS) continue;
      float* const cell = to + (line * TOKENS + token) * STRIDE + at.segment * SPLITS + which;
      *cell = add ? *cell + sums[j][e] : sums[j][e];
    }
  }
}

/** Writes the segment's sums of squares of the columns that are first splits. */
DEVICE void put_squares(float* to, const float (&lane_squares)[ACROSS], const post& at) {
  UNROLL for (int j = 0; j < ACROSS; j++) {
    const float sum = group_reduce<4>(lane_squares[j], Add{});
    const int token = j * 8 + at.group;
    if (at.place == 0 && token < TOKENS) to[token * stride_of(SEGMENTS) + at.segment] = sum;
  }
}

DEVICE void gemv_share(const matmul_call& call, const norm_t* norm) {
  const share own;
  if (own.count == 0 || call.tokens == 0) return;
  const post at;
  const int batches = ceil_div(own.count, COLUMNS * TEAMS), last = own.first + own.count - 1;
  const auto column_of = [&](int batch) { return own.first + (batch * TEAMS + at.team) * COLUMNS; };
  LDS(float, squares, NORMED ? TOKENS * stride_of(SEGMENTS) : 1);
  float* const tiles = dyn_lds<float>();
  w_step ring[STEPS];
  x_step x[STEPS];
  float lane_squares[ACROSS];
  UNROLL for (int j = 0; j < ACROSS; j++) lane_squares[j] = 0.f;

  block_sync();  // a stage before this one may have read the LDS
  if (at.at_work) {
    UNROLL for (int s = 0; s < STEPS; s++) ring[s].load(call.w, column_of(0), last, at.step(0, s), at);
  }
  int buffer = 0;
  KEEP_LOOP for (int tile = 0; tile < batches; tile += TILE, buffer ^= 1) {
    const int end = min_int(tile + TILE, batches);
    float* const tile_sums = tiles + buffer * TILE_SUMS;
    if (at.at_work) {
      KEEP_LOOP for (int pass = 0; pass < PASSES; pass++) {
        if (PASSES > 1 || tile == 0) {
          UNROLL for (int s = 0; s < STEPS; s++)
            load_x(x[s], lane_squares, call, norm, at.step(pass, s), at, at.inside(pass, s));
        }
        KEEP_LOOP for (int batch = tile; batch < end; batch++) {
          // what is read next: the next rows, the tile's rows again for the next pass, or the next tile
          const bool turn = batch + 1 == end, more = turn && pass + 1 < PASSES;
          const int next = more ? tile : batch + 1, next_pass = more ? pass + 1 : turn ? 0 : pass;
          float sums[ACROSS][4];
          UNROLL for (int j = 0; j < ACROSS; j++)
            UNROLL for (int e = 0; e < 4; e++) sums[j][e] = 0.f;
          UNROLL for (int s = 0; s < STEPS; s++) {
            if (at.inside(pass, s)) multiply(sums, ring[s], x[s]);
            if (next < batches) ring[s].load(call.w, column_of(next), last, at.step(next_pass, s), at);
          }
          const int column = ((batch - tile) * TEAMS + at.team) * COLUMNS;
          put_sums(tile_sums + column * PARTS * TOKENS * STRIDE, sums, at, pass > 0);
        }
      }
      if (NORMED && tile == 0 && at.team == 0) put_squares(squares, lane_squares, at);
    }
    block_sync();  // sums of the next tile go to the other buffer
    const int done = tile * TEAMS * COLUMNS;
    write_columns<TOKENS, TERMS, SEGMENTS>(call, own.first + done, min_int(TILE_COLUMNS, own.count - done), tile_sums, squares);
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
