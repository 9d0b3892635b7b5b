// gemv: y[t,n] = epilogue(Σ_k x'[t,k] · w[n,k]) for few tokens on a GPU: every weight is read once, for all the tokens.
// x' is x, or with P_NORM rms_norm(x): x[t,k] · norm[k] · rsqrt(mean_k(x[t,:]²) + eps).
//   layout    x: x_t[T, K], y: y_t[T, N], residual: [T, N], all row-major; norm: norm_t[K]; w: rows of weight_t
//   launch    grid: any, best P_BLOCKS_PER_CU blocks for each CU; block = BLOCK; dynamic LDS for SUMS · 8 bytes, and X_BYTES
//   work      a block has a contiguous share of the columns, a wave one SEGMENT of their rows: it holds its part of x in
//             registers and streams down the rows, ROWS at a time, DEPTH times as many in flight. SEGMENTS waves make a
//             team, a block has TEAMS, which take turns. The waves of a block pass a barrier once in TURNS · DEPTH batches, to add
//             up the segments, while the next weights are in flight: the order of all sums is fixed
//   norm      its factor is the same for a whole row of x, so it multiplies finished sums: nobody waits for it
//   aliasing  y may be residual
//   codes     of quantised weights are multiplied as integers, by an x in fixed point (fixed_x.h), where that is held
//   numerics  products summed in f32 by lane, then over the wave, then over segments, whatever the grid; fixed_x.h says how
//             far x is rounded
//   limits    any T ≥ 0, N, K; any WAVE, any BLOCK of at least SEGMENTS waves, any grid
#ifndef P_TOKENS
#define P_TOKENS 1  // tokens that share the loads of w
#endif
#ifndef P_ROWS
#define P_ROWS 4  // columns of a batch
#endif
#ifndef P_CHUNKS
#define P_CHUNKS 1  // units (lane_unit.h) of each row that a lane takes: WAVE · CHUNKS units make a segment
#endif
#ifndef P_DEPTH
#define P_DEPTH 2  // batches in flight
#endif
#ifndef P_TURNS
#define P_TURNS 2  // times DEPTH batches between two barriers of a block
#endif
#ifndef P_HELD
#define P_HELD 1  // 1: x stays in registers; 0: each batch reads it again, from caches, as f32
#endif
#ifndef P_BLOCKS_PER_CU
#define P_BLOCKS_PER_CU 2  // blocks for each CU in the grid: their registers must fit
#endif
#include "matmul/fixed_x.h"

typedef lane_unit<weight_t> unit_t;
constexpr int TOKENS = P_TOKENS, ROWS = P_ROWS, CHUNKS = P_CHUNKS, DEPTH = P_DEPTH;
constexpr bool HELD = P_HELD != 0;
constexpr int UNITS = K / unit_t::ELEMS, SEGMENT = WAVE * CHUNKS, SEGMENTS = ceil_div(UNITS, SEGMENT);
constexpr int TEAMS = WAVES / SEGMENTS;
static_assert(TEAMS >= 1, "a block needs a wave for each segment of a row");
constexpr int LINES = ROWS * PARTS;             // rows of w in a batch
constexpr int TILE = P_TURNS * DEPTH;           // batches of a team between two barriers
constexpr int TILE_COLUMNS = TILE * TEAMS * ROWS;
constexpr int STRIDE = stride_of(SEGMENTS);
constexpr int SUMS = TILE_COLUMNS * PARTS * TOKENS * STRIDE;

constexpr bool FIXED = HELD && unit_t::GROUPS > 0;
/** Tokens whose x is in LDS at a time. */
constexpr int STAGED = FIXED ? max_int(1, min_int(TOKENS, 32768 / max_int(fixed_x<unit_t>::TOKEN_BYTES, 1))) : 0;
constexpr int X_BYTES = STAGED * fixed_x<unit_t>::TOKEN_BYTES;
/** Sums of squares of x come in so many terms: by segment, or as one. */
constexpr int SQUARES = FIXED ? 1 : SEGMENTS;

/** Where a wave stands in its block: which segment of the rows it has, and in which team. Spare waves have none. */
struct lane_position {
  int segment, team;
  bool at_work;
  DEVICE lane_position() {
    const int wave = wave_uniform(wave_id());
    segment = wave % SEGMENTS, team = wave / SEGMENTS, at_work = team < TEAMS;
  }
  /** the lane's unit c of a row; where it is not inside the row, its last one */
  DEVICE int unit(int c) const { return min_int(place(c), UNITS - 1); }
  DEVICE bool inside(int c) const { return UNITS % SEGMENT == 0 || place(c) < UNITS; }
  DEVICE int place(int c) const { return segment * SEGMENT + c * WAVE + lane_id(); }
};

/** A unit's elements of x for one token as f32, times the norm's weights; and their sums, which go with the base of a scale. */
template <class Unit> struct x_unit {
  static constexpr int OF_GROUP = Unit::PIECES / max_int(Unit::GROUPS, 1);  // pieces of one scale
  vec<float, Unit::PIECE> pieces[Unit::PIECES];
  float sums[max_int(Unit::GROUPS, 1)];

  /** gives the sum of squares of x */
  DEVICE float load(const x_t* row, const norm_t* norm, int unit, bool inside) {
    float squares = 0.f;
    UNROLL for (int p = 0; p < Unit::PIECES; p++) {
      const int k = Unit::first(unit, p);
      vec<float, Unit::PIECE> v = ::load<Unit::PIECE>(row + k);
      if (!inside) v = splat<Unit::PIECE>(0.f);
      if constexpr (NORMED) {
        squares += hsum(v * v);
        v *= ::load<Unit::PIECE>(norm + k);
      }
      pieces[p] = v;
    }
    if constexpr (Unit::GROUPS > 0) {
      UNROLL for (int g = 0; g < Unit::GROUPS; g++) {
        sums[g] = 0.f;
        UNROLL for (int p = 0; p < OF_GROUP; p++) sums[g] += hsum(pieces[g * OF_GROUP + p]);
      }
    }
    return squares;
  }
};

/** Units of a batch as they come from memory. */
struct batch_words {
  words<unit_t::WORDS> raw[CHUNKS][LINES];

  /** Those of columns n … n+ROWS-1; columns beyond the last repeat it. */
  DEVICE void load(const u8* w, const lane_position& at, int n, int last) {
    UNROLL for (int r = 0; r < ROWS; r++) {
      UNROLL for (int p = 0; p < PARTS; p++) {
        const u8* const row = w + size_t(min_int(n + r, last) + p * N) * ROW_BYTES;
        UNROLL for (int c = 0; c < CHUNKS; c++) unit_t::load(raw[c][r * PARTS + p], row, at.unit(c));
      }
    }
  }
};

/** sum + Σ a[i] · b[i] */
template <int M> DEVICE float add_products(float sum, const vec<float, M>& a, const vec<float, M>& b) {
  UNROLL for (int i = 0; i < M; i++) sum = fma_f32(a[i], b[i], sum);
  return sum;
}

/** sums[t] += a unit of w times the same unit of x, for COUNT tokens. */
template <class Unit, int COUNT>
DEVICE void multiply(float* sums, const words<Unit::WORDS>& raw, int unit, const x_unit<Unit> (&x)[COUNT]) {
  if constexpr (Unit::GROUPS == 0) {
    const auto v = Unit::values(raw, unit, 0);
    UNROLL for (int t = 0; t < COUNT; t++) sums[t] = add_products(sums[t], v, x[t].pieces[0]);
  } else {
    UNROLL for (int g = 0; g < Unit::GROUPS; g++) {
      float part[COUNT];
      UNROLL for (int t = 0; t < COUNT; t++) part[t] = 0.f;
      UNROLL for (int p = g * x_unit<Unit>::OF_GROUP; p < (g + 1) * x_unit<Unit>::OF_GROUP; p++) {
        const vec<float, Unit::PIECE> v = code_values<Unit>(raw, unit, p);
        UNROLL for (int t = 0; t < COUNT; t++) part[t] = add_products(part[t], v, x[t].pieces[p]);
      }
      const group_scale s = Unit::scale(raw, unit, g);
      UNROLL for (int t = 0; t < COUNT; t++) sums[t] = fma_f32(s.step, part[t], fma_f32(s.base, x[t].sums[g], sums[t]));
    }
  }
}

/** Tokens whose products a lane adds up at the same time. */
constexpr int TOGETHER = HELD ? TOKENS : min_int(TOKENS, unit_t::ELEMS > 8 ? 1 : 2);

CONSTANT int power_of_two_from(int n) { return n <= 1 ? 1 : 2 * power_of_two_from((n + 1) / 2); }

/** The largest divisor of `depth` that is at most `most`, or 1. */
CONSTANT int divisor_up_to(int most, int depth) {
  return most <= 1 ? 1 : depth % most == 0 ? most : divisor_up_to(most - 1, depth);
}
/** Batches whose sums a lane keeps until they are added up over the wave together: about one exchange a sum then. */
constexpr int CACHE_BLOCK = HELD ? divisor_up_to(min_int(DEPTH, 16 / (LINES * TOGETHER)), DEPTH) : 1;
/** Sums of a batch are so far from those of the next of the same team. */
constexpr int BATCH_SUMS = TEAMS * LINES * TOKENS * STRIDE;

/**
 * Adds values[(batch · LINES + line) · TOGETHER + t] over the wave and writes them to
 * to[batch · BATCH_SUMS + (line · TOKENS + t) · STRIDE], for t < tokens.
 */
DEVICE void write_sums(float* to, const float (&values)[CACHE_BLOCK * LINES * TOGETHER], int tokens) {
  constexpr int COUNT = CACHE_BLOCK * LINES * TOGETHER, V = min_int(power_of_two_from(COUNT), WAVE);
  UNROLL for (int from = 0; from < COUNT; from += V) {
    float each[V];
    UNROLL for (int i = 0; i < V; i++) each[i] = from + i < COUNT ? values[min_int(from + i, COUNT - 1)] : 0.f;
    const float sum = wave_reduce_each(each, Add{});
    const int i = from + lane_id() / (WAVE / V), line = i / TOGETHER % LINES, t = i % TOGETHER;
    if (lane_id() % (WAVE / V) == 0 && i < COUNT && t < tokens)
      to[i / (LINES * TOGETHER) * BATCH_SUMS + (line * TOKENS + t) * STRIDE] = sum;
  }
}

/** One of two types. */
template <bool FIRST, class A, class B> struct either { typedef A type; };
template <class A, class B> struct either<false, A, B> { typedef B type; };

/** A wave's activations: held in registers as X, or read when they are wanted. */
template <class X> struct activations {
  const x_t* x;
  const norm_t* norm;
  int tokens;
  X held[HELD ? CHUNKS : 1][TOGETHER];

  DEVICE const x_t* row(int t) const { return x + size_t(min_int(t, tokens - 1)) * K; }

  /**
   * Fills the registers. Writes each token's sums of squares, SQUARES of them, to squares[t · stride_of(SQUARES)], if there is
   * a norm; they are seen after the next block_sync. All threads of the block take part, with X_BYTES at `staged`.
   */
  DEVICE void load(const lane_position& at, u8* staged, float* squares) {
    if constexpr (FIXED) {
      make(at, staged, squares);
    } else {
      await_earlier_launches();
      if (at.at_work) load_floats(at, squares);
    }
  }
  DEVICE void load_floats(const lane_position& at, float* squares) {
    UNROLL for (int t = 0; t < (HELD ? TOKENS : 0); t++) {
      float sum = 0.f;
      UNROLL for (int c = 0; c < CHUNKS; c++) sum += held[c][t].load(row(t), norm, at.unit(c), at.inside(c));
      if constexpr (NORMED) write_squares(squares + t * STRIDE, sum, at);
    }
    if constexpr (NORMED && !HELD) {
      KEEP_LOOP for (int t = 0; t < TOKENS; t++) {
        float sum = 0.f;
        UNROLL for (int c = 0; c < CHUNKS; c++) sum += x_unit<unit_t>().load(row(t), norm, at.unit(c), at.inside(c));
        write_squares(squares + t * STRIDE, sum, at);
      }
    }
  }
  /** In fixed point: STAGED tokens at a time are made by the block, then held by the lanes. */
  DEVICE void make(const lane_position& at, u8* staged, float* squares) {
    constexpr int TERMS = stride_of(WAVES);
    LDS(float, partial, NORMED ? TOKENS * TERMS : 1);
    UNROLL for (int from = 0; from < TOKENS; from += STAGED) {
      const int end = min_int(from + STAGED, TOKENS);
      if (from > 0) block_sync();  // lanes may still read the tokens before
      KEEP_LOOP for (int t = from; t < end; t++) {
        const float sum = X::make(staged + (t - from) * X::TOKEN_BYTES, row(t), norm);
        if constexpr (NORMED) {
          const float all = wave_reduce(sum, Add{});
          if (lane_id() == 0) partial[t * TERMS + wave_id()] = all;
        }
      }
      block_sync();
      if (!at.at_work) continue;
      UNROLL for (int t = from; t < end; t++) {
        UNROLL for (int c = 0; c < CHUNKS; c++)
          held[c][t].load_unit(staged + (t - from) * X::TOKEN_BYTES, at.unit(c), at.inside(c));
      }
    }
    if (NORMED && thread_id() < TOKENS) squares[thread_id()] = sum_of<WAVES>(partial + thread_id() * TERMS);
  }
  static DEVICE void write_squares(float* to, float lane_sum, const lane_position& at) {
    const float sum = wave_reduce(lane_sum, Add{});
    if (lane_id() == 0 && at.team == 0) to[at.segment] = sum;
  }

  /** sums += the lane's part of a batch, for tokens t … t+TOGETHER-1. */
  DEVICE void multiply_batch(float* sums, const batch_words& w, int t, const lane_position& at) const {
    UNROLL for (int c = 0; c < CHUNKS; c++) {
      x_unit<unit_t> read[TOGETHER];
      if constexpr (!HELD) {
        UNROLL for (int i = 0; i < TOGETHER; i++) read[i].load(row(t + i), norm, at.unit(c), at.inside(c));
      }
      UNROLL for (int l = 0; l < LINES; l++) {
        words<unit_t::WORDS> raw = w.raw[c][l];
        if constexpr (!FIXED) {  // there x is 0
          UNROLL for (int i = 0; i < unit_t::WORDS; i++) raw.w[i] = at.inside(c) ? raw.w[i] : 0;
        }
        if constexpr (HELD) multiply(sums + l * TOGETHER, raw, at.unit(c), held[c]);
        else multiply(sums + l * TOGETHER, raw, at.unit(c), read);
      }
    }
  }
};

/** All columns of a block. */
DEVICE void gemv_share(const matmul_call& call, const norm_t* norm) {
  const share own;
  if (own.count == 0 || call.tokens == 0) return await_earlier_launches();
  const lane_position at;
  const int batches = ceil_div(own.count, ROWS * TEAMS), last = own.first + own.count - 1;
  const auto column_of = [&](int batch) { return own.first + (batch * TEAMS + at.team) * ROWS; };
  LDS(float, squares, NORMED ? TOKENS * stride_of(SQUARES) : 1);
  float* const tiles = dyn_lds<float>();

  activations<typename either<FIXED, fixed_x<unit_t>, x_unit<unit_t>>::type> x = {call.x, norm, call.tokens};
  batch_words ring[DEPTH];
  unset(x.held), unset(ring);
  block_sync();  // a stage before this one may have read the LDS
  if (at.at_work) {
    UNROLL for (int d = 0; d < DEPTH; d++)
      if (d < batches) ring[d].load(call.w, at, column_of(d), last);
  }
  x.load(at, (u8*)(tiles + ceil_div(2 * SUMS, 4) * 4), squares);

  int buffer = 0;
  KEEP_LOOP for (int tile = 0; tile < batches; tile += TILE, buffer ^= 1) {
    float* const tile_sums = tiles + buffer * SUMS;
    const int end = min_int(tile + TILE, batches);
    if (at.at_work) {
      KEEP_LOOP for (int turn = tile; turn < end; turn += DEPTH) {
        UNROLL for (int from = 0; from < DEPTH; from += CACHE_BLOCK) {
          float* const to = tile_sums + ((turn + from - tile) * TEAMS + at.team) * LINES * TOKENS * STRIDE + at.segment;
          KEEP_LOOP for (int t = 0; t < TOKENS; t += TOGETHER) {
            float sums[CACHE_BLOCK * LINES * TOGETHER] = {};
            UNROLL for (int d = from; d < from + CACHE_BLOCK; d++) {
              if (turn + d >= end) break;
              x.multiply_batch(sums + (d - from) * LINES * TOGETHER, ring[d], t, at);
              scheduling_barrier();
              if (t + TOGETHER >= TOKENS && turn + d + DEPTH < batches)
                ring[d].load(call.w, at, column_of(turn + d + DEPTH), last);
            }
            write_sums(to + t * STRIDE, sums, TOKENS - t);
          }
        }
      }
    }
    block_sync();  // sums of the next tile go to the other buffer
    const int done = tile * TEAMS * ROWS;
    write_columns<TOKENS, SEGMENTS, SQUARES>(call, own.first + done, min_int(TILE_COLUMNS, own.count - done), tile_sums,
                                              squares);
  }
}

KERNEL void gemv(y_t* y, const x_t* x, const norm_t* norm, const u8* w, const bias_t* bias, const residual_t* residual,
                 i32 T) {
  gemv_share({y, x, w, bias, residual, T}, norm);
}

/** Prefetches into L2 what a block will read first; to be called before its gemv, with the same arguments and grid. */
DEVICE void gemv_prefetch(y_t*, const x_t*, const norm_t*, const u8* w, const bias_t*, const residual_t*, i32) {
  prefetch_first_weights(w);
}
