// sample: y[r] drawn from softmax(logits[r,:] / temperature[r]) over the tokens that top_k, top_p and min_p keep (draw.h)
//   layout    y: i32[R]; logits: x_t[R, V] row-major; temperature, top_p, min_p: f32[R]; top_k, positions: i32[R];
//             seed: u32[R]; the survey's buffers as in draw.h, of R requests
//   launch    sample_survey: grid = R · GROUP_BLOCKS, a wave a group of logits; sample_decide: grid = R, a block a request;
//             block = BLOCK
//   aliasing  none
//   numerics  probabilities in f32, summed in a fixed order: a seed gives the same token on every run of one device
//   limits    V < 2^24; NaN counts as −∞; temperature 0 gives the first largest logit; any WAVE, any BLOCK
#include "sample/draw.h"

KERNEL void sample_survey(Indexed* bests, Indexed* drawn, float* cuts, float* sums, float* listed, i32* columns,
                          const x_t* logits, const float* temperature, const i32* top_k, const float* top_p,
                          const float* min_p, const u32* seed, const i32* positions, i32 R) {
  for (int tile = block_id(); tile < R * GROUP_BLOCKS; tile += grid_size()) {
    const int r = tile / GROUP_BLOCKS, group = tile % GROUP_BLOCKS * WAVES + wave_id();
    if (group >= GROUPS) continue;  // waves do not wait for each other
    float v[PER_LANE];
    load_group(v, logits + size_t(r) * COLUMNS, group);
    survey_group(v, group, {temperature[r], top_p[r], min_p[r], top_k[r], seed[r], positions[r]},
                 survey_of(r, bests, drawn, cuts, sums, listed, columns));
  }
}

KERNEL void sample_decide(i32* y, Indexed* bests, Indexed* drawn, float* cuts, float* sums, float* listed, i32* columns,
                          const x_t* logits, const float* temperature, const i32* top_k, const float* top_p,
                          const float* min_p, const u32* seed, const i32* positions, i32 R) {
  for (int r = block_id(); r < R; r += grid_size()) {
    const i32 token = decide(Row<x_t>{logits + size_t(r) * COLUMNS},
                             {temperature[r], top_p[r], min_p[r], top_k[r], seed[r], positions[r]},
                             survey_of(r, bests, drawn, cuts, sums, listed, columns));
    if (thread_id() == 0) y[r] = token;
  }
}
