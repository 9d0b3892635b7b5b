// Code objects and kernels. A host code object is "HIPHOST\1", the length of the shared object as a 64-bit little-endian
// number, and the shared object. It is loaded from memory where the system has memfd, else from a private file.

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hiphost {

struct Module {
  void* library = nullptr;
  int file = -1;  // kept open: the loader knows a library by its path, and a closed number would be given out again
  std::unordered_map<std::string, std::shared_ptr<Function>> functions;

  ~Module() {
    for (auto& [name, function] : functions) function->kernel = nullptr;
    if (library) dlclose(library);
    if (file >= 0) close(file);
  }
};

namespace {

auto& modules = *new Registry<Module>;
auto& functions = *new Registry<Function>;

constexpr char magic[8] = {'H', 'I', 'P', 'H', 'O', 'S', 'T', 1};

bool write_all(int file, const char* bytes, size_t n) {
  while (n > 0) {
    const ssize_t written = write(file, bytes, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written, n -= size_t(written);
  }
  return true;
}

int load(Module& module, const void* image) {
  if (memcmp(image, "\177ELF", 4) == 0) return no_binary_for_gpu;  // a GPU's code object
  if (memcmp(image, magic, sizeof magic) != 0) return invalid_image;
  u64 bytes;
  memcpy(&bytes, static_cast<const char*>(image) + 8, 8);
  const char* object = static_cast<const char*>(image) + 16;
#if defined(__linux__)
  module.file = memfd_create("rocmforge-kernel", MFD_CLOEXEC);
  if (module.file >= 0 && write_all(module.file, object, bytes)) {
    const std::string path = "/proc/self/fd/" + std::to_string(module.file);
    module.library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module.library) return success;
  }
#endif
  const char* folder = getenv("TMPDIR");
  std::string path = std::string(folder && *folder ? folder : "/tmp") + "/rocmforge-kernel-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) return set_message("cannot write " + path + ": " + strerror(errno)), shared_object_init_failed;
  const bool written = write_all(file, object, bytes);
  close(file);
  if (written) module.library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* why = written ? module.library ? "" : dlerror() : "the disk is full";
  unlink(path.c_str());
  if (module.library) return success;
  set_message(why ? why : "dlopen failed");
  return shared_object_init_failed;
}

int launch(void* handle, hiphost_dim3 grid, hiphost_dim3 block, u32 lds_bytes, void** params, void** extra, Launch& out) {
  auto function = functions.find(handle);
  if (!function) return invalid_handle;
  const hiphost_kernel* kernel = function->kernel;
  if (!kernel) return invalid_handle;
  if (extra || (!params && kernel->arg_count)) return invalid_value;
  if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z) return invalid_value;
  if (block.x > 1024 || block.y > 1024 || block.z > 1024 || block.x * block.y * block.z > kernel->max_threads) {
    set_message("kernel " + function->name + " runs blocks of at most " + std::to_string(kernel->max_threads) + " threads");
    return invalid_configuration;
  }
  if (lds_bytes > 16 << 20) return invalid_value;
  out.args.resize(kernel->arg_count);
  for (unsigned i = 0; i < kernel->arg_count; i++) {
    if (!params[i]) return invalid_value;
    out.args[i] = 0;
    memcpy(&out.args[i], params[i], kernel->arg_sizes[i]);
  }
  out.function = std::move(function);
  out.grid = grid, out.block = block, out.lds_bytes = lds_bytes;
  return success;
}

/** Runs a launch on the pool; called by whoever drives the queue. */
void execute(const Launch& launch) {
  struct Job {
    const Launch& launch;
    const hiphost_kernel* kernel;
    void** params;
  };
  const hiphost_kernel* kernel = launch.function->kernel;
  if (!kernel) return set_fault("kernel " + launch.function->name + " was unloaded before its launch ran");
  void* params[64];
  for (size_t i = 0; i < launch.args.size(); i++) params[i] = const_cast<u64*>(&launch.args[i]);
  Job job{launch, kernel, params};
  parallel(
      u64(launch.grid.x) * launch.grid.y * launch.grid.z,
      [](void* arg, u64 first, u64 last) {
        const Job& job = *static_cast<Job*>(arg);
        hiphost_block* block = thread_block(job.launch.lds_bytes);
        block->grid_dim = job.launch.grid;
        block->block_dim = job.launch.block;
        block->thread_id = {0, 0, 0};
        job.kernel->run(job.params, block, first, last);
      },
      &job);
}

}  // namespace
}  // namespace hiphost

HIPHOST_API int hipModuleLoadData(void** out, const void* image) {
  if (!out || !image) return result(invalid_value);
  if (capturing()) return result(capture_unsupported);
  auto module = std::make_shared<Module>();
  if (const int error = load(*module, image)) return result(error);
  *out = modules.add(std::move(module));
  return success;
}

HIPHOST_API int hipModuleUnload(void* handle) {
  auto module = modules.find(handle);
  if (!module) return result(invalid_handle);
  if (capturing()) return result(capture_unsupported);
  const int error = synchronize_all();
  modules.remove(handle);
  for (auto& [name, function] : module->functions) functions.remove(function.get());
  return result(error);
}

HIPHOST_API int hipModuleGetFunction(void** out, void* handle, const char* name) {
  auto module = modules.find(handle);
  if (!module) return result(invalid_handle);
  if (!out || !name) return result(invalid_value);
  auto& function = module->functions[name];
  if (!function) {
    auto* kernel = static_cast<const hiphost_kernel*>(dlsym(module->library, (std::string(name) + "__hiphost").c_str()));
    if (!kernel || kernel->abi != HIPHOST_ABI || kernel->arg_count > 64) {
      module->functions.erase(name);
      return result(kernel ? invalid_image : not_found);
    }
    for (unsigned i = 0; i < kernel->arg_count; i++) {
      if (kernel->arg_sizes[i] <= 8) continue;
      module->functions.erase(name);
      set_message(std::string(name) + ": kernel arguments have at most 8 bytes");
      return result(not_supported);
    }
    function = std::make_shared<Function>();
    function->kernel = kernel;
    function->name = name;
    functions.add(function);
  }
  *out = function.get();
  return success;
}

HIPHOST_API int hipFuncGetAttribute(int* value, int attribute, void* handle) {
  auto function = functions.find(handle);
  if (!function) return result(invalid_handle);
  if (!value) return result(invalid_value);
  switch (attribute) {
    case 0: *value = int(function->kernel.load()->max_threads); return success;
    case 1: case 2: case 3: case 4: case 9: *value = 0; return success;  // LDS, constants, scratch, registers, carve-out
    case 5: case 6: *value = HIPHOST_ABI; return success;                // binary version
    case 8: *value = 65536; return success;                              // dynamic LDS
    default: return result(invalid_value);
  }
}

HIPHOST_API int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads, size_t) {
  auto function = functions.find(handle);
  if (!function) return result(invalid_handle);
  if (!blocks || threads <= 0) return result(invalid_value);
  *blocks = unsigned(threads) <= function->kernel.load()->max_threads ? 1 : 0;
  return success;
}
