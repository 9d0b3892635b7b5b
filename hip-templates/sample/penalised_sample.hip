// penalised_sample: y[r] drawn as by sample, after repeat_penalty, frequency_penalty and logit_bias have changed a few
// logits (changes.h); penalised_publish: the same, and publish of what is drawn (ring.h)
//   layout    y: i32[R]; logits: f32[R, V] row-major; history: i32[P, 1, PAGE, 1] token ids by position;
//             page_table: i32[R, M]; ids: i32[R, BIASES], values: f32[R, BIASES]; settings: [R]; survey: u32[R, SURVEY], as in
//             draw.h; changed: f32[R, V], written where tokens are cut off; token, ring, next_positions, next_step, step: as y
//             and in publish.hip; arrivals: u32[1], 0 before and after
//   launch    penalised_survey: grid = ⌈R · GROUPS / WAVES⌉, a wave a group of logits; penalised_decide, publish_decide: grid = R, a
//             block a request; block = BLOCK
//   aliasing  next_positions may be positions, next_step may be step
//   numerics  as sample; a change rounds once to f32
//   limits    as sample; where nothing is penalised or biased, a few scalars are read more
#include "sample/changes.h"
#include "sample/draw.h"
#include "sample/ring.h"

/** What changes logits of a request. */
struct Changes {
  Repeat repeat;
  Frequency frequency;
  Biases biases;
  DEVICE bool active() const { return repeat.active() || frequency.active() || biases.active(); }
};

KERNEL void penalised_survey(u32* survey, float* changed, const float* logits, const i32* history, const i32* positions,
                             const i32* page_table, const float* penalty, const i32* window, const i32* from,
                             const float* frequency, const float* presence, const i32* ids, const float* values,
                             const float* temperature, const i32* top_k, const float* top_p, const float* min_p,
                             const u32* seed, i32 R, i32 M) {
  u32* const surveys = by_lane(survey);
  // waves do not wait for each other
  KEEP_LOOP for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES) {
    const int r = item / GROUPS, group = item % GROUPS;
    float v[PER_LANE];
    load_group(v, logits + size_t(r) * COLUMNS, group);
    const Settings o = {temperature[r], top_p[r], min_p[r], top_k[r], seed[r], positions[r]};
    const Changes changes = {{penalty[r], window[r]},
                             {from[r], frequency[r], presence[r]},
                             {ids + size_t(r) * BIASES, values + size_t(r) * BIASES}};
    if (changes.active()) {
      penalise(v, group, {history, page_table + size_t(r) * M, M, o.position}, changes.repeat, changes.frequency);
      add_biases(v, group, changes.biases);
    }
    if (!o.greedy() && o.cuts()) store_group(changed + size_t(r) * COLUMNS, v, group);
    survey_group(v, group, o, {surveys + size_t(r) * SURVEY});
  }
}

KERNEL void penalised_decide(i32* y, const u32* survey, const float* changed, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) {
    const i32 token = decide(changed + size_t(r) * COLUMNS, {(u32*)survey + size_t(r) * SURVEY});
    if (thread_id() == 0) y[r] = token;
  }
}

/** Where what is drawn goes, and what it needs: addresses that wait while a block decides. */
struct Publication {
  i32 *token, *ring, *next_positions, *next_step;
  u32* arrivals;
  const i32 *positions, *step;
};

KERNEL void publish_decide(i32* token, i32* ring, i32* next_positions, i32* next_step, u32* arrivals, const u32* survey,
                           const float* changed, const i32* positions, const i32* step, i32 R) {
  const Publication to = {by_lane(token), by_lane(ring), by_lane(next_positions), by_lane(next_step), by_lane(arrivals),
                          by_lane(positions), by_lane(step)};
  const float* const logits = by_lane(changed);
  for (int r = block_id(); r < R; r += grid_size()) {
    const int now = *to.step, position = to.positions[r];  // in flight while the block decides
    const i32 drawn = decide(logits + size_t(r) * COLUMNS, {(u32*)survey + size_t(r) * SURVEY});
    if (thread_id() == 0) {
      to.token[r] = drawn;
      publish_row(to.ring, to.next_positions, now, R, r, position, drawn);
      if (R > 1) device_fence();  // the step is read before the row is counted: whoever counts the last one overwrites it
      if (R == 1 || atomic_add(to.arrivals, 1u) == u32(R - 1)) *to.arrivals = 0, *to.next_step = now + 1;
    }
  }
}
