// Allocations and copies. Device memory is host memory; the table of live allocations tells a bad pointer or length
// from a good one before it is touched.

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>

namespace hiphost {

namespace {

struct Allocation {
  size_t bytes;
  size_t mapped;  // bytes to unmap; 0: from the heap
  bool device;    // hipMalloc, not hipHostMalloc
};

std::mutex& memory_mutex = *new std::mutex;
std::map<uintptr_t, Allocation>& allocations = *new std::map<uintptr_t, Allocation>;

constexpr size_t map_from = 1 << 20;   // smaller ones come from the heap
constexpr size_t huge_page = 2 << 20;  // large ones are aligned to it: fewer TLB misses when weights are streamed

#ifdef HIPHOST_ASAN
constexpr bool may_map = false;  // only the heap has redzones
#else
constexpr bool may_map = true;
#endif

int allocate(void** out, size_t bytes, bool device) {
  if (!out) return invalid_value;
  *out = nullptr;
  if (bytes == 0) return success;
  if (bytes > total_memory()) return out_of_memory;
  void* p = nullptr;
  size_t mapped = 0;
  if (may_map && bytes >= map_from) {
    mapped = (bytes + huge_page - 1) & ~(huge_page - 1);
    char* base = static_cast<char*>(
        mmap(nullptr, mapped + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0));
    if (base == MAP_FAILED) return out_of_memory;
    char* aligned = reinterpret_cast<char*>((uintptr_t(base) + huge_page - 1) & ~uintptr_t(huge_page - 1));
    if (aligned > base) munmap(base, size_t(aligned - base));
    if (const size_t rest = huge_page - size_t(aligned - base)) munmap(aligned + mapped, rest);
#if defined(MADV_HUGEPAGE)
    madvise(aligned, mapped, MADV_HUGEPAGE);
#endif
    p = aligned;
  } else if (posix_memalign(&p, 64, bytes) != 0) {
    return out_of_memory;
  }
  std::lock_guard lock(memory_mutex);
  allocations[uintptr_t(p)] = {bytes, mapped, device};
  *out = p;
  return success;
}

/** The allocation that holds p … p+bytes-1, or null; memory_mutex is held. */
const Allocation* holder(const void* p, size_t bytes) {
  auto at = allocations.upper_bound(uintptr_t(p));
  if (at == allocations.begin()) return nullptr;
  --at;
  const size_t offset = uintptr_t(p) - at->first;
  return offset <= at->second.bytes && bytes <= at->second.bytes - offset ? &at->second : nullptr;
}

/** The start of a live allocation of the wanted kind. */
bool is_start(void* p, bool device) {
  std::lock_guard lock(memory_mutex);
  auto at = allocations.find(uintptr_t(p));
  return at != allocations.end() && at->second.device == device;
}

int free_allocation(void* p, bool device) {
  if (!p) return success;
  if (capturing()) return capture_unsupported;
  if (!is_start(p, device)) return invalid_value;
  const int error = synchronize_all();  // a kernel may still use it
  release(p);
  return error;
}

}  // namespace

bool is_device_range(const void* p, size_t bytes) {
  std::lock_guard lock(memory_mutex);
  return holder(p, bytes) != nullptr;  // pinned host memory can be used as device memory, as on a GPU
}

bool is_host_range(const void* p, size_t bytes) {
  std::lock_guard lock(memory_mutex);
  const Allocation* a = holder(p, bytes);
  return a && !a->device;
}

void release(void* p) {
  Allocation a;
  {
    std::lock_guard lock(memory_mutex);
    auto at = allocations.find(uintptr_t(p));
    if (at == allocations.end()) return;
    a = at->second;
    allocations.erase(at);
  }
  if (a.mapped) munmap(p, a.mapped);
  else free(p);
}

}  // namespace hiphost

HIPHOST_API int hipMalloc(void** out, size_t bytes) { return result(capturing() ? capture_unsupported : allocate(out, bytes, true)); }
HIPHOST_API int hipFree(void* p) { return result(free_allocation(p, true)); }
HIPHOST_API int hipHostMalloc(void** out, size_t bytes, unsigned) { return result(allocate(out, bytes, false)); }
HIPHOST_API int hipHostFree(void* p) { return result(free_allocation(p, false)); }

// Synchronous copies: after everything that was enqueued, on any stream.
static int copy_now(void* dst, const void* src, size_t bytes, bool device_dst, bool device_src) {
  if (bytes == 0) return success;
  if (!dst || !src) return result(invalid_value);
  if (device_dst && !is_device_range(dst, bytes)) return result(invalid_value);
  if (device_src && !is_device_range(src, bytes)) return result(invalid_value);
  if (capturing()) return result(capture_unsupported);
  if (const int error = synchronize_all()) return result(error);
  memmove(dst, src, bytes);
  return success;
}

HIPHOST_API int hipMemcpyHtoD(void* dst, const void* src, size_t n) { return copy_now(dst, src, n, true, false); }
HIPHOST_API int hipMemcpyDtoH(void* dst, const void* src, size_t n) { return copy_now(dst, src, n, false, true); }
HIPHOST_API int hipMemcpyDtoD(void* dst, const void* src, size_t n) { return copy_now(dst, src, n, true, true); }
HIPHOST_API int hipMemcpy(void* dst, const void* src, size_t n, int kind) {
  if (kind < 0 || kind > 4) return result(invalid_value);
  return copy_now(dst, src, n, kind == 1 || kind == 3, kind == 2 || kind == 3);
}
