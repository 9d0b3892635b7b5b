// What the device is (one: this machine's processors), and errors by number and name.

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace hiphost {

namespace {

thread_local int last_error = success;
std::mutex& message_mutex = *new std::mutex;
std::string& message_text = *new std::string;

/** The value behind `key` in a file of "key : value" lines; empty if there is none. */
std::string field(const char* file, const char* key) {
  std::string value;
  if (FILE* f = fopen(file, "r")) {
    char line[512];
    while (value.empty() && fgets(line, sizeof line, f)) {
      const char* colon = strchr(line, ':');
      if (!colon || strncmp(line, key, strlen(key)) != 0) continue;
      value = colon + 1 + strspn(colon + 1, " \t");
      while (!value.empty() && (value.back() == '\n' || value.back() == ' ')) value.pop_back();
    }
    fclose(f);
  }
  return value;
}

std::string cpu_model() {
#if defined(__APPLE__)
  char name[256];
  size_t size = sizeof name;
  if (sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0) return name;
#endif
  for (const char* key : {"model name", "Hardware", "uarch"}) {
    const std::string model = field("/proc/cpuinfo", key);
    if (!model.empty()) return model;
  }
#if defined(__aarch64__)
  return "AArch64 CPU";
#elif defined(__x86_64__)
  return "x86-64 CPU";
#else
  return "CPU";
#endif
}

size_t number_in(const char* file) {
  unsigned long long value = 0;
  if (FILE* f = fopen(file, "r")) {
    if (fscanf(f, "%llu", &value) != 1) value = 0;  // "max": no limit
    fclose(f);
  }
  return size_t(value);
}

size_t total_memory() {
#if defined(__APPLE__)
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0);
  return size_t(bytes);
#else
  const size_t physical = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGE_SIZE));
  const size_t limit = number_in("/sys/fs/cgroup/memory.max");
  return limit && limit < physical ? limit : physical;
#endif
}

size_t free_memory() {
  const size_t total = total_memory();
  size_t available = size_t(strtoull(field("/proc/meminfo", "MemAvailable").c_str(), nullptr, 10)) * 1024;
  if (available == 0) available = total / 2;  // no such file: a guess on the safe side
  if (const size_t limit = number_in("/sys/fs/cgroup/memory.max")) {
    const size_t used = number_in("/sys/fs/cgroup/memory.current");
    const size_t left = limit > used ? limit - used : 0;
    if (left < available) available = left;
  }
  return available < total ? available : total;
}

int attribute(int id, int* value) {
  switch (id) {
    case 5: *value = int(strtod(field("/proc/cpuinfo", "cpu MHz").c_str(), nullptr) * 1000); return success;  // kHz
    case 10: *value = 1; return success;                      // cooperative launch
    case 16: *value = 1; return success;                      // integrated: device memory is host memory
#if defined(_SC_LEVEL2_CACHE_SIZE)
    case 19: *value = int(sysconf(_SC_LEVEL2_CACHE_SIZE)); return success;
#else
    case 19: *value = 0; return success;
#endif
    case 23: case 61: *value = 0; return success;             // compute major, minor
    case 24: case 65: *value = 1; return success;             // managed, pageable access
    case 25: *value = 1; return success;                      // blocks per multiprocessor
    case 26: case 27: case 28: *value = 1024; return success; // block dimensions
    case 29: *value = 0x7fffffff; return success;             // grid dimensions
    case 30: case 31: *value = 65535; return success;
    case 56: case 57: *value = 1024; return success;          // threads per block, per multiprocessor
    case 59: case 60: *value = 0; return success;             // memory bus width and clock: not known
    case 63: case 10015: *value = thread_count(); return success;
    case 67: case 68: case 69: *value = 0; return success;    // PCI
    case 71: case 72: *value = 65536; return success;         // registers
    case 74: case 75: case 76: case 10002: *value = 65536; return success;  // LDS bytes
    case 87: *value = 1; return success;                      // wave size
    case 88: *value = 0; return success;                      // memory pools
    case 90: *value = 0; return success;                      // host register
    default: return invalid_value;
  }
}

const char* error_name(int error) {
  switch (error) {
    case success: return "hipSuccess";
    case invalid_value: return "hipErrorInvalidValue";
    case out_of_memory: return "hipErrorOutOfMemory";
    case not_initialized: return "hipErrorNotInitialized";
    case invalid_configuration: return "hipErrorInvalidConfiguration";
    case invalid_device_function: return "hipErrorInvalidDeviceFunction";
    case no_device: return "hipErrorNoDevice";
    case invalid_device: return "hipErrorInvalidDevice";
    case invalid_image: return "hipErrorInvalidImage";
    case no_binary_for_gpu: return "hipErrorNoBinaryForGpu";
    case shared_object_init_failed: return "hipErrorSharedObjectInitFailed";
    case invalid_handle: return "hipErrorInvalidHandle";
    case not_found: return "hipErrorNotFound";
    case not_ready: return "hipErrorNotReady";
    case launch_failure: return "hipErrorLaunchFailure";
    case not_supported: return "hipErrorNotSupported";
    case capture_unsupported: return "hipErrorStreamCaptureUnsupported";
    case capture_invalidated: return "hipErrorStreamCaptureInvalidated";
    default: return "hipErrorUnknown";
  }
}

const char* error_text(int error) {
  switch (error) {
    case success: return "no error";
    case invalid_value: return "invalid argument";
    case out_of_memory: return "out of memory";
    case invalid_configuration: return "the launch does not fit the kernel's block size";
    case invalid_device: return "there is one host device, number 0";
    case invalid_image: return "not a host code object";
    case no_binary_for_gpu: return "the code object is for another target";
    case shared_object_init_failed: return "the code object cannot be loaded";
    case invalid_handle: return "no such stream, event, function, module or graph";
    case not_found: return "the module has no such kernel";
    case not_ready: return "not finished yet";
    case launch_failure: return "a kernel failed";
    case not_supported: return "not supported by the host platform";
    case capture_unsupported: return "not allowed while a stream is captured";
    case capture_invalidated: return "the capture has failed";
    default: return "unknown error";
  }
}

}  // namespace

int result(int error) {
  if (error != success && error != not_ready) last_error = error;
  return error;
}

void set_message(std::string text) {
  std::lock_guard lock(message_mutex);
  message_text = std::move(text);
}

}  // namespace hiphost

using namespace hiphost;

HIPHOST_API int hipInit(unsigned flags) { return result(flags ? invalid_value : success); }
HIPHOST_API int hipRuntimeGetVersion(int* version) { return version ? (*version = 60000000, success) : result(invalid_value); }
HIPHOST_API int hipDriverGetVersion(int* version) { return hipRuntimeGetVersion(version); }
HIPHOST_API int hipGetDeviceCount(int* count) { return count ? (*count = 1, success) : result(invalid_value); }
HIPHOST_API int hipSetDevice(int device) { return result(device == 0 ? success : invalid_device); }
HIPHOST_API int hipGetDevice(int* device) { return device ? (*device = 0, success) : result(invalid_value); }
HIPHOST_API int hipDeviceGet(int* device, int ordinal) {
  if (ordinal != 0) return result(invalid_device);
  return hipGetDevice(device);
}
HIPHOST_API int hipDeviceGetName(char* name, int size, int device) {
  if (device != 0) return result(invalid_device);
  if (!name || size <= 0) return result(invalid_value);
  const int threads = thread_count();
  snprintf(name, size_t(size), "%s, %d thread%s", cpu_model().c_str(), threads, threads == 1 ? "" : "s");
  return success;
}
HIPHOST_API int hipDeviceTotalMem(size_t* bytes, int device) {
  if (device != 0) return result(invalid_device);
  return bytes ? (*bytes = total_memory(), success) : result(invalid_value);
}
HIPHOST_API int hipMemGetInfo(size_t* free, size_t* total) {
  if (free) *free = free_memory();
  if (total) *total = total_memory();
  return success;
}
HIPHOST_API int hipDeviceGetAttribute(int* value, int id, int device) {
  if (device != 0) return result(invalid_device);
  return result(value ? attribute(id, value) : invalid_value);
}
HIPHOST_API int hipDeviceGetPCIBusId(char* text, int size, int device) {
  if (device != 0) return result(invalid_device);
  if (!text || size <= 0) return result(invalid_value);
  snprintf(text, size_t(size), "host");
  return success;
}
HIPHOST_API const char* hipGetErrorName(int error) { return error_name(error); }
HIPHOST_API const char* hipGetErrorString(int error) { return error_text(error); }
HIPHOST_API int hipGetLastError() {
  const int error = last_error;
  last_error = success;
  return error;
}

/** Details of the last error whose number alone says too little: which thread waits where, why a load failed. */
HIPHOST_API const char* hiphostLastMessage() {
  static thread_local std::string text;
  std::lock_guard lock(message_mutex);
  text = message_text;
  return text.c_str();
}
/** Emulation: 0 runs fibers in order, another number in a random order that it determines. */
HIPHOST_API int hiphostSetSeed(unsigned long long seed) { return order_seed = seed, success; }
HIPHOST_API int hiphostGetThreads() { return thread_count(); }
