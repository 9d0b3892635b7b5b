// draw.h: a token drawn from softmax(logits / temperature) over those that top_k, top_p and min_p keep, in two stages:
//   survey   each wave looks at a group: its largest logit; where nothing is cut off, its winner; else its LISTED largest
//            logits and the sum of its probabilities
//   decide   a block finds in the lists from which logit on tokens are kept, and the winner among them. Only where more is
//            kept than the lists hold (about a tenth of a large vocabulary) it walks over the row itself.
// The draw is Gumbel-max: the token that maximises logit / temperature − log(−log u), u a hash of (seed, position, token).
// Nothing is sorted; everything is summed in a fixed order.
#pragma once
#include "sample/best.h"
#include "sample/reach.h"

/** Logits of a group that are listed at most. */
constexpr int LISTED = 32;

struct Settings {
  float temperature, top_p, min_p;
  i32 top_k;
  u32 seed;
  i32 position;
  DEVICE bool greedy() const { return !(temperature > 0.f); }
  DEVICE bool keeps_k() const { return top_k > 0 && top_k < COLUMNS; }
  DEVICE bool cuts() const { return keeps_k() || top_p < 1.f || min_p > 0.f; }
  DEVICE float rate() const { return min_f32(1.f / temperature, 3e38f); }
};

/** What the survey leaves behind, of one request. */
struct Survey {
  Indexed* bests;   // [GROUPS]
  Indexed* drawn;   // [GROUPS] logit and column of each group's winner, where nothing is cut off
  float* cuts;      // [GROUPS] every logit above is listed
  float* sums;      // [GROUPS] of e^((logit − best) / temperature)
  float* logits;    // [GROUPS, LISTED] −∞ where the list is shorter
  i32* columns;     // [GROUPS, LISTED]
};
/** Of R requests, one behind the other. */
DEVICE Survey survey_of(int r, Indexed* bests, Indexed* drawn, float* cuts, float* sums, float* logits, i32* columns) {
  const size_t at = size_t(r) * GROUPS;
  return {bests + at, drawn + at, cuts + at, sums + at, logits + at * LISTED, columns + at * LISTED};
}

// ---- random numbers ------------------------------------------------------------------------------------------------

/** Finaliser of a 32-bit hash with full avalanche (Wellons, lowbias32, 2018). */
DEVICE u32 mixed(u32 x) {
  x = (x ^ x >> 16) * 0x21f0aaadu;
  x = (x ^ x >> 15) * 0x735a2d97u;
  return x ^ x >> 15;
}

/**
 * −log(−log u) with u = (n + ½) / 2^24 for the 24 high bits n of a hash. Winners have u near 1, where f32 has no digits
 * left for 1 − u: it is made exactly, and its logarithm by log(1 − e) = log(w) · −e / (w − 1), w the rounded 1 − e.
 */
DEVICE float gumbel(u32 hash) {
  const u32 n = hash >> 8;
  const bool high = n >= 1u << 23;
  const float rest = (float(i32(high ? 0xffffff - n : n)) + 0.5f) * 5.96046448e-8f;  // 1 − u, or u: exact
  const float w = high ? 1.f - rest : rest, gap = w - 1.f;
  const float scaled = gap == 0.f ? rest : -log_f32(w) * (rest / -gap);
  return -log_f32(high ? scaled : -log_f32(w));
}
/** No Gumbel number of 24 bits is larger. */
constexpr float MOST_GUMBEL = 17.4f;

/** What tokens of a request are compared by, relative to the logit `most`. */
struct Scores {
  float most, rate;
  u32 base;
  DEVICE Scores(const Settings& o, float most) : most(most), rate(o.rate()), base(mixed(mixed(o.seed ^ 0x9e3779b9u) ^ u32(o.position))) {}
  DEVICE float noise(int column) const { return gumbel(mixed(base ^ u32(column))); }
  DEVICE float operator()(float logit, int column) const { return (logit - most) * rate + noise(column); }
  /** A token below has no chance against `best`. */
  DEVICE float chance(Indexed best) const { return best.value + (noise(best.index) - MOST_GUMBEL) / rate; }
};

// ---- survey: a wave, a group ---------------------------------------------------------------------------------------

/** Logit and column of the winner of a group. */
DEVICE Indexed draw_of_group(const float (&v)[PER_LANE], int group, Indexed best, const Settings& o) {
  const Scores score(o, best.value);
  Indexed winner = {-INF, best.index};
  float logit = best.value;
  if constexpr (WAVE == 1) {
    float scores[PER_LANE];  // a loop that is SIMD code
    for (int i = 0; i < PER_LANE; i++) scores[i] = v[i] > -INF ? score(v[i], column_of(group, i)) : -INF;
    for (int i = 0; i < PER_LANE; i++)
      if (scores[i] > winner.value) winner = {scores[i], column_of(group, i)}, logit = v[i];
    return {logit, winner.index};
  } else {
    each_logit([&](int i) {
      const float s = v[i] > -INF ? score(v[i], column_of(group, i)) : -INF;
      if (s > winner.value) winner = {s, column_of(group, i)}, logit = v[i];
    });
    const Indexed first = wave_reduce(winner, ArgMax{});
    // the logit from the lane that has the winner: the largest of −∞ elsewhere
    return {wave_reduce(winner.index == first.index && winner.value == first.value ? logit : -INF, Max{}), first.index};
  }
}

DEVICE int count_above(const float (&v)[PER_LANE], float cut) {
  int count = 0;
  each_logit([&](int i) { count += v[i] > cut ? 1 : 0; });
  return wave_reduce(count, Add{});
}

/** A value that at most LISTED logits of the group are above: −∞ if that holds all, else one that leaves about as many. */
DEVICE float list_cut(const float (&v)[PER_LANE], float best) {
  if (count_above(v, -INF) <= LISTED) return -INF;
  float least = INF;
  each_logit([&](int i) { least = v[i] > -INF && v[i] < least ? v[i] : least; });
  u32 low = key_of(wave_reduce(least, Min{})) - 1, high = key_of(best);  // more than LISTED above low, no more above high
  for (int step = 0; high - low > 1; step++) {
    // halves of the values find it soon, halves of the keys in any case
    u32 middle = low + (high - low) / 2;
    const u32 mean = key_of(0.5f * value_of(low) + 0.5f * value_of(high));
    if (step < 8 && mean > low && mean < high) middle = mean;
    const int count = count_above(v, value_of(middle));
    if (count > LISTED) low = middle;
    else high = middle;
    if (count <= LISTED && count >= LISTED / 2) break;
  }
  return value_of(high);
}

/** Lists the logits above the cut, lane after lane. */
DEVICE void list_group(const float (&v)[PER_LANE], int group, float cut, float* logits, i32* columns) {
  int own = 0;
  each_logit([&](int i) { own += v[i] > cut ? 1 : 0; });
  int upto = own;  // of the lanes up to this one
  for (int d = 1; d < WAVE; d *= 2) {
    const int before = wave_shfl(upto, lane_id() - d);
    if (lane_id() >= d) upto += before;
  }
  const int length = wave_shfl(upto, WAVE - 1);
  int at = upto - own;
  each_logit([&](int i) {
    if (v[i] > cut) logits[at] = v[i], columns[at++] = column_of(group, i);
  });
  for (int i = length + lane_id(); i < LISTED; i += WAVE) logits[i] = -INF, columns[i] = 0;
}

DEVICE void survey_group(float (&v)[PER_LANE], int group, const Settings& o, const Survey& out) {
  each_logit([&](int i) { v[i] = NumberOrNone{}(v[i]); });
  const Indexed best = best_of_group(v, group);
  if (lane_id() == 0) out.bests[group] = best;
  if (o.greedy()) return;
  if (!o.cuts()) {
    const Indexed drawn = draw_of_group(v, group, best, o);
    if (lane_id() == 0) out.drawn[group] = drawn;
    return;
  }
  const float cut = list_cut(v, best.value);
  list_group(v, group, cut, out.logits + group * LISTED, out.columns + group * LISTED);
  float sum = 0.f;
  if (o.top_p < 1.f && best.value < INF) {
    const float rate = o.rate();
    each_logit([&](int i) { sum += v[i] > -INF ? fast_exp((v[i] - best.value) * rate) : 0.f; });
    sum = wave_reduce(sum, Add{});
  }
  if (lane_id() == 0) out.cuts[group] = cut, out.sums[group] = sum;
}

// ---- decide: a block, a request ------------------------------------------------------------------------------------

/** Listed logits of a thread. */
struct Lists {
  static constexpr int CHUNKS = ceil_div(GROUPS * LISTED, BLOCK * CHUNK);
  chunk_t v[CHUNKS];
  static DEVICE int entry(int c) { return (c * BLOCK + thread_id()) * CHUNK; }
  DEVICE void load_from(const float* logits) {
    each_index([&](int c) { v[c] = entry(c) < GROUPS * LISTED ? load<CHUNK>(logits + entry(c)) : splat<CHUNK>(-INF); });
  }
  template <class F> DEVICE void each_index(F f) const {
    if constexpr (WAVE > 1) {
      UNROLL for (int c = 0; c < CHUNKS; c++) f(c);
    } else {
      for (int c = 0; c < CHUNKS; c++) f(c);
    }
  }
  template <class F> DEVICE void each(F f) const {
    each_index([&](int c) { f(v[c], entry(c)); });
  }
};

/** The sum of e^((logit − most) / temperature) over the row. */
DEVICE float total_of(const Survey& from, float most, float rate) {
  float sum = 0.f;
  for (int g = thread_id(); g < GROUPS; g += BLOCK)
    if (from.bests[g].value > -INF) sum += from.sums[g] * fast_exp((from.bests[g].value - most) * rate);
  return block_reduce(sum, Add{});
}

/** Where min_p ends what is kept, if that is above `least`; never above `most`. */
DEVICE float limited(float least, float most, const Settings& o) {
  if (o.min_p > 0.f) least = max_f32(most + o.temperature * log_f32(o.min_p), least);
  return min_f32(least, most);
}

/** The logit from which tokens are kept, if the lists know it: then it is above `cut`, or all is listed. */
DEVICE bool keep_from_lists(const Lists& lists, const Survey& from, float most, float cut, const Settings& o, float& least) {
  const u32 end = key_of(most) + 1;
  u32 low = key_of(cut) + 1;
  least = -INF;
  if (o.keeps_k()) {
    const bool reached = measure_from(lists, value_of(low), Counted{}) >= float(o.top_k);
    if (!reached && cut > -INF) return false;
    if (reached) least = reach(lists, float(o.top_k), low, end, Counted{});
  }
  if (o.top_p < 1.f) {
    const Weighted probability = {most, o.rate()};
    const float target =
        o.top_p * (o.keeps_k() ? measure_from(lists, least, probability) : total_of(from, most, o.rate()));
    low = max_int(low, key_of(least));
    const bool reached = measure_from(lists, value_of(low), probability) >= target;
    if (!reached && cut > -INF) return false;
    if (reached) least = reach(lists, target, low, end, probability);
  }
  least = limited(least, most, o);
  return least > cut || cut == -INF;
}

/** The same from the whole row. */
template <class T> DEVICE float keep_from_row(const Row<T>& row, float most, const Settings& o) {
  const u32 end = key_of(most) + 1;
  float least = -INF;
  if (o.keeps_k()) least = reach(row, float(o.top_k), key_of(-INF), end, Counted{});
  if (o.top_p < 1.f) {
    const Weighted probability = {most, o.rate()};
    const float total = measure_from(row, least, probability);
    // what is less likely than an even share of what top_p leaves out cannot be needed to reach it
    const float spare = max_f32((1.f - o.top_p) * total * (1.f / COLUMNS), 1e-30f);
    const float start = max_f32(most + (log_f32(spare) - 0.01f) * o.temperature, least);
    least = reach(row, o.top_p * total, key_of(start), end, probability);
  }
  return limited(least, most, o);
}

/** The column with the highest score among the listed logits from `least` on. */
DEVICE i32 draw_from_lists(const Lists& lists, const i32* columns, Indexed best, float least, const Settings& o) {
  const Scores score(o, best.value);
  least = max_f32(score.chance(best), least);
  Indexed winner = {-INF, best.index};
  lists.each([&](const chunk_t& v, int entry) {
    if (!(hmax(v) >= least)) return;
    for (int i = 0; i < CHUNK; i++) {
      if (!(v[i] >= least && v[i] > -INF)) continue;
      const int column = columns[entry + i];
      winner = ArgMax{}(winner, Indexed{score(v[i], column), column});
    }
  });
  return block_reduce(winner, ArgMax{}).index;
}

template <class T> DEVICE i32 draw_from_row(const Row<T>& row, Indexed best, float least, const Settings& o) {
  const Scores score(o, best.value);
  least = max_f32(score.chance(best), least);
  Indexed winner = {-INF, best.index};
  row.each([&](const chunk_t& v, int d) {
    if (!(hmax(v) >= least)) return;
    for (int i = 0; i < CHUNK; i++)
      if (v[i] >= least && v[i] > -INF) winner = ArgMax{}(winner, Indexed{score(v[i], d + i), d + i});
  });
  return block_reduce(winner, ArgMax{}).index;
}

/** The token, to all threads; `row` are the logits that the survey saw. */
template <class T> DEVICE i32 decide(const Row<T>& row, const Settings& o, const Survey& from) {
  const Indexed best = best_of_row(from.bests);
  if (o.greedy() || !(best.value > -INF && best.value < INF)) return best.index;
  if (!o.cuts()) {
    const Scores score(o, best.value);
    Indexed winner = {-INF, best.index};
    for (int g = thread_id(); g < GROUPS; g += BLOCK) {
      const Indexed drawn = from.drawn[g];
      if (drawn.value > -INF) winner = ArgMax{}(winner, Indexed{score(drawn.value, drawn.index), drawn.index});
    }
    return block_reduce(winner, ArgMax{}).index;
  }
  float cut = -INF;
  for (int g = thread_id(); g < GROUPS; g += BLOCK) cut = max_f32(from.cuts[g], cut);
  cut = block_reduce(cut, Max{});
  Lists lists;
  lists.load_from(from.logits);
  float least;
  if (keep_from_lists(lists, from, best.value, cut, o, least))
    return draw_from_lists(lists, from.columns, best, least, o);
  return draw_from_row(row, best, keep_from_row(row, best.value, o), o);
}
