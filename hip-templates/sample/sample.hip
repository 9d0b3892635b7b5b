// sample: y[r] drawn from softmax(logits[r,:] / temperature[r]) over the tokens that top_k, top_p and min_p keep (draw.h)
//   layout    y: i32[R]; logits: x_t[R, V] row-major; temperature, top_p, min_p: f32[R]; top_k, positions: i32[R];
//             seed: u32[R]; survey: u32[R, SURVEY], as in draw.h
//   launch    sample_survey: grid = ⌈R · GROUPS / WAVES⌉, a wave a group of logits; sample_decide: grid = R, a block a request;
//             block = BLOCK
//   aliasing  none
//   numerics  probabilities in f32, summed in a fixed order: a seed gives the same token on every run of one device
//   limits    V < 2^24; temperature 0 gives the first largest logit; −2^31 where the largest is no finite number, NaN the
//             largest of all; any WAVE, any BLOCK
#include "sample/draw.h"

KERNEL void sample_survey(u32* survey, const x_t* logits, const float* temperature, const i32* top_k, const float* top_p,
                          const float* min_p, const u32* seed, const i32* positions, i32 R) {
  // waves do not wait for each other
  for (int item = block_id() * WAVES + wave_id(); item < R * GROUPS; item += grid_size() * WAVES) {
    const int r = item / GROUPS, group = item % GROUPS;
    float v[PER_LANE];
    load_group(v, logits + size_t(r) * COLUMNS, group);
    survey_group(v, group, {temperature[r], top_p[r], min_p[r], top_k[r], seed[r], positions[r]},
                 {survey + size_t(r) * SURVEY});
  }
}

KERNEL void sample_decide(i32* y, const u32* survey, const x_t* logits, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) {
    const i32 token = decide(logits + size_t(r) * COLUMNS, {(u32*)survey + size_t(r) * SURVEY});
    if (thread_id() == 0) y[r] = token;
  }
}
