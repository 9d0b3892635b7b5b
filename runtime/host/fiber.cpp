// Emulation mode: the threads of a block as fibers on one OS thread. A barrier or a wave operation switches away until
// all who must come have come; a thread that has returned no longer counts. When nobody can go on, the threads wait for
// each other at different places: that is reported, with who waits where, instead of hanging. A long file of one idea: the
// switch in its three forms (assembly, ucontext, under a sanitizer) and the scheduler around it share all their state.

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define HIPHOST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HIPHOST_ASAN 1
#endif
#endif
#ifdef HIPHOST_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__APPLE__)
#define HIPHOST_SYMBOL "_hiphost_switch"
#else
#define HIPHOST_SYMBOL "hiphost_switch"
#endif

// hiphost_switch(&save, target): keeps the registers that a call must keep on the stack, stores the stack pointer in
// `save`, takes the one in `target`. 7 ns, where swapcontext with its two system calls takes 225.
#if defined(__x86_64__)
extern "C" void hiphost_switch(void** save, void* target);
__asm__(".text\n.p2align 4\n" HIPHOST_SYMBOL ":\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n");
#elif defined(__aarch64__)
extern "C" void hiphost_switch(void** save, void* target);
__asm__(".text\n.p2align 4\n" HIPHOST_SYMBOL ":\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n  ret\n");
#else
#include <ucontext.h>
#define HIPHOST_UCONTEXT 1
#endif

namespace hiphost {

std::atomic<u64> order_seed{0};

namespace {

std::mutex& fault_mutex = *new std::mutex;
std::string& fault_text = *new std::string;
std::atomic<bool> fault_set{false};

#ifdef HIPHOST_ASAN
constexpr size_t stack_bytes = 256 << 10;  // redzones make frames larger
#else
constexpr size_t stack_bytes = 128 << 10;
#endif
constexpr size_t lds_limit = 1 << 20;
constexpr u64 canary = 0x726f636d666f7267;

#ifndef HIPHOST_UCONTEXT
/** What hiphost_switch takes to call `begin`, which must not return, on a fresh stack that ends at `end`. */
void* first_frame(char* end, void (*begin)()) {
  void** top = reinterpret_cast<void**>(uintptr_t(end) & ~uintptr_t(63));
#if defined(__x86_64__)
  *--top = nullptr;                               // the call's alignment: rsp % 16 == 8 on entry
  *--top = reinterpret_cast<void*>(begin);        // popped by ret
  for (int i = 0; i < 6; i++) *--top = nullptr;   // registers
#else
  top -= 20;
  memset(top, 0, 160);
  top[11] = reinterpret_cast<void*>(begin);  // x30
#endif
  return top;
}
#endif

enum State : unsigned char { ready, at_wave, at_barrier, returned };

struct Fiber {
#ifdef HIPHOST_UCONTEXT
  ucontext_t context;
#else
  void* sp;
#endif
  State state;
  unsigned operation;  // while at_wave
  hiphost_dim3 id;
  void* fake_stack;  // of the address sanitizer
};

struct Wave {
  unsigned live, arrived, operation, phase;
  u64 participants[2];
  // two phases: a lane may deposit its next value before a neighbour has read this one
  unsigned long long values[2][64];
};

/** The block that an OS thread runs. */
class Block {
 public:
  hiphost_block shared{};

  ~Block() {
    if (stacks_) munmap(stacks_, stacks_count_ * stack_bytes);
    free_lds();
    free(arena_);
    free(shared.dynamic_lds);
  }

  void prepare(u32 lds_bytes) {
    shared.services = &services;
    shared.library = this;
    // exactly as large as asked for in sanitized runs, so that an overrun is seen
#ifdef HIPHOST_ASAN
    constexpr bool exact = true;
#else
    constexpr bool exact = false;
#endif
    if (exact ? lds_bytes != dynamic_bytes_ : lds_bytes > dynamic_bytes_) {
      free(shared.dynamic_lds);
      shared.dynamic_lds = nullptr;
      if (lds_bytes && posix_memalign(&shared.dynamic_lds, 64, lds_bytes) != 0) abort();
      dynamic_bytes_ = lds_bytes;
    }
    launch_lds_bytes_ = lds_bytes;
  }

  void run(void (*thread)(void**), void** params, unsigned wave) {
    const hiphost_dim3 d = shared.block_dim;
    const unsigned n = d.x * d.y * d.z;
    if (faulted()) return;  // the launch has failed already
    shared.serial++;
    free_lds();
    if (launch_lds_bytes_) memset(shared.dynamic_lds, 0xff, launch_lds_bytes_);
    reserve(n);
    thread_ = thread, params_ = params, wave_ = wave, live_ = n, at_barrier_ = 0;
    waves_.resize((n + wave - 1) / wave);
    for (unsigned w = 0; w < waves_.size(); w++) {
      waves_[w].live = w + 1 < waves_.size() ? wave : n - w * wave;
      waves_[w].arrived = waves_[w].phase = 0;
    }
    for (unsigned t = 0; t < n; t++) {
      fibers_[t].id = {t % d.x, t / d.x % d.y, t / d.x / d.y};
      launch(t);
    }
    schedule(n);
  }

  void barrier() {
    if (at_barrier_ + 1 == live_) return open_barrier();
    at_barrier_++;
    leave(at_barrier);
  }

  const unsigned long long* exchange(unsigned operation, u64 value, unsigned long long* participants) {
    Wave& w = waves_[current_ / wave_];
    const unsigned lane = current_ % wave_, phase = w.phase;
    if (w.arrived == 0) w.participants[phase] = 0, w.operation = operation;
    if (w.operation != operation) fail("lanes of one wave wait in different wave operations");
    w.values[phase][lane] = value;
    w.participants[phase] |= u64(1) << lane;
    if (w.arrived + 1 == w.live) {
      open_wave(current_ / wave_);
    } else {
      w.arrived++;
      leave(at_wave);
    }
    *participants = w.participants[phase];
    return w.values[phase];
  }

  void* lds(u64 bytes) {
    bytes = (bytes + 63) & ~u64(63);
    lds_bytes_ += bytes;
    if (lds_bytes_ > lds_limit) fail("a block has more than 1 MiB of LDS");
    void* p = nullptr;
#ifdef HIPHOST_ASAN
    if (posix_memalign(&p, 64, bytes) != 0) abort();
    lds_parts_.push_back(p);
#else
    if (!arena_ && posix_memalign(&arena_, 64, lds_limit) != 0) abort();
    p = static_cast<char*>(arena_) + lds_bytes_ - bytes;
#endif
    memset(p, 0xff, bytes);
    return p;
  }

  /** For loops that wait for another block: lets the block's other threads run, and now and then other OS threads. */
  void yield() {
    pause_cpu();
    if (++waits_ % 64 == 0) sched_yield();  // the awaited block may need this CPU
    if (live_ > 0) leave(ready);            // else fast mode: there are no other threads
  }

  [[noreturn]] void fail(const std::string& text) {
    set_fault("thread " + name(current_) + " of block " + block_name() + ": " + text);
    leave(returned);
    abort();
  }

 private:
  void reserve(unsigned n) {
    if (n <= stacks_count_) return;
    if (stacks_) munmap(stacks_, stacks_count_ * stack_bytes);
    void* p = mmap(nullptr, n * stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (p == MAP_FAILED) abort();
    stacks_ = static_cast<char*>(p);
    stacks_count_ = n;
    fibers_.resize(n);
  }

  char* stack(unsigned t) { return stacks_ + t * stack_bytes; }

  /** Gives fiber t a stack that begins in `begin`. */
  void launch(unsigned t) {
    Fiber& f = fibers_[t];
    f.state = ready;
    f.fake_stack = nullptr;
    memcpy(stack(t), &canary, sizeof canary);
#ifdef HIPHOST_UCONTEXT
    getcontext(&f.context);
    f.context.uc_stack = {stack(t), 0, stack_bytes};
    makecontext(&f.context, &begin, 0);
#else
#ifdef HIPHOST_ASAN
    __asan_unpoison_memory_region(stack(t), stack_bytes);  // of a fiber that was abandoned there
#endif
    // offset by a cache line per thread: equal offsets in equal pages would share the sets of the L1 cache
    f.sp = first_frame(stack(t) + stack_bytes - 64 - (t % 32) * 64, &begin);
#endif
  }

  static void begin() {
    Block& block = self();
#ifdef HIPHOST_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &block.main_bottom_, &block.main_size_);
#endif
    block.thread_(block.params_);
    block.finish();
    abort();
  }

  void finish() {
    live_--;
    Wave& w = waves_[current_ / wave_];
    w.live--;
    if (w.arrived && w.arrived == w.live) open_wave(current_ / wave_);
    if (at_barrier_ && at_barrier_ == live_) open_barrier();
    leave(returned);
  }

  void open_barrier() {
    for (unsigned t = 0; t < count_; t++)
      if (fibers_[t].state == at_barrier) fibers_[t].state = ready;
    at_barrier_ = 0;
  }

  void open_wave(unsigned w) {
    const unsigned first = w * wave_, last = first + wave_ < count_ ? first + wave_ : count_;
    for (unsigned t = first; t < last; t++)
      if (fibers_[t].state == at_wave) fibers_[t].state = ready;
    waves_[w].arrived = 0;
    waves_[w].phase ^= 1;
  }

  /** From a fiber back to the scheduler. */
  void leave(State state) {
    Fiber& f = fibers_[current_];
    f.state = state;
#ifdef HIPHOST_ASAN
    __sanitizer_start_switch_fiber(state == returned ? nullptr : &f.fake_stack, main_bottom_, main_size_);
#endif
#ifdef HIPHOST_UCONTEXT
    swapcontext(&f.context, &main_);
#else
    hiphost_switch(&f.sp, main_);
#endif
#ifdef HIPHOST_ASAN
    __sanitizer_finish_switch_fiber(f.fake_stack, &main_bottom_, &main_size_);
#endif
  }

  void resume(unsigned t) {
    Fiber& f = fibers_[t];
    current_ = t;
    shared.thread_id = f.id;
#ifdef HIPHOST_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack(t), stack_bytes);
#endif
#ifdef HIPHOST_UCONTEXT
    swapcontext(&main_, &f.context);
#else
    hiphost_switch(&main_, f.sp);
#endif
#ifdef HIPHOST_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    if (memcmp(stack(t), &canary, sizeof canary) != 0) {
      fprintf(stderr, "libhiphost: thread %u of block %s overran its stack of %zu KiB\n", t, block_name().c_str(),
              stack_bytes >> 10);
      abort();  // its neighbour's stack is gone
    }
  }

  void schedule(unsigned n) {
    count_ = n;
    u64 random = order_seed.load(std::memory_order_relaxed);
    if (random) random ^= (shared.serial + 1) * 0x9e3779b97f4a7c15u;
    while (live_ > 0) {
      bool progress = false;
      const unsigned waves = unsigned(waves_.size());
      const unsigned wave_turn = random ? unsigned(next(random) % waves) : 0;
      for (unsigned i = 0; i < waves; i++) {
        const unsigned first = (i + wave_turn) % waves * wave_;
        const unsigned lanes = first + wave_ < n ? wave_ : n - first;
        // one wave runs until all its lanes wait for other waves: its data stay in the cache
        for (bool ran = true; ran;) {
          ran = false;
          const unsigned lane_turn = random ? unsigned(next(random) % lanes) : 0;
          const bool backwards = random && next(random) & 1;
          for (unsigned l = 0; l < lanes; l++) {
            const unsigned lane = ((backwards ? lanes - 1 - l : l) + lane_turn) % lanes;
            if (fibers_[first + lane].state != ready) continue;
            resume(first + lane);
            if (faulted()) return;
            ran = fibers_[first + lane].state != ready || ran;  // one that yielded waits for others
            progress = true;
          }
        }
      }
      if (!progress && live_ > 0) return set_fault(deadlock(n));
    }
  }

  static u64 next(u64& x) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x;
  }

  std::string name(unsigned t) const {
    const hiphost_dim3& id = fibers_[t].id;
    const std::string x = std::to_string(id.x);
    return shared.block_dim.y * shared.block_dim.z == 1 ? x : "(" + x + ", " + std::to_string(id.y) + ", " + std::to_string(id.z) + ")";
  }
  std::string block_name() const {
    const std::string x = std::to_string(shared.block_id.x);
    if (shared.grid_dim.y * shared.grid_dim.z == 1) return x;
    return "(" + x + ", " + std::to_string(shared.block_id.y) + ", " + std::to_string(shared.block_id.z) + ")";
  }

  std::string deadlock(unsigned n) const {
    unsigned barrier = 0, wave = 0, gone = 0, barrier_first = n, wave_first = n;
    for (unsigned t = 0; t < n; t++) {
      const State state = fibers_[t].state;
      if (state == at_barrier && barrier++ == 0) barrier_first = t;
      if (state == at_wave && wave++ == 0) wave_first = t;
      if (state == returned) gone++;
    }
    std::string text = "the threads of block " + block_name() + " wait for each other:";
    if (barrier) text += " " + std::to_string(barrier) + " at a barrier (the first is thread " + name(barrier_first) + "),";
    if (wave) text += " " + std::to_string(wave) + " at a wave operation (the first is thread " + name(wave_first) + "),";
    return text + " " + std::to_string(gone) + " have returned";
  }

  static Block& self();
  friend Block& this_thread_block();

  void free_lds() {
    for (void* p : lds_parts_) free(p);
    lds_parts_.clear();
    lds_bytes_ = 0;
  }

  std::vector<Fiber> fibers_;
  std::vector<Wave> waves_;
  char* stacks_ = nullptr;
  size_t stacks_count_ = 0;
  void (*thread_)(void**) = nullptr;
  void** params_ = nullptr;
  unsigned waits_ = 0, wave_ = 0, live_ = 0, at_barrier_ = 0, current_ = 0, count_ = 0;
  u32 dynamic_bytes_ = 0, launch_lds_bytes_ = 0;
  u64 lds_bytes_ = 0;
  void* arena_ = nullptr;
  std::vector<void*> lds_parts_;
#ifdef HIPHOST_UCONTEXT
  ucontext_t main_;
#else
  void* main_ = nullptr;
#endif
  [[maybe_unused]] const void* main_bottom_ = nullptr;  // the scheduler's stack, for the address sanitizer
  [[maybe_unused]] size_t main_size_ = 0;
};

Block& this_thread_block() {
  static thread_local Block block;
  return block;
}
Block& Block::self() { return this_thread_block(); }

}  // namespace

static Block& of(hiphost_block* block) { return *static_cast<Block*>(block->library); }

const hiphost_services services = {
    [](hiphost_block* b, void (*thread)(void**), void** params, unsigned wave) { of(b).run(thread, params, wave); },
    [](hiphost_block* b) { of(b).barrier(); },
    [](hiphost_block* b, unsigned operation, unsigned long long value, unsigned long long* participants) {
      return of(b).exchange(operation, value, participants);
    },
    [](hiphost_block* b, unsigned long long bytes) { return of(b).lds(bytes); },
    [](hiphost_block* b) { of(b).yield(); },
    [](hiphost_block* b, const char* message) { of(b).fail(message); },
};

hiphost_block* thread_block(u32 lds_bytes) {
  Block& block = this_thread_block();
  block.prepare(lds_bytes);
  return &block.shared;
}

#if defined(HIPHOST_UCONTEXT) || defined(HIPHOST_ASAN)
void on_large_stack(void (*fn)(void*), void* arg) { fn(arg); }
#else
namespace {
struct {
  void (*fn)(void*);
  void* arg;
  void *caller, *inside;
  char* stack;
} large;
}  // namespace

void on_large_stack(void (*fn)(void*), void* arg) {
  constexpr size_t bytes = kernel_stack_bytes;
  if (!large.stack) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return fn(arg);
    large.stack = static_cast<char*>(p);
  }
  large.fn = fn, large.arg = arg;
  large.inside = first_frame(large.stack + bytes, [] {
    large.fn(large.arg);
    hiphost_switch(&large.inside, large.caller);
    abort();
  });
  hiphost_switch(&large.caller, large.inside);
}
#endif

void set_fault(std::string text) {
  std::lock_guard lock(fault_mutex);
  if (fault_set) return;
  fault_text = std::move(text);
  fault_set = true;
}

bool faulted() { return fault_set.load(std::memory_order_relaxed); }

std::string take_fault() {
  std::lock_guard lock(fault_mutex);
  fault_set = false;
  return std::move(fault_text);
}

}  // namespace hiphost
