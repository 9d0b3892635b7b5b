// few_vector.h: flash decoding with online softmax on vector units. LANES lanes hold a row, the wave's slots take rows in turn,
// ROWS at a time. The loop is software pipelined: the next rows are prefetched, packed as the cache has them, while these are
// used.
#pragma once
#ifndef P_ROWS
#define P_ROWS 4  // positions whose keys and values a lane has in flight; a power of two
#endif

constexpr int ROWS = P_ROWS;
static_assert(power_from(ROWS) == ROWS, "P_ROWS must be a power of two");
/** Positions that the block takes at a time. */
constexpr int WAVE_SLOTS = WAVE / LANES, STRIDE = SHARES * WAVE_SLOTS, SPAN = STRIDE * ROWS;
constexpr int HEAD_SUMS = power_from(HEADS);  // scores of a row, rounded up to a power of two

/** This lane's part of a row of a cache. */
struct cached_part {
  packed_chunk<kv_t, CHUNK> v[PARTS];
  DEVICE void load(const kv_t* row) {
    UNROLL for (int p = 0; p < PARTS; p++) {
      const int chunk = row_lane() + p * LANES;
      if (CHUNKS % LANES == 0 || chunk < CHUNKS) v[p].load(row, chunk * CHUNK);
      else v[p].clear();
    }
  }
  DEVICE row_part value() const {
    row_part out;
    UNROLL for (int p = 0; p < PARTS; p++) out.v[p] = v[p].value();
    return out;
  }
};

struct stream {
  const kv_t *k_cache, *v_cache;
  const i32* pages;
  int kv, from, to;
  float maximum[HEADS], sum[HEADS];  // softmax so far, over the positions of this lane's slot
  row_part out[HEADS], q[HEADS];
  cached_part k[ROWS], v[ROWS];
  int page[ROWS];  // of the rows that are loaded next

  /** Where this lane's row i of the round from `first` is; the last there is, where it has none. */
  DEVICE int row_at(int first, int i) const {
    return min_int(first + i * STRIDE + share_id() * WAVE_SLOTS + lane_id() / LANES, to - 1);
  }
  DEVICE void find_pages(int first) {
    UNROLL for (int i = 0; i < ROWS; i++) page[i] = page_of(pages, row_at(first, i));
  }
  DEVICE void prefetch_keys(int first) {
    UNROLL for (int i = 0; i < ROWS; i++) k[i].load(k_cache + cache_row(page[i], kv, row_at(first, i)));
  }
  DEVICE void prefetch_values(int first) {
    UNROLL for (int i = 0; i < ROWS; i++) v[i].load(v_cache + cache_row(page[i], kv, row_at(first, i)));
  }

  /** Finds the first pages of positions first … end-1 of the request. */
  DEVICE void find(const attention_call& call, const attention_place& at, int first, int end) {
    k_cache = call.k_cache, v_cache = call.v_cache, pages = pages_of(call, at);
    kv = at.kv, from = first, to = end;
    if (from < to) find_pages(from);
  }
  /** Prefetches their keys and values. */
  DEVICE void ask() {
    if (from >= to) {
      unset(k), unset(v), unset(page);
      return;
    }
    prefetch_keys(from), prefetch_values(from);
    find_pages(from + SPAN);
  }
  template <int N, class F> DEVICE static void put_terms(float*, int, const float (&)[N], F) {}
  /** The queries are in LDS. */
  DEVICE void begin(float* lds) {
    UNROLL for (int g = 0; g < HEADS; g++) {
      maximum[g] = -INF, sum[g] = 0.f, out[g] = zero_row();
      q[g] = load_row(lds + LDS_Q + (wave_row() + g) * C);
    }
  }

  /** Adds a round of positions, whose scores are known; from `left` on there are none. */
  DEVICE void add(const float (&scores)[ROWS * HEAD_SUMS], int left) {
    row_part values[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) values[i] = i * STRIDE < left ? v[i].value() : zero_row();  // not inf · 0
    UNROLL for (int g = 0; g < HEADS; g++) {
      vec<float, ROWS> score;
      UNROLL for (int i = 0; i < ROWS; i++) score.set(i, i * STRIDE < left ? scores[i * HEAD_SUMS + g] : -INF);
      const float now = max_f32(maximum[g], hmax(score)), origin = origin_of(now);
      const vec<float, ROWS> weight = fast_exp(score - origin);
      if (WAVE > 1 || now != maximum[g]) {
        const float factor = fast_exp(maximum[g] - origin);
        maximum[g] = now, sum[g] *= factor;
        scale_row(out[g], factor);
      }
      sum[g] += hsum(weight);
      UNROLL for (int i = 0; i < ROWS; i++) add_scaled(out[g], values[i], weight[i]);
    }
  }

  /** All of the wave's positions. */
  DEVICE void attend(float*) {
    KEEP_LOOP for (int first = from; first < to; first += SPAN) {  // as often for every thread: all lanes take part in sums
      float scores[ROWS * HEAD_SUMS];  // of row i and head g: number i · HEAD_SUMS + g
      UNROLL for (int i = 0; i < ROWS; i++) {
        const row_part row = k[i].value();
        UNROLL for (int g = 0; g < HEAD_SUMS; g++)
          scores[i * HEAD_SUMS + g] = g < HEADS ? dot_part(q[min_int(g, HEADS - 1)], row) : 0.f;
      }
      const bool more = first + SPAN < to;
      if (more) prefetch_keys(first + SPAN);
      scheduling_barrier();
      sum_rows(scores);
      add(scores, to - first - share_id() * WAVE_SLOTS - lane_id() / LANES);
      if (more) {
        prefetch_values(first + SPAN);
        find_pages(first + 2 * SPAN);
      }
      scheduling_barrier();
    }
  }

  /** Adds the slots of the wave up, into all of them. */
  DEVICE void join() {
    if constexpr (WAVE_SLOTS > 1) {
      UNROLL for (int g = 0; g < HEADS; g++) {
        float highest = maximum[g];
        UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) highest = max_f32(highest, wave_shfl_xor(highest, mask));
        const float factor = fast_exp(maximum[g] - origin_of(highest));
        float total = sum[g] * factor;
        UNROLL for (int mask = LANES; mask < WAVE; mask *= 2) total += wave_shfl_xor(total, mask);
        scale_row(out[g], factor);
        sum_slots(out[g]);
        maximum[g] = highest, sum[g] = total;
      }
    }
  }

  /** Puts the wave's heads into a slot of LDS, or adds them to what is there. */
  DEVICE void put(float* lds, int slot, bool add) {
    UNROLL for (int g = 0; g < HEADS; g++) {
      const int row = wave_row() + g;
      const joint j = join_slot(lds, slot, row, maximum[g], sum[g], add);
      if (rematerialized_thread_id() % WAVE < LANES) {
        if (add) {
          scale_row(out[g], j.now);
          add_scaled(out[g], load_row(out_of(lds, slot, row)), j.before);
        }
        store_row(out_of(lds, slot, row), out[g]);
      }
      if (rematerialized_thread_id() % WAVE == 0) maximum_of(lds, slot, row) = j.maximum, sum_of(lds, slot, row) = j.sum;
    }
  }
};
