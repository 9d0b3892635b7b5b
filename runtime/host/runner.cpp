// hiphost-runner: runs a list of launches in a process of its own, so that kernels and this library can be built with
// the address and undefined-behaviour sanitizers (Node itself is not). Buffers are heap blocks of exactly the stated
// size: one byte beyond is an error. runtime/host/sanitizer.ts writes the list, a text file with one item a line:
//
//   threads N | seed N                       before the first launch
//   buffer INDEX BYTES FILE                  starts with the file's bytes (the rest is 0xff)
//   module INDEX FILE                        a host code object
//   launch MODULE KERNEL GX GY GZ BX BY BZ LDSBYTES ARGCOUNT, then for each argument: p BUFFER OFFSET | v HEX64
//   save INDEX FILE                          the buffer's bytes after all launches before this line
//
// Exit status: 0 done, 2 bad list, 3 a HIP call or kernel failed (text on standard error); a sanitizer aborts.
#include "hiphost.cpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace {

struct Buffer {
  char* bytes = nullptr;  // never freed: the process is short
  size_t size = 0;
};

std::vector<char> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::cerr << "cannot read " << path << "\n";
    exit(2);
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

void check(int status, const std::string& what) {
  if (status == 0) return;
  std::cerr << "hiphost: " << what << ": " << hipGetErrorName(status) << ": " << hiphostLastMessage() << "\n";
  exit(3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::ifstream list(argv[1]);
  std::unordered_map<int, Buffer> buffers;
  std::unordered_map<int, void*> loaded;
  std::string line, item, path;
  while (std::getline(list, line)) {
    std::istringstream in(line);
    in >> item;
    if (item == "threads") {
      int n = 0;
      in >> n;
      hiphostSetThreads(n);
    } else if (item == "seed") {
      unsigned long long seed = 0;
      in >> seed;
      hiphostSetSeed(seed);
    } else if (item == "buffer") {
      int index = 0;
      size_t size = 0;
      in >> index >> size >> path;
      Buffer& buffer = buffers[index];
      buffer.size = size;
      if (posix_memalign(reinterpret_cast<void**>(&buffer.bytes), 64, size ? size : 1) != 0) return 2;
      memset(buffer.bytes, 0xff, size);
      const std::vector<char> start = read_file(path);
      memcpy(buffer.bytes, start.data(), start.size() < size ? start.size() : size);
    } else if (item == "module") {
      int index = 0;
      in >> index >> path;
      check(hipModuleLoadData(&loaded[index], read_file(path).data()), "loading " + path);
    } else if (item == "launch") {
      int module = 0, count = 0;
      std::string name, kind;
      unsigned g[3], b[3], lds;
      in >> module >> name >> g[0] >> g[1] >> g[2] >> b[0] >> b[1] >> b[2] >> lds >> count;
      std::vector<u64> values(size_t(count), 0);
      std::vector<void*> params;
      for (u64& value : values) {
        in >> kind;
        if (kind == "p") {
          int index = 0;
          size_t offset = 0;
          in >> index >> offset;
          value = u64(uintptr_t(buffers[index].bytes + offset));
        } else {
          in >> std::hex >> value >> std::dec;
        }
        params.push_back(&value);
      }
      if (!in) return 2;
      void* function = nullptr;
      check(hipModuleGetFunction(&function, loaded[module], name.c_str()), name);
      check(hipModuleLaunchKernel(function, g[0], g[1], g[2], b[0], b[1], b[2], lds, nullptr, params.data(), nullptr), name);
      check(hipDeviceSynchronize(), name);
    } else if (item == "save") {
      int index = 0;
      in >> index >> path;
      std::ofstream(path, std::ios::binary).write(buffers[index].bytes, std::streamsize(buffers[index].size));
    } else {
      return 2;
    }
  }
  return 0;
}
