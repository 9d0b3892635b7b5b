// What this machine's memory gives to plain reads: the yardstick of every memory-bound figure. A C++ program, because the
// yardstick must not stand on the code that it measures.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const source = `
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>
typedef unsigned long long wide __attribute__((vector_size(64)));
static unsigned long long sum(const wide* p, size_t n) {
  wide a{}, b{}, c{}, d{};
  for (size_t i = 0; i + 4 <= n; i += 4) a += p[i], b += p[i + 1], c += p[i + 2], d += p[i + 3];
  a += b + c + d;
  unsigned long long s = 0;
  for (int i = 0; i < 8; i++) s += a[i];
  return s;
}
int main(int, char** argv) {
  const size_t bytes = strtoull(argv[1], 0, 10) / 4096 * 4096, threads = strtoull(argv[2], 0, 10);
  wide* data = (wide*)aligned_alloc(4096, bytes);
  for (size_t i = 0; i < bytes / 64; i++) data[i] = wide{} + i;
  const size_t share = bytes / 64 / threads, repeat = 1 + (size_t(1) << 30) / bytes;
  double best = 0;
  for (int round = 0; round < 7; round++) {
    std::vector<std::thread> all;
    const auto start = std::chrono::steady_clock::now();
    for (size_t t = 0; t < threads; t++)
      all.emplace_back([=] {
        volatile unsigned long long keep = 0;
        for (size_t r = 0; r < repeat; r++) keep = keep + sum(data + t * share, share);
      });
    for (auto& one : all) one.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = double(share) * 64 * threads * repeat / seconds / 1e9;
    if (rate > best) best = rate;
  }
  printf("%f", best);
}
`

/** GB/s of reading `bytes` again and again on `threads` threads, the best of seven rounds. */
export function readBandwidth(bytes: number, threads: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'read-bandwidth-'))
  try {
    const [cpp, program] = [join(folder, 'read.cpp'), join(folder, 'read')]
    writeFileSync(cpp, source)
    const compiler = process.env['CXX'] ?? 'c++'
    execFileSync(compiler, ['-O3', '-march=native', '-Wno-psabi', '-pthread', cpp, '-o', program])
    return Number(execFileSync(program, [String(bytes), String(threads)], { encoding: 'utf8' }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
