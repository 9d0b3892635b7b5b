// Emulation mode: real block and wave sizes on fibers.
import { beforeAll, describe, expect, test } from 'vitest'
import { type Arg, compileText, type Host, loadHost, packParams } from './host-harness.ts'

let host: Host
beforeAll(async () => {
  host = await loadHost()
})

const kernels = /* cpp */ `
__device__ inline float wave_sum(float v) {
  for (int mask = P_WAVE / 2; mask > 0; mask /= 2) v += hiphost_shfl_xor(v, mask);
  return v;
}
// out[block] = sum of in[block * blockDim + thread]
extern "C" __global__ void block_sum(float* out, const float* in) {
  HIPHOST_LDS(float, parts, 1024 / P_WAVE);
  const int t = threadIdx.x, wave = t / P_WAVE;
  const float sum = wave_sum(in[blockIdx.x * blockDim.x + t]);
  if (t % P_WAVE == 0) parts[wave] = sum;
  __syncthreads();
  if (wave == 0) {
    const float total = wave_sum(t < int(blockDim.x / P_WAVE) ? parts[t] : 0.f);
    if (t == 0) out[blockIdx.x] = total;
  }
}
// reverses a block through static and dynamic LDS, several times
extern "C" __global__ void reverse(int* data, int rounds) {
  __shared__ int fixed[1024];
  int* dynamic = hiphost_dynamic_lds<int>();
  const int t = threadIdx.x, n = blockDim.x;
  int* mine = data + blockIdx.x * n;
  for (int r = 0; r < rounds; r++) {
    int* lds = r % 2 ? fixed : dynamic;
    lds[t] = mine[t];
    __syncthreads();
    mine[t] = lds[n - 1 - t];
    __syncthreads();
  }
}
extern "C" __global__ void votes(unsigned long long* out) {
  const int t = threadIdx.x;
  const unsigned long long bits = hiphost_ballot(t % 3 == 0);
  const bool any = hiphost_any(t == 5), all = hiphost_all(t >= 0), none = hiphost_all(t != 5);
  struct Pair { double a; int b; } pair = {t * 0.5, t};
  pair = hiphost_shfl(pair, 7);
  out[t * 3] = bits;
  out[t * 3 + 1] = any | all << 1 | none << 2;
  out[t * 3 + 2] = (unsigned long long)(pair.a * 2) * 1000 + pair.b;
}
// threads at and beyond n leave before the barrier
extern "C" __global__ void leave_early(int* out, int n) {
  HIPHOST_LDS(int, lds, 1024);
  const int t = threadIdx.x;
  if (t >= n) return;
  lds[t] = t;
  __syncthreads();
  out[t] = lds[(t + 1) % n];
}
extern "C" __global__ void half_barrier(int* out) {
  if (threadIdx.x % 2) __syncthreads();
  else hiphost_ballot(true);
  out[0] = 1;
}
extern "C" __global__ void half_shuffle(int* out) {
  if (threadIdx.x % 2) hiphost_ballot(true);
  else hiphost_shfl(1, 0);
  out[0] = 1;
}
extern "C" __global__ void reads_a_lane_that_left(int* out) {
  if (threadIdx.x == 3) return;
  out[threadIdx.x] = hiphost_shfl(int(threadIdx.x), 3);
}
// without the barrier the order of the fibers decides
extern "C" __global__ void race(int* out) {
  HIPHOST_LDS(int, lds, 64);
  const int t = threadIdx.x;
  lds[t] = t;
  out[t] = lds[(t + 1) % 64] == (t + 1) % 64;
}
extern "C" __global__ void fresh_lds(float* out) {
  HIPHOST_LDS(float, lds, 64);
  out[blockIdx.x * blockDim.x + threadIdx.x] = lds[threadIdx.x];
  lds[threadIdx.x] = 1.f;
}
// block x waits until its predecessor has arrived, by spinning
extern "C" __global__ void chain(int* flags) {
  if (threadIdx.x == 0) {
    while (blockIdx.x > 0 && hiphost_atomic_add(&flags[blockIdx.x - 1], 0) == 0) hiphost_pause();
    hiphost_atomic_add(&flags[blockIdx.x], 1);
  }
  __syncthreads();
}
extern "C" __global__ void where(int* out) {
  const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[b * blockDim.x * blockDim.y * blockDim.z + t] += b * 1000 + t;
}
`
const names = [...kernels.matchAll(/__global__ void (\w+)/g)].map((match) => match[1]!)

async function emulated(wave: number, block = 1024) {
  const module = host.load(await compileText(kernels, names, { mode: 'emulate', wave, block }))
  const kernel = (name: string) => host.kernel(module, name)
  const run = (name: string, grid: number, threads: number, args: Arg[], ldsBytes = 0): number =>
    host.launch(kernel(name), grid, threads, args, 0n, ldsBytes) || host.hip.deviceSynchronize()
  return Object.assign(run, { kernel })
}

describe.each([32, 64])('waves of %i', (wave) => {
  let run: Awaited<ReturnType<typeof emulated>>
  beforeAll(async () => {
    run = await emulated(wave)
  })

  test.each([32, 64, 128, 256, 512, 1024].filter((block) => block >= wave))(
    'a block of %i threads reduces through shuffles and LDS',
    (block) => {
      const blocks = 5
      const data = Float32Array.from({ length: blocks * block }, (_, i) => ((i * 7919) % 97) - 48)
      const input = host.upload(data)
      const output = host.upload(new Float32Array(blocks))
      const expected = Array.from({ length: blocks }, (_, b) =>
        data.slice(b * block, (b + 1) * block).reduce((sum, v) => sum + v, 0),
      )
      for (const seed of [0, 1, 2]) {
        host.ok(host.hip.setSeed(seed))
        host.ok(run('block_sum', blocks, block, [output, input]))
        expect([...host.download(new Float32Array(blocks), output)]).toEqual(expected)
      }
      host.ok(host.hip.setSeed(0))
    },
  )

  test.each([1, 17, 64, 1000])('barriers order LDS accesses of %i threads', (block) => {
    const data = Int32Array.from({ length: 4 * block }, (_, i) => i)
    const address = host.upload(data)
    host.ok(run('reverse', 4, block, [address, { i32: 7 }], block * 4))
    const got = host.download(new Int32Array(4 * block), address)
    expect([...got]).toEqual([0, 1, 2, 3].flatMap((b) => [...data.slice(b * block, (b + 1) * block)].reverse()))
  })

  test('ballot, any, all and shuffles of structs see one wave', () => {
    const threads = wave + 16 // the last wave has 16 lanes
    const out = host.upload(new BigUint64Array(threads * 3))
    host.ok(run('votes', 1, threads, [out]))
    const got = host.download(new BigUint64Array(threads * 3), out)
    for (let t = 0; t < threads; t++) {
      const first = t - (t % wave)
      const lanes = Array.from({ length: Math.min(wave, threads - first) }, (_, lane) => first + lane)
      const bits = lanes.reduce((sum, thread, lane) => sum | (BigInt(thread % 3 === 0) << BigInt(lane)), 0n)
      expect(got[t * 3]).toBe(bits)
      expect(got[t * 3 + 1]).toBe(first === 0 ? 3n : 6n)
      expect(got[t * 3 + 2]).toBe(BigInt((first + 7) * 1001))
    }
  })

  test('a thread that has returned is not waited for', () => {
    const out = host.upload(new Int32Array(100))
    host.ok(run('leave_early', 3, 256, [out, { i32: 100 }]))
    expect([...host.download(new Int32Array(100), out)]).toEqual(Array.from({ length: 100 }, (_, t) => (t + 1) % 100))
  })

  test.each([
    ['half_barrier', /threads of block 0 wait for each other: 64 at a barrier \(the first is thread 1\), 64 at a wave/],
    ['half_shuffle', /thread \d+ of block 0: lanes of one wave wait in different wave operations/],
    ['reads_a_lane_that_left', /thread \d+ of block 0: a shuffle reads a lane that is not there/],
  ])('%s is an error, and the next launch works', (name, message) => {
    const out = host.upload(new Int32Array(256))
    expect(host.hip.errorName(run(name, 1, 128, [out]))).toBe('hipErrorLaunchFailure')
    expect(host.hip.lastMessage()).toMatch(message)
    host.ok(run('leave_early', 1, 8, [out, { i32: 4 }]))
  })

  test('a random order of fibers exposes a missing barrier', () => {
    const out = host.upload(new Int32Array(64))
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 8; seed++) {
      host.ok(host.hip.setSeed(seed))
      host.ok(run('race', 1, 64, [out]))
      outcomes.add(host.download(new Int32Array(64), out).join())
    }
    host.ok(host.hip.setSeed(0))
    expect(outcomes.size).toBeGreaterThan(1)
  })

  test('LDS starts as NaN in every block', () => {
    const out = host.upload(new Float32Array(640))
    host.ok(run('fresh_lds', 10, 64, [out]))
    expect(host.download(new Float32Array(640), out).every(Number.isNaN)).toBe(true)
  })

  test('as many blocks as OS threads run at the same time', () => {
    for (let i = 0; i < 50; i++) {
      const blocks = host.attribute(63)
      const flags = host.upload(new Int32Array(blocks))
      host.ok(run('chain', blocks, 64, [flags]))
      expect([...host.download(new Int32Array(blocks), flags)]).toEqual(Array(blocks).fill(1))
      host.ok(host.hip.free(flags))
    }
  })

  test('threads and blocks have three dimensions', () => {
    const out = host.upload(new Int32Array(24 * 60))
    const params = packParams([out])
    host.ok(host.hip.launch(run.kernel('where'), 2, 3, 4, 3, 4, 5, 0, 0n, params, null))
    const got = host.download(new Int32Array(24 * 60), out)
    expect([...got]).toEqual(Array.from({ length: 24 * 60 }, (_, i) => Math.floor(i / 60) * 1000 + (i % 60)))
  })
})

test('a block larger than P_BLOCK is refused', async () => {
  const module = host.load(await compileText(kernels, ['race'], { mode: 'emulate', wave: 32, block: 128 }))
  expect(host.launch(host.kernel(module, 'race'), 1, 129, [0n])).toBe(9)
  expect(host.hip.lastMessage()).toBe('kernel race runs blocks of at most 128 threads')
})
