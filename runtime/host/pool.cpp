// The OS threads that share the blocks of a grid. The thread that runs a launch takes part, so a pool of n threads has
// n-1 workers. Ranges of blocks are claimed from one atomic word (generation, ranges left): a claim that succeeds proves
// that its job is the current one and keeps it alive until the claimant reports back.

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

namespace hiphost {

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

u64 now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return u64(t.tv_sec) * 1000000000u + u64(t.tv_nsec);
}

pthread_t start_thread(void* (*main)(void*), void* arg) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kernel_stack_bytes);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, main, arg) != 0) abort();
  pthread_attr_destroy(&attributes);
  return thread;
}

namespace {

/** CPUs this process may use: its affinity mask, cut by the CPU quota of its control group. */
int usable_cpus() {
  int cpus = int(sysconf(_SC_NPROCESSORS_ONLN));
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cpus = CPU_COUNT(&mask);
  if (FILE* f = fopen("/sys/fs/cgroup/cpu.max", "r")) {
    double quota, period;
    if (fscanf(f, "%lf %lf", &quota, &period) == 2 && period > 0) {
      const int share = int((quota + period - 1) / period);
      if (share >= 1 && share < cpus) cpus = share;
    }
    fclose(f);
  }
#endif
  return cpus < 1 ? 1 : cpus;
}

class Pool {
 public:
  int size() {
    std::lock_guard lock(mutex_);
    if (size_ == 0) {
      const char* wanted = getenv("ROCMFORGE_THREADS");
      const int n = wanted ? atoi(wanted) : 0;
      start(n > 0 ? n : usable_cpus());
    }
    return size_;
  }

  /** Only while no job runs. */
  void resize(int n) {
    std::lock_guard lock(mutex_);
    stop();
    start(n > 0 ? n : usable_cpus());
  }

  void run(u64 total, void (*fn)(void*, u64, u64), void* arg) {
    const u64 threads = size_known_.load(std::memory_order_acquire) ? u64(size_) : u64(size());
    // few ranges when a thread gets only few blocks, and enough that a slow thread does not hold up the rest
    const u64 per_range = total <= threads * 8 ? 1 : (total + threads * 16 - 1) / (threads * 16);
    const u64 ranges = (total + per_range - 1) / per_range;
    if (threads == 1 || ranges == 1) return fn(arg, 0, total);
    job_ = {fn, arg, total, per_range, ranges};
    unfinished_.store(ranges, std::memory_order_relaxed);
    generation_++;
    claim_.store(u64(generation_) << 32 | ranges, std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard lock(sleep_mutex_);
      if (ranges > 2) wake_.notify_all();
      else wake_.notify_one();
    }
    while (work()) {
    }
    u64 since = 0;
    for (u32 i = 1; unfinished_.load(std::memory_order_acquire) != 0; i++) {
      pause_cpu();
      if (i % 64) continue;
      if (!since) since = now_ns();
      else if (now_ns() - since > spin_us * 1000u) sched_yield();  // a worker has lost its CPU
    }
  }

 private:
  struct Job {
    void (*fn)(void*, u64, u64);
    void* arg;
    u64 total, per_range, ranges;
  };

  /** Claims and runs one range, if one is left. */
  bool work() {
    u64 claim = claim_.load(std::memory_order_acquire);
    do {
      if (u32(claim) == 0) return false;
    } while (!claim_.compare_exchange_weak(claim, claim - 1, std::memory_order_acq_rel, std::memory_order_acquire));
    const Job job = job_;
    const u64 first = (job.ranges - u32(claim)) * job.per_range;
    const u64 last = first + job.per_range;
    job.fn(job.arg, first, last < job.total ? last : job.total);
    unfinished_.fetch_sub(1, std::memory_order_release);
    return true;
  }

  void worker() {
    u64 idle_since = 0;
    for (u32 i = 1;; i++) {
      if (work()) {
        idle_since = 0;
        continue;
      }
      pause_cpu();
      if (i % 32) continue;
      if (stop_.load(std::memory_order_relaxed)) return;
      const u64 now = now_ns();
      if (!idle_since) idle_since = now;
      if (now - idle_since < spin_us * 1000u) continue;
      std::unique_lock lock(sleep_mutex_);
      sleeping_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return u32(claim_.load(std::memory_order_seq_cst)) != 0 || stop_; });
      sleeping_.fetch_sub(1, std::memory_order_seq_cst);
      idle_since = 0;
    }
  }

  void start(int n) {
    size_ = n > 1024 ? 1024 : n;
    stop_ = false;
    for (int i = 1; i < size_; i++)
      workers_.push_back(start_thread([](void* pool) -> void* { return static_cast<Pool*>(pool)->worker(), nullptr; }, this));
    size_known_.store(true, std::memory_order_release);
  }

  void stop() {
    {
      std::lock_guard lock(sleep_mutex_);
      stop_ = true;
      wake_.notify_all();
    }
    for (pthread_t worker : workers_) pthread_join(worker, nullptr);
    workers_.clear();
  }

  std::mutex mutex_;
  int size_ = 0;
  std::atomic<bool> size_known_{false}, stop_{false};
  std::vector<pthread_t> workers_;
  Job job_{};
  u32 generation_ = 0;
  alignas(64) std::atomic<u64> claim_{0};
  alignas(64) std::atomic<u64> unfinished_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
};

Pool& pool = *new Pool;  // never destroyed: its threads outlive static destructors

}  // namespace

int thread_count() { return pool.size(); }
void set_thread_count(int n) { pool.resize(n); }
void parallel(u64 total, void (*fn)(void*, u64, u64), void* arg) { pool.run(total, fn, arg); }

}  // namespace hiphost
