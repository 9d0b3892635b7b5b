// What the parts of libhiphost share: error numbers, the handle registry, and the calls that cross files.
// The library exports HIP's own names, signatures and numbers; see hiphost.cpp for the parts.
#pragma once

#define HIPHOST_ABI_ONLY
#include "../../hip-templates/prelude/host.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#define HIPHOST_API extern "C" __attribute__((visibility("default")))

namespace hiphost {

using u32 = uint32_t;
using u64 = uint64_t;

enum Error : int {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  not_initialized = 3,
  invalid_configuration = 9,
  invalid_device_function = 98,
  no_device = 100,
  invalid_device = 101,
  invalid_image = 200,
  no_binary_for_gpu = 209,
  shared_object_init_failed = 303,
  invalid_handle = 400,
  not_found = 500,
  not_ready = 600,
  launch_failure = 719,
  not_supported = 801,
  capture_unsupported = 900,
  capture_invalidated = 901,
  unknown = 999,
};

// Live handles of one kind. Handles are pointers to the object; every call checks them here, so that a stale one is an
// error code. Objects are shared: a queued operation keeps what it needs alive.
template <class T>
class Registry {
 public:
  T* add(std::shared_ptr<T> object) {
    std::lock_guard lock(mutex_);
    T* handle = object.get();
    live_.emplace(handle, std::move(object));
    return handle;
  }
  std::shared_ptr<T> find(const void* handle) {
    std::lock_guard lock(mutex_);
    auto at = live_.find(handle);
    return at == live_.end() ? nullptr : at->second;
  }
  std::shared_ptr<T> remove(const void* handle) {
    std::lock_guard lock(mutex_);
    auto at = live_.find(handle);
    if (at == live_.end()) return nullptr;
    auto object = std::move(at->second);
    live_.erase(at);
    return object;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const void*, std::shared_ptr<T>> live_;
};

/** A kernel of a loaded module. `kernel` is null once the module is gone. */
struct Function {
  std::atomic<const hiphost_kernel*> kernel;
  std::string name;
};

struct Launch {
  std::shared_ptr<Function> function;
  hiphost_dim3 grid{}, block{};
  u32 lds_bytes = 0;
  std::vector<u64> args;  // one word each; an argument has at most 8 bytes
};

/** Message of the last failed launch, load or capture of any thread; for people. */
void set_message(std::string text);
/** Remembers the result for hipGetLastError and gives it back. */
int result(int error);

// pool.cpp
constexpr int spin_us = 50;  // how long an idle thread watches for work: more than the gap between two kernels
/** Kernels of fast mode keep their LDS on the stack; some systems give a thread only 128 KiB. */
constexpr size_t kernel_stack_bytes = 8 << 20;
pthread_t start_thread(void* (*main)(void*), void* arg);
void pause_cpu();
u64 now_ns();
int thread_count();
void set_thread_count(int n);
/** Calls fn(arg, first, last) for consecutive ranges that cover 0 … total-1, on all threads; returns when all are done. */
void parallel(u64 total, void (*fn)(void* arg, u64 first, u64 last), void* arg);

// fiber.cpp
extern const hiphost_services services;
extern std::atomic<u64> order_seed;  // not 0: fibers run in a random order
/** Calls fn(arg) on a stack of kernel_stack_bytes. Only for one thread at a time: whoever drives the queue. */
void on_large_stack(void (*fn)(void*), void* arg);
/** LDS and block state of this OS thread, ready for a launch. */
hiphost_block* thread_block(u32 lds_bytes);
/** Ends the launch that runs now; the first message wins. */
void set_fault(std::string text);
/** The message of a faulted launch since the last call, or empty. */
std::string take_fault();
bool faulted();

// memory.cpp
bool is_device_range(const void* p, size_t bytes);
bool is_host_range(const void* p, size_t bytes);
void release(void* p);

// stream.cpp
/** Waits for everything that was enqueued. */
int synchronize_all();
bool capturing();

}  // namespace hiphost
