// sample: y[r] drawn from softmax(logits[r,:] / temperature[r]) over the tokens that top_k, top_p and min_p keep
//   method    the logit from which tokens are kept is searched by value (columns.h); the draw is Gumbel-max: the token
//             that maximises logit / temperature − log(−log u), u a hash of (seed, position, token)
//   layout    y: i32[R]; logits: x_t[R, V] row-major; temperature, top_p, min_p: f32[R]; top_k, positions: i32[R]; seed: u32[R]
//   launch    grid = R, block = BLOCK; one block per request
//   aliasing  none
//   numerics  probabilities in f32, summed in a fixed order: a seed gives the same token on every run of one device
//   limits    V < 2^24; NaN counts as −∞; temperature 0 gives the first largest logit; any WAVE, any BLOCK
#include "sample/columns.h"

/** Tokens a thread scores at a time: a loop that the compiler turns into SIMD code where a wave is one lane. */
constexpr int AT_ONCE = WAVE == 1 ? 64 : 1;

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

struct sample_options {
  float temperature, top_p, min_p;
  i32 top_k;
};

/** The logit from which tokens are kept; `most` is the largest. */
DEVICE float keep_from(const x_t* row, float most, const sample_options& o) {
  const float rate = 1.f / o.temperature;
  const u32 end = key_of(most) + 1;
  float least = -INF;
  if (o.top_k > 0 && o.top_k < COLUMNS) least = reach(row, float(o.top_k), key_of(-INF), end, Counted{});
  if (o.top_p < 1.f) {
    const Weighted probability = {most, rate};
    sum_t sum = zero_sum();
    each_chunk(row, [&](const chunk_t& v, int) { add_chunk(sum, zip(v, probability.weights(v), IfAtLeast{least})); });
    const float total = block_reduce(hsum(sum), Add{});
    // what is less likely than an even share of what top_p leaves out cannot be needed to reach it
    const float spare = max_f32((1.f - o.top_p) * total * (1.f / COLUMNS), 1e-30f);
    const float start = max_f32(most + (log_f32(spare) - 0.01f) * o.temperature, least);
    least = reach(row, o.top_p * total, key_of(start), end, probability);
  }
  if (o.min_p > 0.f) least = max_f32(most + o.temperature * log_f32(o.min_p), least);
  return min_f32(least, most);
}

/** The token with the highest score among those from `least` on. */
DEVICE i32 draw(const x_t* row, Indexed best, float least, float temperature, u32 seed, i32 position) {
  const u32 base = mixed(mixed(seed ^ 0x9e3779b9u) ^ u32(position));
  const float rate = 1.f / temperature;
  // no Gumbel number of 24 bits is above 17.4: a token so far below the best one's score cannot win
  least = max_f32(best.value + (gumbel(mixed(base ^ u32(best.index))) - 17.4f) * temperature, least);
  Indexed winner = {-INF, best.index};
  for (int first = thread_id() * AT_ONCE; first < COLUMNS; first += BLOCK * AT_ONCE) {
    const int n = min_int(AT_ONCE, COLUMNS - first);
    float logits[AT_ONCE], scores[AT_ONCE];
    float most = -INF;
    for (int i = 0; i < AT_ONCE; i++) {
      logits[i] = i < n ? float(row[first + i]) : -INF;
      most = max_f32(logits[i], most);
    }
    if (!(most >= least)) continue;
    for (int i = 0; i < AT_ONCE; i++) {
      const float score = (logits[i] - best.value) * rate + gumbel(mixed(base ^ u32(first + i)));
      scores[i] = logits[i] >= least ? score : -INF;
    }
    for (int i = 0; i < n; i++)
      if (scores[i] > winner.value) winner = {scores[i], first + i};
  }
  return block_reduce(winner, ArgMax{}).index;
}

DEVICE void sample_tile(int r, i32* y, const x_t* logits, const sample_options& o, u32 seed, i32 position) {
  const x_t* const row = logits + size_t(r) * COLUMNS;
  const Indexed best = largest(row);
  i32 token = best.index;
  if (o.temperature > 0.f && best.value > -INF && best.value < INF)
    token = draw(row, best, keep_from(row, best.value, o), o.temperature, seed, position);
  if (thread_id() == 0) y[r] = token;
}

KERNEL void sample(i32* y, const x_t* logits, const float* temperature, const i32* top_k, const float* top_p, const float* min_p,
            const u32* seed, const i32* positions, i32 R) {
  for (int r = block_id(); r < R; r += grid_size())
    sample_tile(r, y, logits, {temperature[r], top_p[r], min_p[r], top_k[r]}, seed[r], positions[r]);
}
