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

/** What the survey leaves behind of one request: SURVEY words of 32 bits. */
struct Survey {
  struct Head {
    Settings settings;
    u32 unused[2];
  };
  u32* words;
  /** what the stage that decides needs of the request: one place to look, and few pointers to keep in registers */
  DEVICE Head* head() const { return (Head*)words; }
  /** [GROUPS, LISTED] −∞ where a list is shorter; or [GROUPS] the winner of each group, where nothing is cut off */
  DEVICE x_t* logits() const { return (x_t*)(words + HEAD); }
  DEVICE i32* columns() const { return (i32*)words + HEAD + GROUPS * LISTED; }
  DEVICE Indexed* bests() const { return (Indexed*)(words + HEAD + 2 * GROUPS * LISTED); }
  /** every logit of a group that is above is listed */
  DEVICE float* cuts() const { return (float*)(bests() + GROUPS); }
  /** of e^((logit − best) / temperature) */
  DEVICE float* sums() const { return cuts() + GROUPS; }
  static constexpr int HEAD = sizeof(Head) / 4;
};
constexpr int SURVEY = ceil_div(Survey::HEAD + GROUPS * (2 * LISTED + 4), 4) * 4;

/** Winners of a row's groups, in whole chunks. */
constexpr int WINNERS = ceil_div(GROUPS, CHUNK) * CHUNK;

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
  const float log_w = -log_normal(w, 0.f), scaled = gap == 0.f ? rest : log_w * (rest / -gap);
  return -fast_log(high ? scaled : log_w);
}
/** Gumbel numbers of 24 bits lie between -2.86 and 17.4: a logit further below the best one has no chance. */
constexpr float GUMBEL_RANGE = 20.3f;

/** What tokens of a request are compared by, relative to the logit `most`. */
struct Scores {
  float most, rate;
  u32 base;
  DEVICE Scores(const Settings& o, float most) : most(most), rate(o.rate()), base(mixed(mixed(o.seed ^ 0x9e3779b9u) ^ u32(o.position))) {}
  DEVICE float noise(int column) const { return gumbel(mixed(base ^ u32(column))); }
  DEVICE float operator()(float logit, int column) const { return (logit - most) * rate + noise(column); }
  /** A logit below cannot win. */
  DEVICE float chance() const { return most - GUMBEL_RANGE / rate; }
};

// ---- survey: a wave, a group ---------------------------------------------------------------------------------------

/** Logit and column of the winner of a group. */
DEVICE Indexed draw_of_group(float (&v)[PER_LANE], int group, Indexed best, const Settings& o) {
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
    KEEP_LOOP for (int i = 0; i < PER_LANE; i++, go_round(v)) {
      const int column = column_of(group, i);
      const float s = v[0] > -INF ? score(v[0], column) : -INF;
      if (s > winner.value) winner = {s, column}, logit = v[0];
    }
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
DEVICE void list_group(float (&v)[PER_LANE], int group, float cut, x_t* logits, i32* columns) {
  int own = 0;
  each_logit([&](int i) { own += v[i] > cut ? 1 : 0; });
  int upto = own;  // of the lanes up to this one
  for (int d = 1; d < WAVE; d *= 2) {
    const int before = wave_shfl(upto, lane_id() - d);
    if (lane_id() >= d) upto += before;
  }
  const int length = wave_shfl(upto, WAVE - 1);
  int at = upto - own;
  const auto list = [&](float logit, int i) {
    if (logit > cut) logits[at] = x_t(logit), columns[at++] = column_of(group, i);
  };
  if constexpr (WAVE == 1) {
    for (int i = 0; i < PER_LANE; i++) list(v[i], i);
  } else {
    KEEP_LOOP for (int i = 0; i < PER_LANE; i++, go_round(v)) list(v[0], i);
  }
  for (int i = length + lane_id(); i < LISTED; i += WAVE) logits[i] = x_t(-INF), columns[i] = 0;
}

DEVICE void survey_group(float (&v)[PER_LANE], int group, const Settings& o, const Survey& out) {
  if (group == 0 && lane_id() == 0) *out.head() = {o, {0, 0}};
  each_logit([&](int i) { v[i] = NumberOrMost{}(v[i]); });  // so that one NaN makes the row's best +∞
  Indexed best = best_of_group(v, group);
  if (best.value == INF) best.index = NO_COLUMN;  // not for `decide` to tell, whose scalar registers are full
  if (lane_id() == 0) out.bests()[group] = best;
  if (o.greedy()) return;
  if (!o.cuts()) {
    const Indexed drawn = draw_of_group(v, group, best, o);
    if (lane_id() == 0) out.logits()[group] = x_t(drawn.value), out.columns()[group] = drawn.index;
    if (group == GROUPS - 1)
      for (int i = GROUPS + lane_id(); i < WINNERS; i += WAVE) out.logits()[i] = x_t(-INF);
    return;
  }
  const float cut = list_cut(v, best.value);
  list_group(v, group, cut, out.logits() + group * LISTED, out.columns() + group * LISTED);
  float sum = 0.f;
  if (o.top_p < 1.f && best.value < INF) {
    const float rate = o.rate();
    each_logit([&](int i) { sum += v[i] > -INF ? fast_exp((v[i] - best.value) * rate) : 0.f; });
    sum = wave_reduce(sum, Add{});
  }
  if (lane_id() == 0) out.cuts()[group] = cut, out.sums()[group] = sum;
}

// ---- decide: a block, a request ------------------------------------------------------------------------------------

/** The sum of e^((logit − most) / temperature) over the row. */
DEVICE float total_of(const Survey& from, float most, float rate) {
  float sum = 0.f;
  for (int g = thread_id(); g < GROUPS; g += BLOCK)
    if (from.bests()[g].value > -INF) sum += from.sums()[g] * fast_exp((from.bests()[g].value - most) * rate);
  return block_reduce(sum, Add{});
}

/**
 * The logit from which tokens are kept, found in `logits`, which hold every logit of the row above `cut`; false if more is
 * kept than they hold. With all logits, cut is −∞.
 */
template <class T>
DEVICE bool keep_from(const Row<T>& logits, const Survey& from, float most, float cut, const Settings& o, float& least) {
  const u32 end = key_of(most) + 1;
  u32 low = key_of(cut) + 1;
  least = -INF;
  // first the count, then the probability: one piece of code, since each is met once and must come from memory
  KEEP_LOOP for (int measure = 0; measure < 2; measure++) {
    const bool weighted = measure == 1;
    if (weighted ? o.top_p >= 1.f : !o.keeps_k()) continue;
    const Weighted counted = {most, o.rate(), weighted};
    float target = float(o.top_k);
    if (weighted) {
      const float total = o.keeps_k() ? measure_from(logits, least, counted) : total_of(from, most, o.rate());
      target = o.top_p * total;
      // what is less likely than an even share of what top_p leaves out cannot be needed to reach it
      const float spare = max_f32((1.f - o.top_p) * total * (1.f / COLUMNS), 1e-30f);
      low = max_int(low, key_of(max_f32(most + (fast_log(spare) - 0.01f) * o.temperature, least)));
    }
    const bool reached = measure_from(logits, value_of(low), counted) >= target;
    if (!reached && cut > -INF) return false;
    if (reached) least = reach(logits, target, low, end, counted);
  }
  if (o.min_p > 0.f) least = max_f32(most + o.temperature * fast_log(o.min_p), least);
  least = min_f32(least, most);
  return least > cut || cut == -INF;
}

/** The column with the highest score among logits from `least` on; they are those of `columns`, or of a row if that is null. */
template <class T>
DEVICE i32 draw_from(const Row<T>& logits, const i32* columns, Indexed best, float least, const Settings& o) {
  const Scores score(o, best.value);
  // above −∞, since best is: what stands at −∞ is never drawn
  least = max_f32(max_f32(score.chance(), least), -3.4028234e38f);
  Indexed winner = {-INF, best.index};
  logits.each_from(least, [&](float v, int i) {
    const int column = columns ? columns[i] : i;
    winner = ArgMax{}(winner, Indexed{score(v, column), column});
  });
  return block_reduce(winner, ArgMax{}).index;
}

/** The token, to all threads, NO_COLUMN where the largest logit is no finite number; `row` are the logits that the survey saw. */
DEVICE i32 decide(const x_t* row, const Survey& from) {
  const Settings o = from.head()->settings;
  const Indexed best = best_of_row(from.bests());
  if (o.greedy() || !(best.value > -INF && best.value < INF)) return best.index;
  Row<x_t> logits = {from.logits(), WINNERS};
  const i32* columns = from.columns();
  float least = -INF;
  if (o.cuts()) {
    float cut = -INF;
    for (int g = thread_id(); g < GROUPS; g += BLOCK) cut = max_f32(from.cuts()[g], cut);
    cut = block_reduce(cut, Max{});
    logits.n = GROUPS * LISTED;
    while (!keep_from(logits, from, best.value, cut, o, least)) {  // again at most once, with all of the row
      logits = {row, COLUMNS};
      columns = nullptr;
      cut = -INF;
    }
  }
  return draw_from(logits, columns, best, least, o);
}
