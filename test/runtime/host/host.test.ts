// libhiphost's HIP calls as a driver sees them: memory, copies, stream order, events, graphs, modules, wrong handles.
import { cpSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { compileText, type Host, loadHost, packParams } from './host-harness.ts'

const source = /* cpp */ `
extern "C" __global__ void add(float* y, const float* x, float a, int n) {
  for (int i = blockIdx.x; i < n; i += gridDim.x) y[i] += a * x[i];
}
extern "C" __global__ void twice_plus_one(int* v) { v[blockIdx.x] = v[blockIdx.x] * 2 + 1; }
extern "C" __global__ void count(int* counters) { hiphost_atomic_add(&counters[blockIdx.x % 7], 1); }
extern "C" __global__ void mixed(double* out, const char* p, int a, unsigned b, unsigned long long c, float d) {
  out[0] = p[1] + a + b + double(c) + d;
}
extern "C" __global__ void nothing() {}
extern "C" __global__ void spin(int* counter, int rounds) {
  for (int i = 0; i < rounds; i++) hiphost_atomic_add(counter, 1);
}
extern "C" __global__ void lds(int* out, int n) {
  int* scratch = hiphost_dynamic_lds<int>();
  for (int i = 0; i < n; i++) scratch[i] = i + blockIdx.x;
  int sum = 0;
  for (int i = 0; i < n; i++) sum += scratch[i];
  out[blockIdx.x] = sum;
}
// 512 KiB of LDS
extern "C" __global__ void deep(int* out) {
  HIPHOST_LDS(int, lds, 131072);
  for (int i = 0; i < 131072; i++) lds[i] = i + out[0];
  hiphost_atomic_add(out + 1 + blockIdx.x, lds[131071 - blockIdx.x]);
}
struct wide { double a, b; };
extern "C" __global__ void takes_a_struct(wide) {}
`
const names = [...source.matchAll(/__global__ void (\w+)/g)].map((match) => match[1]!)

let host: Host
let image: Uint8Array
let module: bigint
let kernels: Record<string, bigint>
let stream: bigint
beforeAll(async () => {
  host = await loadHost()
  image = await compileText(source, names)
  module = host.load(image)
  kernels = Object.fromEntries(
    names.filter((name) => name !== 'takes_a_struct').map((name) => [name, host.kernel(module, name)]),
  )
  stream = host.out(host.hip.streamCreate, 1)
})
afterAll(() => host.hip.setThreads(0))

const ints = (address: bigint, n: number) => [...host.download(new Int32Array(n), address)]

test('one device, named after the processor', () => {
  const { hip, ok } = host
  ok(hip.init(0))
  const count = new Int32Array(1)
  ok(hip.deviceCount(count))
  expect(count[0]).toBe(1)
  expect(hip.setDevice(0)).toBe(0)
  expect(hip.setDevice(1)).toBe(101)
  const name = Buffer.alloc(256)
  ok(hip.deviceName(name, 256, 0))
  expect(name.toString('utf8').replace(/\0.*$/s, '')).toMatch(/^.+, \d+ threads?$/)
  const total = host.out(hip.totalMem, 0)
  const [free, all] = [new BigUint64Array(1), new BigUint64Array(1)]
  ok(hip.memInfo(free, all))
  expect(all[0]).toBe(total)
  expect(free[0]).toBeGreaterThan(0n)
  expect(free[0]).toBeLessThanOrEqual(total)
  expect(host.attribute(87)).toBe(1)
  expect(host.attribute(63)).toBe(hip.getThreads())
  expect(hip.attribute(count, 12345, 0)).toBe(1)
  expect(hip.errorName(719)).toBe('hipErrorLaunchFailure')
  expect(hip.errorString(2)).toBe('out of memory')
})

test('memory: aligned, untouched until used, checked when copied and freed', () => {
  const { hip, ok, out } = host
  for (const bytes of [1, 100, 1 << 20, (5 << 20) + 3]) {
    const address = out(hip.malloc, bytes)
    expect(address % 64n).toBe(0n)
    const data = new Uint8Array(bytes).map((_, i) => i * 31)
    ok(hip.htod(address, data, bytes))
    expect(Buffer.compare(host.download(new Uint8Array(bytes), address), data)).toBe(0)
    expect(hip.htod(address, new Uint8Array(bytes + 1), bytes + 1)).toBe(1) // too long
    expect(hip.dtoh(new Uint8Array(bytes), address + 1n, bytes)).toBe(1)
    expect(hip.free(address + 1n)).toBe(1)
    ok(hip.free(address))
    expect(hip.free(address)).toBe(1)
  }
  const half = host.out(hip.totalMem, 0) / 2n
  const before = process.memoryUsage.rss()
  const large = out(hip.malloc, half)
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20)
  ok(hip.free(large))
  expect(hip.malloc(new BigUint64Array(1), 1n << 60n)).toBe(2)
  expect(out(hip.malloc, 0)).toBe(0n)
  ok(hip.free(0n))
})

test('copies and fills', () => {
  const { hip, ok, out } = host
  const a = host.upload(Int32Array.from({ length: 1000 }, (_, i) => i))
  const b = out(hip.malloc, 4000)
  ok(hip.dtod(b, a + 400n, 3600))
  ok(hip.memsetD32Async(b + 3600n, -7, 100, stream))
  ok(hip.streamSynchronize(stream))
  expect(ints(b, 1000)).toEqual(Array.from({ length: 1000 }, (_, i) => (i < 900 ? i + 100 : -7)))
  ok(hip.memsetD8(b, 0xab, 5))
  expect([...host.download(new Uint8Array(6), b)]).toEqual([0xab, 0xab, 0xab, 0xab, 0xab, 0])
  expect(hip.memsetD8(b, 0, 4001)).toBe(1)
  expect(hip.dtod(b, 4096n, 8)).toBe(1)
  const small = Int32Array.of(1, 2, 3)
  ok(hip.htodAsync(a, small, 12, stream))
  small.fill(9) // the call has taken its copy
  ok(hip.streamSynchronize(stream))
  expect(ints(a, 3)).toEqual([1, 2, 3])
  const large = new Int32Array(1 << 18).fill(5)
  const c = out(hip.malloc, large.byteLength)
  ok(hip.htodAsync(c, large, large.byteLength, stream))
  large.fill(0)
  ok(hip.dtohAsync(large, c, large.byteLength, stream))
  expect(large.every((v) => v === 5)).toBe(true)
  const pinned = out(hip.hostMalloc, 64, 0)
  ok(hip.dtodAsync(pinned, a, 12, stream))
  ok(hip.freeAsync(c, stream))
  ok(hip.streamSynchronize(stream))
  expect(ints(pinned, 3)).toEqual([1, 2, 3])
  ok(hip.hostFree(pinned))
})

test('arguments of every type arrive; LDS is there', () => {
  const { ok, hip } = host
  const out = host.upload(new Float64Array(1))
  const bytes = host.upload(Uint8Array.of(1, 100))
  const params = [out, bytes, { i32: -5 }, { i32: 7 }, 1n << 40n, { f32: 0.5 }]
  ok(host.launch(kernels['mixed']!, 1, 1, params))
  expect(host.download(new Float64Array(1), out)[0]).toBe(100 - 5 + 7 + 2 ** 40 + 0.5)
  const sums = host.upload(new Int32Array(8))
  ok(host.launch(kernels['lds']!, 8, 1, [sums, { i32: 1000 }], stream, 4000))
  ok(hip.streamSynchronize(stream))
  expect(ints(sums, 8)).toEqual(Array.from({ length: 8 }, (_, b) => 499500 + 1000 * b))
})

test('a kernel has stack enough for its LDS, whoever waits for it', async () => {
  const { hip, ok } = host
  const out = host.upload(new Int32Array(9))
  type Async = { async: (stream: bigint, done: (error: unknown, status: number) => void) => void }
  const wait = promisify((hip.streamSynchronize as unknown as Async).async)
  for (let i = 0; i < 20; i++) {
    ok(host.launch(kernels['deep']!, 1 + (i % 8), 1, [out], stream))
    expect(await wait(stream)).toBe(0)
  }
  expect(ints(out, 2)).toEqual([0, 131071 * 20])
})

test('a stream runs in order: 20000 launches', () => {
  const { hip, ok } = host
  const x = host.upload(new Float32Array(33).fill(1))
  const y = host.upload(new Float32Array(33))
  for (let i = 0; i < 10_000; i++) {
    ok(
      hip.launch(
        kernels['add']!,
        1 + (i % 33),
        1,
        1,
        1,
        1,
        1,
        0,
        stream,
        packParams([y, x, { f32: 1 }, { i32: 33 }]),
        null,
      ),
    )
    ok(hip.launch(kernels['nothing']!, 3, 1, 1, 1, 1, 1, 0, stream, packParams([]), null))
  }
  ok(hip.streamSynchronize(stream))
  expect(host.download(new Float32Array(33), y).every((v) => v === 10_000)).toBe(true)
  // v -> 2v + 1 does not commute with a copy of another value in between
  const v = host.upload(Int32Array.of(0))
  const other = host.out(hip.streamCreate, 1)
  const event = host.out(hip.eventCreate, 2)
  for (let i = 0; i < 25; i++) {
    ok(host.launch(kernels['twice_plus_one']!, 1, 1, [v], i % 2 ? stream : other))
    ok(hip.eventRecord(event, i % 2 ? stream : other))
    ok(hip.streamWaitEvent(i % 2 ? other : stream, event, 0))
  }
  ok(hip.deviceSynchronize())
  expect(ints(v, 1)).toEqual([2 ** 25 - 1])
  ok(hip.streamDestroy(other))
})

test.each([1, 2, 3, 8])('every block runs exactly once on %i threads', (threads) => {
  const { hip, ok } = host
  ok(hip.setThreads(threads))
  expect(host.attribute(63)).toBe(threads)
  const counters = host.upload(new Int32Array(7))
  let blocks = 0
  for (let i = 0; i < 300; i++) {
    const grid = 1 + ((i * 37) % 500)
    blocks += grid
    ok(host.launch(kernels['count']!, grid, 1, [counters], stream))
  }
  expect(ints(counters, 7).reduce((sum, n) => sum + n, 0)).toBe(blocks)
  ok(hip.setThreads(0))
})

test('streams are asynchronous; events tell when and how long', () => {
  const { hip, ok, out } = host
  const [start, stop] = [out(hip.eventCreate, 0), out(hip.eventCreate, 0)]
  const counter = host.upload(new Int32Array(1))
  const ms = new Float32Array(1)
  expect(hip.eventElapsed(ms, start, stop)).toBe(400) // never recorded
  expect(hip.eventQuery(stop)).toBe(0)
  ok(hip.eventRecord(start, stream))
  ok(host.launch(kernels['spin']!, 1, 1, [counter, { i32: 20_000_000 }], stream))
  ok(hip.eventRecord(stop, stream))
  expect(hip.streamQuery(stream)).toBe(600)
  expect(hip.eventQuery(stop)).toBe(600)
  expect(hip.eventElapsed(ms, start, stop)).toBe(600)
  ok(hip.eventSynchronize(stop))
  expect(hip.streamQuery(stream)).toBe(0)
  ok(hip.eventElapsed(ms, start, stop))
  expect(ms[0]).toBeGreaterThan(1)
  ok(hip.eventDestroy(start))
  ok(hip.eventDestroy(stop))
  expect(hip.eventDestroy(stop)).toBe(400)
})

test('a replayed graph does what the plain calls do', () => {
  const { hip, ok, out } = host
  const start = Float32Array.from({ length: 64 }, (_, i) => i)
  const [x, y, z] = [host.upload(start), out(hip.malloc, 256), out(hip.malloc, 256)]
  const step = () => {
    ok(hip.memsetD32Async(y, 0, 64, stream))
    for (let i = 1; i <= 3; i++) ok(host.launch(kernels['add']!, 16, 1, [y, x, { f32: i }, { i32: 64 }], stream))
    ok(hip.dtodAsync(z, y, 256, stream))
    ok(host.launch(kernels['add']!, 4, 1, [x, z, { f32: 1 }, { i32: 64 }], stream))
  }
  step()
  step()
  const plain = host.download(new Float32Array(64), x)
  ok(hip.htod(x, start, 256))
  ok(hip.beginCapture(stream, 0))
  step()
  expect(hip.streamSynchronize(stream)).toBe(900)
  expect(hip.malloc(new BigUint64Array(1), 8)).toBe(900)
  const graph = out((box: unknown) => hip.endCapture(stream, box))
  expect([...host.download(new Float32Array(64), x)]).toEqual([...start]) // nothing ran yet
  const nodes = new BigUint64Array(1)
  ok(hip.graphNodes(graph, null, nodes))
  expect(nodes[0]).toBe(6n)
  const exec = out(hip.instantiate, graph, 0n)
  ok(hip.graphDestroy(graph))
  ok(hip.graphLaunch(exec, stream))
  ok(hip.graphLaunch(exec, stream))
  expect([...host.download(new Float32Array(64), x)]).toEqual([...plain])
  ok(hip.execDestroy(exec))
  expect(hip.graphLaunch(exec, stream)).toBe(400)
})

test('wrong handles and launches are error numbers', () => {
  const { hip } = host
  const launch = (fn: bigint, grid: number, block: number, on = stream) => host.launch(fn, grid, block, [], on)
  expect(launch(12345n, 1, 1)).toBe(400)
  expect(launch(module, 1, 1)).toBe(400)
  expect(launch(kernels['nothing']!, 1, 1, 99n)).toBe(400)
  expect(launch(kernels['nothing']!, 0, 1)).toBe(1)
  expect(launch(kernels['nothing']!, 1, 2)).toBe(9) // fast mode has blocks of one thread
  expect(hip.lastError()).toBe(9)
  expect(hip.lastError()).toBe(0)
  expect(hip.streamSynchronize(7n)).toBe(400)
  expect(hip.streamDestroy(0n)).toBe(400)
  expect(hip.moduleFunction(new BigUint64Array(1), module, 'missing')).toBe(500)
  expect(hip.moduleFunction(new BigUint64Array(1), 5n, 'add')).toBe(400)
  expect(hip.moduleFunction(new BigUint64Array(1), module, 'takes_a_struct')).toBe(801)
  expect(hip.moduleLoad(new BigUint64Array(1), Buffer.from('not a code object'))).toBe(200)
  expect(hip.moduleLoad(new BigUint64Array(1), Buffer.from('\x7fELF of a GPU, as long as it likes'))).toBe(209)
  const damaged = Uint8Array.from(image)
  damaged.fill(0, 16, 80)
  expect(hip.moduleLoad(new BigUint64Array(1), damaged)).toBe(303)
  expect(hip.lastMessage()).not.toBe('')
  expect(hip.endCapture(stream, new BigUint64Array(1))).toBe(1)
  const value = new Int32Array(1)
  expect(hip.functionAttribute(value, 0, kernels['add'])).toBe(0)
  expect(value[0]).toBe(1)
  expect(hip.functionAttribute(value, 0, 3n)).toBe(400)
})

test('modules come and go; an unloaded function is no handle any more', async () => {
  const { hip, ok } = host
  for (let i = 1; i <= 20; i++) {
    const text = `extern "C" __global__ void answer(int* out) { out[0] = ${i % 4}; }`
    const loaded = host.load(i <= 4 ? await compileText(text, ['answer']) : await compileAgain(i % 4, text))
    const out = host.upload(new Int32Array(1))
    const answer = host.kernel(loaded, 'answer')
    ok(host.launch(answer, 1, 1, [out]))
    expect(ints(out, 1)).toEqual([i % 4])
    ok(hip.moduleUnload(loaded))
    expect(hip.moduleUnload(loaded)).toBe(400)
    expect(host.launch(answer, 1, 1, [out])).toBe(400)
  }
})
const images = new Map<number, Promise<Uint8Array>>()
const compileAgain = (key: number, text: string) => {
  if (!images.has(key)) images.set(key, compileText(text, ['answer']))
  return images.get(key)!
}

test('a new process finds the compiled library, and compiles it again when the file is damaged', async () => {
  const root = mkdtempSync(join(tmpdir(), 'rocmforge-test-'))
  const lookAgain = async () => {
    vi.resetModules() // what is remembered, a new process would not know
    return (await import('../../../runtime/host/library.ts')).hostLibraryPath({ root })
  }
  try {
    const first = await hostLibraryPath()
    const copy = join(root, 'host', basename(first))
    cpSync(first, copy)
    cpSync(`${first}.sha256`, `${copy}.sha256`)
    const { ino, size } = statSync(copy)
    expect(await lookAgain()).toBe(copy)
    expect(statSync(copy).ino).toBe(ino)
    truncateSync(copy, 1000)
    expect(await lookAgain()).toBe(copy)
    expect(statSync(copy).size).toBe(size)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
