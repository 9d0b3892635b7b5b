// few.h: flash decoding, attention for few queries: what decode.hip and rope_decode.hip share. A block has one kv head of one token and one
// split of its positions. Each of its waves has HEADS of the query heads and a share of the positions, whose keys and values
// it reads once for all of them; the waves of HEAD_WAVES neighbours read the same rows. How a wave computes is a stream's
// business: few_vector.h, on any target, or few_matrix.h. The waves pass a barrier when all positions are done; blocks that share a token
// by counting who is last.
#pragma once
#ifndef P_GROUP
#define P_GROUP 4  // query heads of a kv head: H / Hkv
#endif
#ifndef P_HEADS
#define P_HEADS 4  // query heads of a wave
#endif
#ifndef P_SCALE
#define P_SCALE 0.125f  // factor of the scores
#endif
#ifndef P_Q
#define P_Q f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_MATRIX
#define P_MATRIX 0  // 1: matrix instructions of 16 × 8 × 16, for caches of 16 bits; 0: vector units
#endif
#include "attention/rows.h"
#include "attention/window.h"
#include "cache/pages.h"
#include "prelude/atomic.h"

typedef P_Q q_t;
typedef P_Y y_t;
constexpr int GROUP = P_GROUP, HEADS = P_HEADS;
constexpr bool MATRIX = P_MATRIX != 0;
constexpr int QUERY_HEADS = GROUP * KV_HEADS, HEAD_TILES = ceil_div(GROUP, HEADS);
constexpr float SCALE = float(P_SCALE);
/** Waves that share positions but not heads, blocks that a kv head needs, waves that share heads but not positions. */
constexpr int HEAD_WAVES = min_int(WAVES, power_from(HEAD_TILES)), HEAD_PARTS = ceil_div(HEAD_TILES, HEAD_WAVES);
constexpr int SHARES = WAVES / HEAD_WAVES, BLOCK_HEADS = HEAD_WAVES * HEADS;
static_assert(WAVES % HEAD_WAVES == 0, "P_BLOCK must be a power of two of waves");

// ---- LDS, floats -----------------------------------------------------------------------------------------------------

/** Results of this many shares are in LDS at a time: at most 16 KiB, or one. Behind them is one of new positions. */
constexpr int HELD = min_int(SHARES, power_from(max_int(1, 4096 / (BLOCK_HEADS * C)) / 2 + 1)), SLOTS_HELD = HELD + 1;
/** Numbers of 16 bits that a query, or a weight, is the sum of, where the stream wants them; apart by rows of so many. */
constexpr int TERMS = !MATRIX ? 0 : same_type<kv_t, f16_t>::value ? 2 : 3, TERM_PITCH = C + 32;

/** Results lie apart by this: lanes that write several heads use different LDS banks. */
constexpr int OUT_PITCH = C + 8;

constexpr int LDS_OUT = 0, LDS_MAXIMUM = LDS_OUT + SLOTS_HELD * BLOCK_HEADS * OUT_PITCH, LDS_SUM = LDS_MAXIMUM + SLOTS_HELD * BLOCK_HEADS;
constexpr int LDS_LAST = LDS_SUM + SLOTS_HELD * BLOCK_HEADS;
/** queries [BLOCK_HEADS][C]; with TERMS these [TERMS][BLOCK_HEADS][TERM_PITCH], and the unit of each query */
constexpr int LDS_Q = (LDS_LAST + 1 + 3) / 4 * 4, LDS_TERMS = (LDS_Q + BLOCK_HEADS * C + 3) / 4 * 4;
constexpr int LDS_UNIT = LDS_TERMS + TERMS * BLOCK_HEADS * TERM_PITCH / 2;
constexpr int LDS_END = (LDS_UNIT + (TERMS ? BLOCK_HEADS : 0) + 3) / 4 * 4;

struct attention_call {
  y_t* y;
  float *partial, *weights;
  u32* arrivals;
  const kv_t *k_cache, *v_cache;
  const i32 *positions, *seq, *page_table;
  i32 M;
};

/** What a block has to do. */
struct attention_place {
  int t, kv, part, split;
  int position, request;
  int from, to;   // positions of this split; none where from ≥ to
  int splits;     // that have work
  DEVICE bool idle() const { return request < 0 || position < 0; }
  /** first query head of the block, and how many it has */
  DEVICE int block_head() const { return kv * GROUP + part * BLOCK_HEADS; }
  DEVICE int block_heads() const { return min_int(BLOCK_HEADS, GROUP - part * BLOCK_HEADS); }
};

/** What follows from the number of the block's tile alone: found anew where registers should not hold it. */
DEVICE void place_tile(attention_place& at, int tile) {
  at.split = tile % SPLITS, at.part = tile / SPLITS % HEAD_PARTS, at.kv = tile / (SPLITS * HEAD_PARTS) % KV_HEADS;
  at.t = tile / (SPLITS * HEAD_PARTS * KV_HEADS);
}
DEVICE attention_place place_of(int tile, const attention_call& call) {
  attention_place at;
  place_tile(at, tile);
  at.position = call.positions[at.t], at.request = call.seq[at.t];
  const int seen = first_seen(at.position), count = at.position + 1 - seen, length = split_length(count);
  at.from = seen + at.split * length, at.to = min_int(at.from + length, at.position + 1);
  at.splits = SPLITS == 1 ? 1 : ceil_div(count, length);
  return at;
}

DEVICE const i32* pages_of(const attention_call& call, const attention_place& at) {
  return call.page_table + size_t(at.request) * call.M;
}

/** Which share of the positions this wave has, and where its first query head stands among the block's. */
DEVICE int share_id() { return wave_id() / HEAD_WAVES; }
DEVICE int wave_row() { return wave_id() % HEAD_WAVES * HEADS; }

// ---- what a wave handles of a row: elements lane, lane + WAVE, … ------------------------------------------------------

/** f(n) for n < N; the loop vanishes where lanes are several. */
template <int N, class F> DEVICE void each_of_lane(F f) {
  if constexpr (WAVE == 1) {
    for (int n = 0; n < N; n++) f(n);
  } else {
    UNROLL for (int n = 0; n < N; n++) f(n);
  }
}

// ---- slots of LDS ------------------------------------------------------------------------------------------------------

/** Maximum and sum of a head in one of the slots; its results are LDS_OUT [slot][BLOCK_HEADS][OUT_PITCH]. */
DEVICE float& maximum_of(float* lds, int slot, int g) { return lds[LDS_MAXIMUM + slot * BLOCK_HEADS + g]; }
DEVICE float& sum_of(float* lds, int slot, int g) { return lds[LDS_SUM + slot * BLOCK_HEADS + g]; }
DEVICE float* out_of(float* lds, int slot, int g) { return lds + LDS_OUT + (slot * BLOCK_HEADS + g) * OUT_PITCH; }
DEVICE float origin_of(float maximum) { return maximum == -INF ? 0.f : maximum; }  // nothing yet: every weight is 0, not NaN

/** Two softmaxes as one: factors of what is in a slot and of what comes to it. */
struct joint {
  float maximum, sum, before, now;
};
/** Of a wave whose lanes have the same g, or each its own; what is in the slot counts if `add`. */
DEVICE joint join_slot(float* lds, int slot, int g, float maximum, float sum, bool add) {
  if (!add) return {maximum, sum, 0.f, 1.f};
  const float held_maximum = maximum_of(lds, slot, g), held_sum = sum_of(lds, slot, g), highest = max_f32(held_maximum, maximum);
  const float before = fast_exp(held_maximum - origin_of(highest)), now = fast_exp(maximum - origin_of(highest));
  return {highest, wave_shfl(held_sum, lane_id()) * before + sum * now, before, now};  // every lane has read: then one may write
}

#if P_MATRIX
#include "attention/few_matrix.h"
#else
#include "attention/few_vector.h"
#endif

/**
 * Puts a query, scaled, into LDS, row by row of the block's; the wave has N of its elements in each lane, index(n) says which
 * (from C on: none).
 */
template <int N, class F> DEVICE void put_query(float* lds, int row, float (&v)[N], F index) {
  each_of_lane<N>([&](int n) {
    v[n] *= SCALE;
    if (index(n) < C) lds[LDS_Q + row * C + index(n)] = v[n];
  });
  stream::put_terms(lds, row, v, index);
}

// ---- joining waves, and splits ----------------------------------------------------------------------------------------

/** Puts what a wave has found into the slot of its share; shares of later rounds are added to those of earlier ones. */
DEVICE void join_waves(stream& s, float* lds) {
  s.join();
  KEEP_LOOP for (int round = 0; round < SHARES; round += HELD) {
    if (round > 0) block_sync();
    const int slot = share_id() - round;
    if (slot >= 0 && slot < HELD) s.put(lds, slot, round > 0);
  }
}

/** Channels that a thread finishes: few on a GPU, so that all threads of a block have some. */
constexpr int DONE = WAVE == 1 ? CHUNK : min_int(CHUNK, 2), DONES = C / DONE;

/** f(g, c, maximum, sum, total) of channels c … of each of the block's heads, over so many slots and, if `fresh`, the last. */
template <class F> DEVICE void each_total(const attention_place& at, float* lds, int slots, bool fresh, F f) {
  KEEP_LOOP for (int i = rematerialized_thread_id(); i < at.block_heads() * DONES; i += BLOCK) {
    const int g = i / DONES, c = i % DONES * DONE;
    float maximum = fresh ? maximum_of(lds, HELD, g) : -INF;
    for (int w = 0; w < slots; w++) maximum = max_f32(maximum, maximum_of(lds, w, g));
    float sum = 0.f;
    vec<float, DONE> total = splat<DONE>(0.f);
    const auto add = [&](int slot) {
      const float factor = fast_exp(maximum_of(lds, slot, g) - origin_of(maximum));
      sum = fma_f32(sum_of(lds, slot, g), factor, sum);
      total = fma(load<DONE>(out_of(lds, slot, g) + c), factor, total);
    };
    for (int w = 0; w < slots; w++) add(w);
    if (fresh) add(HELD);
    f(g, c, maximum, sum, total);
  }
}

/** Rows of splits that are added up at a time, for each head, and of each how many are in flight. */
constexpr int ADDERS = max_int(1, min_int(HELD, SLOTS / BLOCK_HEADS)), AHEAD = WAVE == 1 ? 1 : max_int(1, 4 / PARTS);

/** y[t,h,:] = Σ_s e^(m_s − m) · partial_s / Σ_s e^(m_s − m) · sum_s, in one order whoever does it. */
DEVICE void combine(const attention_call& call, const attention_place& at, float* lds) {
  const size_t first = size_t(at.t) * QUERY_HEADS + at.block_head();
  KEEP_LOOP for (int base = 0; base < BLOCK_HEADS * ADDERS; base += SLOTS) {  // as often for every thread
    const int row = base + row_slot(), g = min_int(row / ADDERS, at.block_heads() - 1), adder = row % ADDERS;
    const float* const weights = call.weights + (first + g) * SPLITS * 2;
    const float* const partial = call.partial + (first + g) * SPLITS * C;
    float maximum = -INF, sum = 0.f;
    row_part out = zero_row();
    KEEP_LOOP for (int s = adder; s < at.splits; s += ADDERS * AHEAD) {
      row_part parts[AHEAD];
      vec<float, 2> weight[AHEAD];
      UNROLL for (int i = 0; i < AHEAD; i++) {
        const int split = min_int(s + i * ADDERS, at.splits - 1);
        weight[i] = load<2>(weights + 2 * split), parts[i] = load_row(partial + split * C);
      }
      float now = maximum;
      UNROLL for (int i = 0; i < AHEAD; i++) now = max_f32(now, weight[i][0]);
      const float before = fast_exp(maximum - origin_of(now));
      maximum = now, sum *= before;
      scale_row(out, before);
      UNROLL for (int i = 0; i < AHEAD; i++) {
        const float factor = s + i * ADDERS < at.splits ? fast_exp(weight[i][0] - origin_of(now)) : 0.f;
        sum = fma_f32(weight[i][1], factor, sum);
        add_scaled(out, parts[i], factor);
      }
    }
    if (row < at.block_heads() * ADDERS) {
      store_row(out_of(lds, adder, g), out);
      if (rematerialized_thread_id() % LANES == 0) maximum_of(lds, adder, g) = maximum, sum_of(lds, adder, g) = sum;
    }
  }
  block_sync();
  each_total(at, lds, ADDERS, false, [&](int g, int c, float, float sum, const vec<float, DONE>& total) {
    store<DONE>(call.y + (first + g) * C + c, total * fast_rcp(sum));
  });
}

/**
 * Stores what the block has, all of it in LDS; the last block of a token and head combines the splits. Its counter is 0 again
 * afterwards. `fresh`: new positions are in the slot behind those of the waves.
 */
DEVICE void finish(const attention_call& call, const attention_place& at, stream& s, bool fresh, float* lds) {
  join_waves(s, lds);
  block_sync();
  const size_t first = size_t(at.t) * QUERY_HEADS + at.block_head();
  const bool alone = SPLITS == 1 || at.splits == 1;
  each_total(at, lds, HELD, fresh, [&](int g, int c, float maximum, float sum, const vec<float, DONE>& total) {
    if (alone) {
      store<DONE>(call.y + (first + g) * C + c, total * fast_rcp(sum));
    } else {
      store<DONE>(call.partial + ((first + g) * SPLITS + at.split) * C + c, total);
      if (c > 0) return;
      call.weights[((first + g) * SPLITS + at.split) * 2] = maximum;
      call.weights[((first + g) * SPLITS + at.split) * 2 + 1] = sum;
    }
  });
  if constexpr (SPLITS > 1) {
    if (alone) return;
    u32* const last = (u32*)(lds + LDS_LAST);
    u32* const arrivals = call.arrivals + (at.t * KV_HEADS + at.kv) * HEAD_PARTS + at.part;
    device_release();  // every thread's part is seen before the block is counted
    block_sync();
    if (rematerialized_thread_id() == 0) {
      const bool is_last = atomic_add_ordered(arrivals, 1u) == u32(at.splits - 1);
      if (is_last) *arrivals = 0;
      *last = is_last;
    }
    block_sync();
    if (!*last) return;
    combine(call, at, lds);
  }
}

/** A token without a place sees nothing: its result is 0. */
DEVICE void store_nothing(const attention_call& call, const attention_place& at) {
  if (at.split > 0) return;
  const size_t first = size_t(at.t) * QUERY_HEADS + at.block_head();
  for (int i = thread_id(); i < at.block_heads() * CHUNKS; i += BLOCK)
    store<CHUNK>(call.y + first * C + i * CHUNK, splat<CHUNK>(0.f));
}
