// few.h: attention for few queries, the body of decode.hip and rope_decode.hip. A block has one kv head of one token and one
// split of its positions. Each of its waves has HEADS of the query heads and a share of the positions, whose keys and values
// it holds in registers for all of them; the waves of HEAD_WAVES neighbours read the same rows, so that memory is read once
// for a group of any size. Waves meet when all positions are done; blocks that share a token by counting who is last.
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
#ifndef P_ROWS
#define P_ROWS 4  // positions whose keys and values a lane has in flight; a power of two
#endif
#include "attention/rows.h"
#include "attention/window.h"
#include "cache/pages.h"
#include "prelude/atomic.h"

typedef P_Q q_t;
typedef P_Y y_t;
constexpr int GROUP = P_GROUP, HEADS = P_HEADS, ROWS = P_ROWS;
constexpr int QUERY_HEADS = GROUP * KV_HEADS, HEAD_TILES = ceil_div(GROUP, HEADS);
constexpr float SCALE = float(P_SCALE);
/** Waves that share positions but not heads, blocks that a kv head needs, waves that share heads but not positions. */
constexpr int HEAD_WAVES = min_int(WAVES, power_from(HEAD_TILES)), HEAD_PARTS = ceil_div(HEAD_TILES, HEAD_WAVES);
constexpr int SHARES = WAVES / HEAD_WAVES, BLOCK_HEADS = HEAD_WAVES * HEADS;
/** Positions that the block takes at a time. */
constexpr int WAVE_SLOTS = WAVE / LANES, STRIDE = SHARES * WAVE_SLOTS, SPAN = STRIDE * ROWS;
static_assert(WAVES % HEAD_WAVES == 0, "P_BLOCK must be a power of two of waves");
static_assert(power_from(ROWS) == ROWS, "P_ROWS must be a power of two");

constexpr int HEAD_SUMS = power_from(HEADS);  // scores of a row, rounded up to a power of two
/** Results of this many shares are in LDS at a time: at most 16 KiB, or one. */
constexpr int HELD = min_int(SHARES, power_from(max_int(1, 4096 / (BLOCK_HEADS * C)) / 2 + 1));

// ---- LDS, floats: what P_ROPE keeps comes behind it ------------------------------------------------------------------

constexpr int LDS_OUT = 0, LDS_MOST = LDS_OUT + HELD * BLOCK_HEADS * C, LDS_SUM = LDS_MOST + SHARES * BLOCK_HEADS;
constexpr int LDS_LAST = LDS_SUM + SHARES * BLOCK_HEADS, LDS_END = (LDS_LAST + 1 + 3) / 4 * 4;

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
  /** first query head of this wave, and how many it has */
  DEVICE int tile() const { return part * HEAD_WAVES + wave_id() % HEAD_WAVES; }
  DEVICE int head() const { return kv * GROUP + min_int(tile() * HEADS, GROUP - 1); }
  DEVICE int heads() const { return max_int(0, min_int(HEADS, GROUP - tile() * HEADS)); }
  /** the same of the block */
  DEVICE int block_head() const { return kv * GROUP + part * BLOCK_HEADS; }
  DEVICE int block_heads() const { return min_int(BLOCK_HEADS, GROUP - part * BLOCK_HEADS); }
};

DEVICE attention_place place_of(int tile, const attention_call& call) {
  attention_place at;
  at.split = tile % SPLITS, at.part = tile / SPLITS % HEAD_PARTS, at.kv = tile / (SPLITS * HEAD_PARTS) % KV_HEADS;
  at.t = tile / (SPLITS * HEAD_PARTS * KV_HEADS);
  at.position = call.positions[at.t], at.request = call.seq[at.t];
  const int seen = first_seen(at.position), count = at.position + 1 - seen, length = split_length(count);
  at.from = seen + at.split * length, at.to = min_int(at.from + length, at.position + 1);
  at.splits = SPLITS == 1 ? 1 : ceil_div(count, length);
  return at;
}

/** Softmax so far of the heads of a wave, over the positions of this lane's slot. */
struct running {
  float most[HEADS], sum[HEADS];
  row_part out[HEADS];
};
DEVICE void start(running& r) {
  UNROLL for (int g = 0; g < HEADS; g++) r.most[g] = -INF, r.sum[g] = 0.f, r.out[g] = zero_row();
}

DEVICE row_part load_cached(const kv_t* row) {
  row_part out;
  UNROLL for (int p = 0; p < PARTS; p++) {
    const int chunk = row_lane() + p * LANES;
    if (CHUNKS % LANES == 0 || chunk < CHUNKS) out.v[p] = load_kept<CHUNK>(row, chunk * CHUNK);
    else out.v[p] = splat<CHUNK>(0.f);
  }
  return out;
}

/** Adds N positions, STRIDE apart, whose scores and values are known; from `left` on there are none. */
template <int N>
DEVICE void add_positions(running& r, const float (&scores)[N * HEAD_SUMS], const row_part (&v)[N], int left) {
  UNROLL for (int g = 0; g < HEADS; g++) {
    vec<float, N> score;
    UNROLL for (int i = 0; i < N; i++) score.set(i, i * STRIDE < left ? scores[i * HEAD_SUMS + g] : -INF);
    const float now = max_f32(r.most[g], hmax(score));
    const float origin = now == -INF ? 0.f : now;  // nothing yet: every weight is 0, not NaN
    const vec<float, N> weight = fast_exp(score - origin);
    if (WAVE > 1 || now != r.most[g]) {
      const float factor = fast_exp(r.most[g] - origin);
      r.most[g] = now, r.sum[g] *= factor;
      scale_row(r.out[g], factor);
    }
    r.sum[g] += hsum(weight);
    UNROLL for (int i = 0; i < N; i++) add_scaled(r.out[g], v[i], weight[i]);
  }
}

/** Slot of this lane among all that share a head. */
DEVICE int share_slot() { return wave_id() / HEAD_WAVES * WAVE_SLOTS + lane_id() / LANES; }

/** Positions from … to-1 of one request; q is scaled. */
DEVICE void attend(running& r, const row_part (&q)[HEADS], const attention_call& call, const i32* pages, int kv, int from,
                   int to) {
  const int slot = share_slot();
  int page[ROWS];  // known one round ahead: keys need not wait for their address
  UNROLL for (int i = 0; i < ROWS; i++) page[i] = from < to ? page_of(pages, min_int(from + i * STRIDE + slot, to - 1)) : 0;
  KEEP_LOOP for (int first = from; first < to; first += SPAN) {  // as often for every thread: lanes meet in sums
    row_part k[ROWS], v[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++)
      k[i] = load_cached(call.k_cache + cache_row(page[i], kv, min_int(first + i * STRIDE + slot, to - 1)));
    UNROLL for (int i = 0; i < ROWS; i++) {
      const int l = first + i * STRIDE + slot;
      v[i] = l < to ? load_cached(call.v_cache + cache_row(page[i], kv, l)) : zero_row();  // not inf · 0
    }
    UNROLL for (int i = 0; i < ROWS; i++) page[i] = page_of(pages, min_int(first + SPAN + i * STRIDE + slot, to - 1));
    float sums[ROWS * HEAD_SUMS];  // of row i and head g: number i · HEAD_SUMS + g
    UNROLL for (int i = 0; i < ROWS; i++)
      UNROLL for (int g = 0; g < HEAD_SUMS; g++) sums[i * HEAD_SUMS + g] = g < HEADS ? dot_part(q[min_int(g, HEADS - 1)], k[i]) : 0.f;
    sum_rows(sums);
    add_positions<ROWS>(r, sums, v, to - first - slot);
  }
}

/** Adds the slots of a wave up, into all of them. */
DEVICE void join_slots(running& r) {
  if constexpr (WAVE_SLOTS > 1) {
    UNROLL for (int g = 0; g < HEADS; g++) {
      float most = r.most[g];
      UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) most = max_f32(most, wave_shfl_xor(most, mask));
      const float factor = fast_exp(r.most[g] - (most == -INF ? 0.f : most));
      float sum = r.sum[g] * factor;
      UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) sum += wave_shfl_xor(sum, mask);
      scale_row(r.out[g], factor);
      sum_slots(r.out[g]);
      r.most[g] = most, r.sum[g] = sum;
    }
  }
}

/** Adds the waves of each head up: LDS_OUT gets [BLOCK_HEADS][C], relative to the returned tables of maxima and sums. */
DEVICE void join_waves(running& r, float* lds) {
  const int share = wave_id() / HEAD_WAVES, first = wave_id() % HEAD_WAVES * HEADS;
  join_slots(r);
  if (late_thread_id() % WAVE == 0) {
    UNROLL for (int g = 0; g < HEADS; g++) {
      lds[LDS_MOST + share * BLOCK_HEADS + first + g] = r.most[g];
      lds[LDS_SUM + share * BLOCK_HEADS + first + g] = r.sum[g];
    }
  }
  if constexpr (SHARES > 1) {
    block_sync();
    UNROLL for (int g = 0; g < HEADS; g++) {
      float most = -INF;
      KEEP_LOOP for (int w = 0; w < SHARES; w++) most = max_f32(most, lds[LDS_MOST + w * BLOCK_HEADS + first + g]);
      scale_row(r.out[g], fast_exp(r.most[g] - (most == -INF ? 0.f : most)));
    }
  }
  KEEP_LOOP for (int round = 0; round < SHARES; round += HELD) {
    if (round > 0) block_sync();
    if (share >= round && share < round + HELD && lane_id() < LANES) {
      UNROLL for (int g = 0; g < HEADS; g++) {
        float* const row = lds + LDS_OUT + ((share - round) * BLOCK_HEADS + first + g) * C;
        if (round > 0) add_scaled(r.out[g], load_row(row), 1.f);
        store_row(row, r.out[g]);
      }
    }
  }
  block_sync();
}

/** Maximum and sum of one of the block's heads over all its shares. */
DEVICE void total_of(const float* lds, int g, float& most, float& sum) {
  most = lds[LDS_MOST + g], sum = lds[LDS_SUM + g];
  if constexpr (SHARES > 1) {
    KEEP_LOOP for (int w = 1; w < SHARES; w++) most = max_f32(most, lds[LDS_MOST + w * BLOCK_HEADS + g]);
    const float origin = most == -INF ? 0.f : most;
    sum = 0.f;
    KEEP_LOOP for (int w = 0; w < SHARES; w++)
      sum = fma_f32(lds[LDS_SUM + w * BLOCK_HEADS + g], fast_exp(lds[LDS_MOST + w * BLOCK_HEADS + g] - origin), sum);
  }
}

/** Channels of a row that a thread finishes: few on a GPU, so that all threads of a block have some. */
constexpr int DONE = WAVE == 1 ? CHUNK : min_int(CHUNK, 2), DONES = C / DONE;

/** Writes y where one split has all the work, else this split's part of it. */
DEVICE void store_split(const attention_call& call, const attention_place& at, const float* lds) {
  const size_t first = size_t(at.t) * QUERY_HEADS + at.block_head();
  KEEP_LOOP for (int i = late_thread_id(); i < at.block_heads() * DONES; i += BLOCK) {
    const int g = i / DONES, c = i % DONES * DONE;
    float most, sum;
    total_of(lds, g, most, sum);
    vec<float, DONE> total = load<DONE>(lds + LDS_OUT + g * C + c);
    for (int w = 1; w < HELD; w++) total += load<DONE>(lds + LDS_OUT + (w * BLOCK_HEADS + g) * C + c);
    if (at.splits == 1) {
      store<DONE>(call.y + (first + g) * C + c, total * fast_rcp(sum));
    } else {
      store<DONE>(call.partial + ((first + g) * SPLITS + at.split) * C + c, total);
      if (c == 0) {
        call.weights[((first + g) * SPLITS + at.split) * 2] = most;
        call.weights[((first + g) * SPLITS + at.split) * 2 + 1] = sum;
      }
    }
  }
}

/** Rows of splits that are added up at a time, for each head. */
constexpr int ADDERS = max_int(1, min_int(HELD, SLOTS / BLOCK_HEADS));

/** y[t,h,:] = Σ_s e^(m_s − m) · partial_s / Σ_s e^(m_s − m) · sum_s, in one order whoever does it. */
DEVICE void combine(const attention_call& call, const attention_place& at, float* lds) {
  const size_t first = size_t(at.t) * QUERY_HEADS + at.block_head();
  const int heads = at.block_heads();
  KEEP_LOOP for (int base = 0; base < BLOCK_HEADS * ADDERS; base += SLOTS) {  // as often for every thread
    const int row = base + row_slot(), g = min_int(row / ADDERS, heads - 1), adder = row % ADDERS;
    const float* const of = call.weights + (first + g) * SPLITS * 2;
    float most = -INF, sum = 0.f;
    KEEP_LOOP for (int s = row_lane(); s < at.splits; s += LANES) most = max_f32(most, of[2 * s]);
    most = group_reduce<LANES>(most, Max{});
    const float origin = most == -INF ? 0.f : most;
    row_part out = zero_row();
    for (int s = adder; s < at.splits; s += ADDERS) {
      const float factor = fast_exp(of[2 * s] - origin);
      sum = fma_f32(of[2 * s + 1], factor, sum);
      add_scaled(out, load_row(call.partial + ((first + g) * SPLITS + s) * C), factor);
    }
    if (row < heads * ADDERS) {
      store_row(lds + LDS_OUT + (adder * BLOCK_HEADS + g) * C, out);
      if (late_thread_id() % LANES == 0) lds[LDS_SUM + adder * BLOCK_HEADS + g] = sum;
    }
  }
  block_sync();
  KEEP_LOOP for (int i = late_thread_id(); i < heads * DONES; i += BLOCK) {
    const int g = i / DONES, c = i % DONES * DONE;
    vec<float, DONE> total = load<DONE>(lds + LDS_OUT + g * C + c);
    float sum = lds[LDS_SUM + g];
    for (int a = 1; a < ADDERS; a++) {
      total += load<DONE>(lds + LDS_OUT + (a * BLOCK_HEADS + g) * C + c);
      sum += lds[LDS_SUM + a * BLOCK_HEADS + g];
    }
    store<DONE>(call.y + (first + g) * C + c, total * fast_rcp(sum));
  }
}

/** Stores what the block has; the last block of a token and head combines the splits. Its counter is 0 again afterwards. */
DEVICE void finish(const attention_call& call, const attention_place& at, running& r, float* lds) {
  join_waves(r, lds);
  store_split(call, at, lds);
  if constexpr (SPLITS > 1) {
    if (at.splits == 1) return;
    u32* const last = (u32*)(lds + LDS_LAST);
    u32* const arrivals = call.arrivals + (at.t * KV_HEADS + at.kv) * HEAD_PARTS + at.part;
    device_fence();  // every thread's part is seen before the block is counted
    block_sync();
    if (late_thread_id() == 0) *last = atomic_add(arrivals, 1u) == u32(at.splits - 1);
    block_sync();
    if (!*last) return;
    device_fence();
    if (late_thread_id() == 0) *arrivals = 0;
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
