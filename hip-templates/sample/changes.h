// changes.h: what changes logits before one is drawn: penalties of tokens in the history, and biases. Applied to the group
// that a wave holds; tokens are few and logits many, so each wave reads all of the former and picks out its own.
#pragma once
#ifndef P_PAGE
#define P_PAGE 16  // positions of a page of the history
#endif
#ifndef P_BIASES
#define P_BIASES 256  // entries of a request's list of biases
#endif
#include "sample/group.h"

constexpr int PAGE = P_PAGE, BIASES = P_BIASES;

/** Token ids by position, of one request. */
struct History {
  const i32 *tokens, *pages;
  int pages_length, last;
  /** −1 where there is no page */
  DEVICE int at(int position) const {
    const int page = position / PAGE < pages_length ? pages[position / PAGE] : -1;
    return page < 0 ? -1 : tokens[size_t(page) * PAGE + position % PAGE];
  }
};

/** Settings of one request, and whether they change anything. */
struct Repeat {
  float penalty;
  i32 window;
  DEVICE bool active() const { return penalty != 1.f && window != 0; }
  DEVICE int first(int last) const { return window < 0 ? 0 : max_int(last - window + 1, 0); }
};
struct Frequency {
  i32 from;
  float each, once;
  DEVICE bool active() const { return each != 0.f || once != 0.f; }
};
struct Biases {
  const i32* ids;
  const float* values;
  DEVICE bool active() const { return ids[0] >= 0; }
};

/** found(place, lane) for each lane whose token the wave's group holds, in the order of lanes. */
template <class F> DEVICE void each_held(int token, int group, F found) {
  const bool mine = token >= 0 && token < COLUMNS && place_of(token).group == group;
  u64 held = wave_ballot(mine);
  KEEP_LOOP for (int lane = 0; held != 0; lane++, held >>= 1)
    if (held & 1) found(place_of(wave_shfl(token, lane)), lane);
}

/** Divides or multiplies tokens of the window, then takes off what frequency and presence ask for; each rounds once. */
DEVICE void penalise(float (&v)[PER_LANE], int group, const History& history, const Repeat& repeat,
                     const Frequency& frequency) {
  constexpr u32 REPEATED = 0x80000000;
  u32 seen[PER_LANE];  // how often since frequency.from, and REPEATED
  each_logit([&](int i) { seen[i] = 0; });
  const int repeat_from = repeat.active() ? repeat.first(history.last) : history.last + 1;
  const int count_from = frequency.active() ? max_int(frequency.from, 0) : history.last + 1;
  KEEP_LOOP for (int first = min_int(repeat_from, count_from); first <= history.last; first += WAVE) {
    const int p = first + lane_id();
    each_held(p <= history.last ? history.at(p) : -1, group, [&](const Place& place, int lane) {
      const u32 repeated = first + lane >= repeat_from ? REPEATED : 0, counted = first + lane >= count_from ? 1 : 0;
      change_one(seen, place.i, lane_id() == place.lane, [&](u32 s) { return (s | repeated) + counted; });
    });
  }
  const auto changed = [&](float logit, u32 times) {
    if (times & REPEATED) logit = logit > 0.f ? logit / repeat.penalty : logit * repeat.penalty;
    const double count = times & ~REPEATED;
    if (count > 0.0) logit = float(double(logit) - (count * double(frequency.each) + double(frequency.once)));
    return logit;
  };
  if constexpr (WAVE == 1) {
    for (int i = 0; i < PER_LANE; i++)
      if (seen[i]) v[i] = changed(v[i], seen[i]);
  } else {
    KEEP_LOOP for (int i = 0; i < PER_LANE; i++, go_round(v), go_round(seen)) v[0] = changed(v[0], seen[0]);
  }
}

DEVICE void add_biases(float (&v)[PER_LANE], int group, const Biases& biases) {
  u64 ended = 0;
  KEEP_LOOP for (int first = 0; first < BIASES && ended == 0; first += WAVE) {
    const int entry = first + lane_id();
    const int id = entry < BIASES ? biases.ids[entry] : -1;
    ended = wave_ballot(id < 0);
    const bool listed = (ended << (63 - lane_id())) == 0;  // no negative id up to this one
    const float value = listed ? biases.values[entry] : 0.f;
    each_held(listed ? id : -1, group, [&](const Place& place, int lane) {
      const float bias = wave_shfl(value, lane);
      change_one(v, place.i, lane_id() == place.lane, [&](float logit) { return logit + bias; });
    });
  }
}
