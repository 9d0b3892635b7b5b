// The queue, streams, events and graphs. All streams share one queue and run in the order of the calls: that keeps each
// stream's order and every event's promise, and the blocks of one kernel already fill the machine. A dispatcher thread
// drives the queue; a caller who waits while it is idle drives it himself, which saves waking another thread. Long, because
// the queue is all of this at once: who may drive it is decided in one place.

#include <string.h>

namespace hiphost {

namespace {

struct Stream {
  std::atomic<u64> last{0};  // number of the stream's newest operation
  struct Graph* capture = nullptr;
  std::shared_ptr<struct Graph> captured;
};

struct Event {
  std::atomic<u64> recorded{0};  // number of the newest record operation; 0: never
  std::atomic<u64> ns{0};
  bool timing = true;
};

enum class Kind : unsigned char { launch, copy, fill, event, release, graph };

struct Operation {
  explicit Operation(Kind kind) : kind(kind) {}

  Kind kind;
  Launch launch;                             // launch
  void* dst = nullptr;                       // copy, fill, release
  const void* src = nullptr;                 // copy; null: from `staged`
  size_t bytes = 0;                          // copy, fill
  u32 value = 0, width = 0;                  // fill: element and its bytes
  std::unique_ptr<char[]> staged;            // copy: the caller's memory may change after the call
  std::shared_ptr<Event> event;              // event
  std::shared_ptr<const struct Graph> graph; // graph
};

struct Graph {
  std::vector<Operation> operations;
};

auto& streams = *new Registry<Stream>;
auto& events = *new Registry<Event>;
auto& graphs = *new Registry<Graph>;
auto& executables = *new Registry<std::shared_ptr<const Graph>>;
Stream& default_stream = *new Stream;
std::atomic<int> captures{0};

void fill(void* dst, u32 value, u32 width, size_t bytes) {
  if (width == 1 || value == 0) {
    memset(dst, int(value), bytes);
  } else if (width == 2) {
    uint16_t* p = static_cast<uint16_t*>(dst);
    for (size_t i = 0; i < bytes / 2; i++) p[i] = uint16_t(value);
  } else {
    u32* p = static_cast<u32*>(dst);
    for (size_t i = 0; i < bytes / 4; i++) p[i] = value;
  }
}

void execute(const Operation& op) {
  switch (op.kind) {
    case Kind::launch: return execute(op.launch);
    case Kind::copy: memmove(op.dst, op.staged ? op.staged.get() : op.src, op.bytes); return;
    case Kind::fill: return fill(op.dst, op.value, op.width, op.bytes);
    case Kind::event: op.event->ns = now_ns(); return;
    case Kind::release: return release(op.dst);
    case Kind::graph:
      for (const Operation& node : op.graph->operations) execute(node);
      return;
  }
}

class Queue {
 public:
  /** Gives the operation its number in the order of execution. */
  u64 push(Operation op) {
    std::unique_lock lock(mutex_);
    if (!started_) {
      started_ = true;
      pthread_detach(start_thread([](void* queue) -> void* { return static_cast<Queue*>(queue)->dispatch(), nullptr; }, this));
    }
    // a caller far ahead of the machine waits, so that memory stays bounded
    while (operations_.size() >= 16384) {
      const u64 half = pushed_ - 8192;
      lock.unlock();
      wait(half);
      lock.lock();
    }
    operations_.push_back(std::move(op));
    const u64 number = pushed_.load(std::memory_order_relaxed) + 1;
    pushed_.store(number, std::memory_order_release);
    if (asleep_) wake_.notify_one();
    return number;
  }

  bool done(u64 number) const { return completed_.load(std::memory_order_acquire) >= number; }
  u64 newest() const { return pushed_.load(std::memory_order_acquire); }

  void wait(u64 number) {
    while (!done(number)) {
      if (take_role()) {
        // an FFI may have called us on a stack of its own: koffi's have 128 KiB
        struct Until {
          Queue* queue;
          u64 number;
        } until{this, number};
        on_large_stack([](void* arg) { static_cast<Until*>(arg)->queue->drain(static_cast<Until*>(arg)->number); }, &until);
        release_role();
        continue;
      }
      for (int i = 0; i < 256 && !done(number); i++) pause_cpu();
      if (done(number)) return;
      std::unique_lock lock(done_mutex_);
      waiting_.fetch_add(1, std::memory_order_seq_cst);
      done_wake_.wait(lock, [&] { return completed_.load(std::memory_order_seq_cst) >= number || !role_.load(std::memory_order_seq_cst); });
      waiting_.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  /** Runs `f` while nobody drives the queue. */
  template <class F>
  void exclusive(F f) {
    while (!take_role()) wait(newest()), sched_yield();
    f();
    release_role();
  }

 private:
  bool take_role() { return !role_.exchange(true, std::memory_order_seq_cst); }

  void release_role() {
    role_.store(false, std::memory_order_seq_cst);
    if (waiting_.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard lock(done_mutex_);
      done_wake_.notify_all();
    }
    std::lock_guard lock(mutex_);
    if (asleep_ && !operations_.empty()) wake_.notify_one();
  }

  /** Runs operations up to `number`; the caller has the role. */
  void drain(u64 number) {
    while (!done(number)) {
      std::unique_lock lock(mutex_);
      if (operations_.empty()) return;
      const Operation op = std::move(operations_.front());
      operations_.pop_front();
      lock.unlock();
      execute(op);
      completed_.store(completed_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
      if (waiting_.load(std::memory_order_seq_cst) > 0) {
        std::lock_guard done_lock(done_mutex_);
        done_wake_.notify_all();
      }
    }
  }

  void dispatch() {
    u64 idle_since = 0;
    for (u32 i = 1;; i++) {
      if (!done(newest()) && take_role()) {
        drain(newest());
        release_role();
        idle_since = 0;
        continue;
      }
      pause_cpu();
      if (i % 32) continue;
      const u64 now = now_ns();
      if (!idle_since) idle_since = now;
      // one who waits drives the queue now, or nothing happens: do not take a CPU from the workers
      if (!role_.load(std::memory_order_relaxed) && now - idle_since < spin_us * 1000u) continue;
      std::unique_lock lock(mutex_);
      asleep_ = true;
      wake_.wait(lock, [&] { return !operations_.empty() && !role_.load(std::memory_order_seq_cst); });
      asleep_ = false;
      idle_since = 0;
    }
  }

  std::mutex mutex_;
  std::deque<Operation> operations_;
  bool started_ = false, asleep_ = false;
  std::condition_variable wake_;
  alignas(64) std::atomic<u64> pushed_{0};
  alignas(64) std::atomic<u64> completed_{0};
  alignas(64) std::atomic<bool> role_{false};
  alignas(64) std::atomic<int> waiting_{0};
  std::mutex done_mutex_;
  std::condition_variable done_wake_;
};

Queue& queue = *new Queue;

/** The stream behind a handle; null is the default stream. Keeps it alive in `hold`. */
Stream* stream_of(void* handle, std::shared_ptr<Stream>& hold) {
  if (!handle) return &default_stream;
  hold = streams.find(handle);
  return hold.get();
}

int enqueue(void* handle, Operation op) {
  std::shared_ptr<Stream> hold;
  Stream* stream = stream_of(handle, hold);
  if (!stream) return result(invalid_handle);
  if (stream->capture) {
    stream->capture->operations.push_back(std::move(op));
    return success;
  }
  stream->last = queue.push(std::move(op));
  return success;
}

/** Waits for an operation, then reports a launch that failed since the last report. */
int settle(u64 number) {
  queue.wait(number);
  if (!faulted()) return success;
  queue.wait(queue.newest());  // launches that were enqueued behind the failed one are void as well
  set_message(take_fault());
  return launch_failure;
}

}  // namespace

int synchronize_all() { return settle(queue.newest()); }
bool capturing() { return captures.load(std::memory_order_relaxed) > 0; }

}  // namespace hiphost

// ---- streams ----

HIPHOST_API int hipStreamCreateWithFlags(void** out, unsigned) {
  if (!out) return result(invalid_value);
  *out = streams.add(std::make_shared<Stream>());
  return success;
}
HIPHOST_API int hipStreamCreate(void** out) { return hipStreamCreateWithFlags(out, 0); }
HIPHOST_API int hipStreamCreateWithPriority(void** out, unsigned flags, int) { return hipStreamCreateWithFlags(out, flags); }

HIPHOST_API int hipStreamDestroy(void* handle) {
  auto stream = handle ? streams.remove(handle) : nullptr;
  if (!stream) return result(invalid_handle);
  if (stream->capture) captures--;
  return success;
}

HIPHOST_API int hipStreamSynchronize(void* handle) {
  std::shared_ptr<Stream> hold;
  Stream* stream = stream_of(handle, hold);
  if (!stream) return result(invalid_handle);
  if (stream->capture) return result(capture_unsupported);
  return result(settle(handle ? stream->last.load() : queue.newest()));  // the default stream waits for all
}

HIPHOST_API int hipStreamQuery(void* handle) {
  std::shared_ptr<Stream> hold;
  Stream* stream = stream_of(handle, hold);
  if (!stream) return result(invalid_handle);
  if (stream->capture) return result(capture_unsupported);
  return queue.done(stream->last) ? success : not_ready;
}

HIPHOST_API int hipDeviceSynchronize() { return result(capturing() ? capture_unsupported : synchronize_all()); }

HIPHOST_API int hipStreamWaitEvent(void* handle, void* event, unsigned) {
  std::shared_ptr<Stream> hold;
  if (!stream_of(handle, hold) || !events.find(event)) return result(invalid_handle);
  return success;  // the queue runs in the order of the calls
}

HIPHOST_API int hiphostSetThreads(int n) {
  if (n < 0) return result(invalid_value);
  queue.exclusive([n] { set_thread_count(n); });
  return success;
}

// ---- events ----

HIPHOST_API int hipEventCreateWithFlags(void** out, unsigned flags) {
  if (!out) return result(invalid_value);
  auto event = std::make_shared<Event>();
  event->timing = !(flags & 2);
  *out = events.add(std::move(event));
  return success;
}
HIPHOST_API int hipEventCreate(void** out) { return hipEventCreateWithFlags(out, 0); }

HIPHOST_API int hipEventDestroy(void* handle) { return result(events.remove(handle) ? success : invalid_handle); }

HIPHOST_API int hipEventRecord(void* handle, void* stream_handle) {
  auto event = events.find(handle);
  std::shared_ptr<Stream> hold;
  Stream* stream = stream_of(stream_handle, hold);
  if (!event || !stream) return result(invalid_handle);
  Operation op{Kind::event};
  op.event = event;
  if (const int error = enqueue(stream_handle, std::move(op))) return error;
  if (!stream->capture) event->recorded = stream->last.load();
  return success;
}

HIPHOST_API int hipEventSynchronize(void* handle) {
  auto event = events.find(handle);
  return result(event ? settle(event->recorded) : invalid_handle);
}

HIPHOST_API int hipEventQuery(void* handle) {
  auto event = events.find(handle);
  if (!event) return result(invalid_handle);
  return queue.done(event->recorded) ? success : not_ready;
}

HIPHOST_API int hipEventElapsedTime(float* ms, void* start_handle, void* stop_handle) {
  auto start = events.find(start_handle), stop = events.find(stop_handle);
  if (!start || !stop || !start->timing || !stop->timing) return result(invalid_handle);
  if (!ms) return result(invalid_value);
  if (!start->recorded || !stop->recorded) return result(invalid_handle);
  if (!queue.done(start->recorded) || !queue.done(stop->recorded)) return not_ready;
  *ms = float(double(int64_t(stop->ns - start->ns)) / 1e6);
  return success;
}

// ---- launches, copies and fills on a stream ----

HIPHOST_API int hipModuleLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                      unsigned lds_bytes, void* stream, void** params, void** extra) {
  Operation op{Kind::launch};
  if (const int error = launch(function, {gx, gy, gz}, {bx, by, bz}, lds_bytes, params, extra, op.launch)) return result(error);
  return enqueue(stream, std::move(op));
}

/** All blocks of the grid run at once: at most one per OS thread. */
HIPHOST_API int hipModuleLaunchCooperativeKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                                 unsigned bz, unsigned lds_bytes, void* stream, void** params) {
  if (u64(gx) * gy * gz > u64(thread_count())) return result(720);  // hipErrorCooperativeLaunchTooLarge
  return hipModuleLaunchKernel(function, gx, gy, gz, bx, by, bz, lds_bytes, stream, params, nullptr);
}

static int copy_on_stream(void* dst, const void* src, size_t bytes, void* stream_handle, bool device_dst, bool device_src) {
  std::shared_ptr<Stream> hold;
  Stream* stream = stream_of(stream_handle, hold);
  if (!stream) return result(invalid_handle);
  if (bytes == 0) return success;
  if (!dst || !src) return result(invalid_value);
  if (device_dst && !is_device_range(dst, bytes)) return result(invalid_value);
  if (device_src && !is_device_range(src, bytes)) return result(invalid_value);
  Operation op{Kind::copy};
  op.dst = dst, op.src = src, op.bytes = bytes;
  // The caller's own memory, not from hipHostMalloc, may change or go once the call returns: small sources are copied,
  // otherwise the call waits, as on a GPU. A captured copy reads its source at every replay.
  if (stream->capture) return enqueue(stream_handle, std::move(op));
  const bool pageable_src = !device_src && !is_device_range(src, bytes), pageable_dst = !device_dst && !is_device_range(dst, bytes);
  if (pageable_src && bytes <= 65536) {
    op.staged.reset(new char[bytes]);
    memcpy(op.staged.get(), src, bytes);
  }
  const bool wait = (pageable_src && !op.staged) || pageable_dst;
  if (const int error = enqueue(stream_handle, std::move(op))) return error;
  return wait ? result(settle(stream->last)) : success;
}

HIPHOST_API int hipMemcpyHtoDAsync(void* dst, const void* src, size_t n, void* stream) { return copy_on_stream(dst, src, n, stream, true, false); }
HIPHOST_API int hipMemcpyDtoHAsync(void* dst, const void* src, size_t n, void* stream) { return copy_on_stream(dst, src, n, stream, false, true); }
HIPHOST_API int hipMemcpyDtoDAsync(void* dst, const void* src, size_t n, void* stream) { return copy_on_stream(dst, src, n, stream, true, true); }
HIPHOST_API int hipMemcpyAsync(void* dst, const void* src, size_t n, int kind, void* stream) {
  if (kind < 0 || kind > 4) return result(invalid_value);
  return copy_on_stream(dst, src, n, stream, kind == 1 || kind == 3, kind == 2 || kind == 3);
}

static int fill_on_stream(void* dst, u32 value, u32 width, size_t count, void* stream, bool wait) {
  if (count == 0) return success;
  if (count > SIZE_MAX / 4 || uintptr_t(dst) % width || !is_device_range(dst, count * width)) return result(invalid_value);
  if (wait && capturing()) return result(capture_unsupported);
  Operation op{Kind::fill};
  op.dst = dst, op.value = value, op.width = width, op.bytes = count * width;
  if (const int error = enqueue(stream, std::move(op))) return error;
  return wait ? result(synchronize_all()) : success;
}

HIPHOST_API int hipMemset(void* p, int value, size_t n) { return fill_on_stream(p, u32(value) & 0xff, 1, n, nullptr, true); }
HIPHOST_API int hipMemsetAsync(void* p, int value, size_t n, void* stream) { return fill_on_stream(p, u32(value) & 0xff, 1, n, stream, false); }
HIPHOST_API int hipMemsetD8(void* p, unsigned char value, size_t n) { return fill_on_stream(p, value, 1, n, nullptr, true); }
HIPHOST_API int hipMemsetD8Async(void* p, unsigned char value, size_t n, void* stream) { return fill_on_stream(p, value, 1, n, stream, false); }
HIPHOST_API int hipMemsetD16(void* p, unsigned short value, size_t n) { return fill_on_stream(p, value, 2, n, nullptr, true); }
HIPHOST_API int hipMemsetD16Async(void* p, unsigned short value, size_t n, void* stream) { return fill_on_stream(p, value, 2, n, stream, false); }
HIPHOST_API int hipMemsetD32(void* p, int value, size_t n) { return fill_on_stream(p, u32(value), 4, n, nullptr, true); }
HIPHOST_API int hipMemsetD32Async(void* p, int value, size_t n, void* stream) { return fill_on_stream(p, u32(value), 4, n, stream, false); }

HIPHOST_API int hipMallocAsync(void** out, size_t bytes, void* stream) {
  std::shared_ptr<Stream> hold;
  if (!stream_of(stream, hold)) return result(invalid_handle);
  return hipMalloc(out, bytes);
}
HIPHOST_API int hipFreeAsync(void* p, void* stream) {
  if (!p) return success;
  if (capturing()) return result(capture_unsupported);
  if (!is_start(p, true)) return result(invalid_value);
  Operation op{Kind::release};
  op.dst = p;
  return enqueue(stream, std::move(op));
}

// ---- graphs: a list of operations, replayed in the order of capture ----

HIPHOST_API int hipStreamBeginCapture(void* handle, int mode) {
  auto stream = handle ? streams.find(handle) : nullptr;
  if (!stream) return result(handle ? invalid_handle : capture_unsupported);
  if (mode < 0 || mode > 2) return result(invalid_value);
  if (stream->capture) return result(capture_unsupported);
  stream->captured = std::make_shared<Graph>();
  stream->capture = stream->captured.get();
  captures++;
  return success;
}

HIPHOST_API int hipStreamEndCapture(void* handle, void** out) {
  auto stream = handle ? streams.find(handle) : nullptr;
  if (!stream) return result(invalid_handle);
  if (!stream->capture) return result(invalid_value);
  captures--;
  stream->capture = nullptr;
  auto graph = std::move(stream->captured);
  if (!out) return result(invalid_value);
  *out = graphs.add(std::move(graph));
  return success;
}

/** Only the number of nodes: they have no handles of their own. */
HIPHOST_API int hipGraphGetNodes(void* handle, void** nodes, size_t* count) {
  auto graph = graphs.find(handle);
  if (!graph) return result(invalid_handle);
  if (!count) return result(invalid_value);
  if (nodes) return result(not_supported);
  *count = graph->operations.size();
  return success;
}

HIPHOST_API int hipGraphInstantiateWithFlags(void** out, void* handle, unsigned long long) {
  auto graph = graphs.find(handle);
  if (!graph) return result(invalid_handle);
  if (!out) return result(invalid_value);
  *out = executables.add(std::make_shared<std::shared_ptr<const Graph>>(std::move(graph)));
  return success;
}
HIPHOST_API int hipGraphInstantiate(void** out, void* handle, void** error_node, char* log, size_t log_bytes) {
  if (error_node) *error_node = nullptr;
  if (log && log_bytes) *log = 0;
  return hipGraphInstantiateWithFlags(out, handle, 0);
}

HIPHOST_API int hipGraphUpload(void* handle, void*) { return result(executables.find(handle) ? success : invalid_handle); }

HIPHOST_API int hipGraphLaunch(void* handle, void* stream) {
  auto executable = executables.find(handle);
  if (!executable) return result(invalid_handle);
  Operation op{Kind::graph};
  op.graph = *executable;
  return enqueue(stream, std::move(op));
}

HIPHOST_API int hipGraphDestroy(void* handle) { return result(graphs.remove(handle) ? success : invalid_handle); }
HIPHOST_API int hipGraphExecDestroy(void* handle) { return result(executables.remove(handle) ? success : invalid_handle); }
