// The whole driver on the host platform: the same class and calls that a GPU gets, on libhiphost.
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { compileHostKernel } from '../../../runtime/host/compiler.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import type { Calls } from '../../../runtime/platform/calls.ts'
import { openDriver, resolveDevice } from '../../../runtime/platform/devices.ts'
import { Driver, type DriverOptions, type LaunchSpec } from '../../../runtime/platform/driver.ts'
import { LaunchTimer } from '../../../src/bench/launch-timer.ts'
import { failingAllocation } from './failing-calls.ts'

const source = `
extern "C" __global__ void scale(float* y, const float* x, float factor, int n, unsigned offset, unsigned long long big) {
  for (int i = blockIdx.x; i < n; i += gridDim.x) y[i] = x[i] * factor + float(offset) + float(big >> 40);
}
extern "C" __global__ void increment(int* p) { if (blockIdx.x == 0) p[0] += 1; }
`

let library: string
let image: Uint8Array

beforeAll(async () => {
  const { readFileSync } = await import('node:fs')
  const prelude = readFileSync(new URL('../../../hip-templates/prelude/host.h', import.meta.url), 'utf8')
  library = await hostLibraryPath()
  image = await compileHostKernel({
    template: 'test.hip',
    source: `${prelude}\n${source}`,
    kernels: ['scale', 'increment'],
    defines: [],
    mode: 'fast',
  })
})

const drivers: Driver[] = []
function open(options: DriverOptions = {}): Driver {
  const driver = new Driver('host', library, 0, options)
  drivers.push(driver)
  return driver
}
afterEach(() => {
  for (const driver of drivers.splice(0)) driver[Symbol.dispose]()
})

const nothingLive = { device: 0, pinned: 0, module: 0, stream: 0, event: 0, graph: 0 }
const caught = (run: () => unknown): Diagnostic => {
  try {
    run()
  } catch (error) {
    return error as Diagnostic
  }
  throw new Error('nothing was thrown')
}

const text = (driver: Driver, error: Diagnostic): string => error.message.replace(driver.properties.name, 'CPU')

test('the host is found by name and opened', async () => {
  using driver = await openDriver(await resolveDevice('host'))
  expect(driver.platform).toBe('host')
  expect(driver.version.runtime).toBeGreaterThan(0)
  expect(driver.memoryInfo().freeBytes).toBeGreaterThan(0)
  driver.synchronize()
})

describe('memory', () => {
  test('copies there, within and back, and fills', () => {
    const driver = open()
    {
      using a = driver.alloc(1024)
      using b = driver.alloc(1024)
      const data = Float32Array.from({ length: 256 }, (_, i) => i / 3)
      driver.copyToDevice(a.address, data)
      driver.copyOnDevice(b.address, a.address, 1024)
      const back = new Float32Array(256)
      driver.copyToHost(back, b.address)
      expect(back).toEqual(data)
      driver.fill(a.address, 0xab, 16)
      driver.fill32(a.address + 16n, 0xdeadbeef, 4)
      const words = new Uint32Array(8)
      driver.copyToHost(words, a.address)
      expect([...words]).toEqual([...Array(4).fill(0xabababab), ...Array(4).fill(0xdeadbeef)])
      expect(driver.liveAllocations).toBe(2)
    }
    expect(driver.live).toEqual(nothingLive)
  })

  test('copies a window of a larger array, at its own offset', () => {
    const driver = open()
    using buffer = driver.alloc(8)
    const all = Uint8Array.from({ length: 64 }, (_, i) => i)
    driver.copyToDevice(buffer.address, all.subarray(10, 18))
    const back = new Uint8Array(16)
    driver.copyToHost(back.subarray(4, 12), buffer.address)
    expect([...back]).toEqual([0, 0, 0, 0, 10, 11, 12, 13, 14, 15, 16, 17, 0, 0, 0, 0])
  })

  test('asynchronous copies through pinned memory arrive in stream order', async () => {
    const driver = open()
    using stream = driver.createStream()
    using device = driver.allocAsync(4096, stream)
    using pinned = driver.allocPinned(4096)
    pinned.view.fill(7)
    driver.copyToDevice(device.address, pinned.address, 4096, stream)
    driver.fill(device.address, 9, 2048, stream)
    driver.copyToHost(pinned.address, device.address, 4096, stream)
    await stream.synchronizeAsync()
    expect(pinned.view[0]).toBe(9)
    expect(pinned.view[4095]).toBe(7)
    expect(stream.idle).toBe(true)
  })

  test('is visible without a copy on the host platform', () => {
    const driver = open()
    using buffer = driver.alloc(16)
    driver.viewOf(buffer.address, 16).set([1, 2, 3])
    const back = new Uint8Array(3)
    driver.copyToHost(back, buffer.address)
    expect([...back]).toEqual([1, 2, 3])
  })

  test('empty allocations and copies work', () => {
    const driver = open()
    using buffer = driver.alloc(0)
    driver.copyToDevice(buffer.address, new Uint8Array(0))
    expect(buffer.bytes).toBe(0)
  })

  test('disposing twice frees once; disposing after the driver does nothing', () => {
    const driver = open()
    const buffer = driver.alloc(64)
    const late = driver.alloc(64)
    buffer[Symbol.dispose]()
    buffer[Symbol.dispose]()
    expect(driver.liveAllocations).toBe(1)
    driver[Symbol.dispose]()
    driver[Symbol.dispose]()
    late[Symbol.dispose]()
    expect(driver.liveAllocations).toBe(0)
    expect(caught(() => driver.alloc(1)).code).toBe('driver-closed')
  })
})

describe('launches', () => {
  const prepare = (driver: Driver, spec: Omit<LaunchSpec, 'fn'>, name = 'scale') => {
    const module = driver.loadModule(image)
    return { module, launch: driver.prepareLaunch({ ...spec, fn: module.kernel(name) }) }
  }

  test('passes every kind of argument, and changed ones', () => {
    const driver = open()
    using stream = driver.createStream()
    using x = driver.alloc(4 * 10)
    using y = driver.alloc(4 * 10)
    driver.copyToDevice(
      x.address,
      Float32Array.from({ length: 10 }, (_, i) => i),
    )
    const { module, launch } = prepare(driver, {
      grid: [3],
      block: [1],
      args: [
        { kind: 'pointer', address: y.address },
        { kind: 'pointer', address: x.address },
        { kind: 'f32', value: 0.5 },
        { kind: 'i32', value: 10 },
        { kind: 'u32', value: 4_000_000_000 },
        { kind: 'u64', value: 3n << 40n },
      ],
      label: '%1 scale',
    })
    using _ = module
    const run = () => {
      launch.enqueue(stream)
      stream.synchronize()
      const out = new Float32Array(10)
      driver.copyToHost(out, y.address)
      return [...out]
    }
    expect(run()[0]).toBe(4_000_000_000) // 3 more is below the precision of f32
    launch.setArg(2, 2)
    launch.setArg(4, 1)
    launch.setArg(5, 5 * 2 ** 40)
    launch.setGrid(7)
    expect(run()).toEqual(Array.from({ length: 10 }, (_, i) => 2 * i + 1 + 5))
    launch.setGrid(0)
    launch.setArg(2, 100)
    expect(run()[1]).toBe(8) // an empty grid does nothing
  })

  test('refuses an element count that a kernel cannot hold', () => {
    const { launch } = prepare(open(), {
      grid: [1],
      block: [1],
      args: [{ kind: 'i32', value: 2 ** 31 - 1 }],
      label: '%7 scale',
    })
    expect(caught(() => launch.setArg(0, 2 ** 31)).message).toContain(
      '%7 scale would run over 2147483648 elements at once, kernels count up to 2147483647',
    )
  })

  test('a captured graph replays its launches with the arguments it was captured with', () => {
    const driver = open()
    expect(driver.supportsGraphs).toBe(true)
    using stream = driver.createStream()
    using counter = driver.alloc(4)
    driver.fill32(counter.address, 0, 1)
    const { module, launch } = prepare(
      driver,
      { grid: [2], block: [1], args: [{ kind: 'pointer', address: counter.address }], label: '%2 increment' },
      'increment',
    )
    using _ = module
    const value = () => {
      stream.synchronize()
      const out = new Int32Array(1)
      driver.copyToHost(out, counter.address)
      return out[0]
    }
    using graph = stream.capture(() => {
      for (let i = 0; i < 5; i++) launch.enqueue(stream)
    })
    expect(value()).toBe(0)
    for (let i = 0; i < 3; i++) graph.launch(stream)
    expect(value()).toBe(15)
  })

  test('an allocation inside a capture is refused and the stream stays usable', () => {
    const driver = open()
    using stream = driver.createStream()
    expect(caught(() => stream.capture(() => driver.alloc(64))).code).toBe('device-call')
    using graph = stream.capture(() => {})
    graph.launch(stream)
    stream.synchronize()
    expect(driver.live).toEqual({ ...nothingLive, stream: 1, graph: 1 })
  })

  test('events time the work between them', async () => {
    const driver = open()
    using stream = driver.createStream()
    using start = driver.createEvent()
    using stop = driver.createEvent()
    start.record(stream)
    stop.record(stream)
    await stop.synchronizeAsync()
    stop.synchronize()
    expect(stop.reached).toBe(true)
    expect(stop.millisecondsSince(start)).toBeGreaterThanOrEqual(0)
  })

  test('kernels report attributes and occupancy', () => {
    const driver = open()
    using module = driver.loadModule(image)
    const kernel = module.kernel('scale')
    expect(kernel.attributes?.maxThreadsPerBlock).toBeGreaterThan(0)
    expect(kernel.maxBlocksPerUnit(1, 0)).toBeGreaterThan(0)
  })
})

describe('failures', () => {
  test('name call, code, string and operation', () => {
    const driver = open()
    using module = driver.loadModule(image)
    const error = caught(() => driver.during('%7 (blk.0.attn_norm) rms_norm', () => module.kernel('missing')))
    expect(text(driver, error)).toMatchInlineSnapshot(`
      "error[device-call]: hipModuleGetFunction failed with hipErrorNotFound (500): the module has no such kernel
        at     %7 (blk.0.attn_norm) rms_norm
        device CPU (host:0)
        kernel missing"
    `)
    expect(caught(() => module.kernel('missing')).facts[0]?.[0]).toBe('device')
  })

  test('of a launch name the kernel and its shape', () => {
    const driver = open()
    using stream = driver.createStream()
    using module = driver.loadModule(image)
    const launch = driver.prepareLaunch({
      fn: module.kernel('increment'),
      grid: [1],
      block: [100_000],
      args: [{ kind: 'pointer', address: 0n }],
      label: '%9 (blk.1.ffn) swiglu',
    })
    expect(
      text(
        driver,
        caught(() => launch.enqueue(stream)),
      ),
    ).toMatchInlineSnapshot(`
      "error[device-call]: hipModuleLaunchKernel failed with hipErrorInvalidConfiguration (9): the launch does not fit the kernel's block size
        at     %9 (blk.1.ffn) swiglu
        device CPU (host:0)
        kernel increment
        launch grid 1×1×1, block 100000×1×1
        reason kernel increment runs blocks of at most 1 threads"
    `)
  })

  test('a fault names the launch before it, and releasing afterwards stays silent', () => {
    const wrapCalls = (calls: Calls): Calls => ({
      ...calls,
      streamSynchronize: () => 700,
      streamDestroy: (stream) => (calls.streamDestroy(stream) === 0 ? 700 : 1),
    })
    const driver = open({ wrapCalls })
    using module = driver.loadModule(image)
    using counter = driver.alloc(4)
    const stream = driver.createStream()
    const args = [{ kind: 'pointer', address: counter.address }] as const
    driver
      .prepareLaunch({ fn: module.kernel('increment'), grid: [1], block: [1], args, label: '%44 wild' })
      .enqueue(stream)
    const error = caught(() => stream.synchronize())
    expect(error.facts[0]).toEqual(['after', '%44 wild (the last launch enqueued)'])
    expect(error.help).toContain('outside its buffers')
    expect(() => stream[Symbol.dispose]()).not.toThrow()
  })

  test('a launch that may start early does so where the runtime can, and the timer of launches sees it', async () => {
    const early: string[] = []
    const timer = new LaunchTimer()
    const wrapCalls = (calls: Calls): Calls =>
      timer.wrap({
        ...calls,
        launchEarly: (fn, x, y, z, bx, by, bz, ldsBytes, stream, params) => {
          early.push(`${x} ${y} ${z} ${bx} ${by} ${bz} ${ldsBytes}`)
          return calls.launch(fn, x, y, z, bx, by, bz, ldsBytes, stream, params, null)
        },
      })
    const driver = open({ wrapCalls })
    using module = driver.loadModule(image)
    using counter = driver.alloc(4)
    driver.fill(counter.address, 0, 4)
    using stream = driver.createStream()
    const args = [{ kind: 'pointer', address: counter.address }] as const
    const spec = { fn: module.kernel('increment'), grid: [3], block: [1], args, label: 'increment' }
    const spans = await timer.launches(async () => {
      driver.prepareLaunch({ ...spec, early: true }).enqueue(stream)
      driver.prepareLaunch(spec).enqueue(stream)
      await stream.synchronizeAsync()
    })
    const result = new Int32Array(1)
    driver.copyToHost(result, counter.address, 4)
    expect([result[0], early]).toEqual([2, ['3 1 1 1 1 1 0']])
    expect(spans.map(({ kernel, blocks, threads }) => [kernel, blocks, threads])).toEqual([
      ['increment', 3, 1],
      ['increment', 3, 1],
    ])
    timer[Symbol.dispose]()
  })

  test("a GPU's code object is refused", () => {
    const driver = open()
    const error = caught(() => driver.loadModule(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, ...Array(60).fill(0)])))
    expect(error.message).toContain('hipErrorNoBinaryForGpu (209)')
    expect(error.help).toContain('another target')
  })

  test('of allocation k, for every k, leave nothing behind', () => {
    const work = (driver: Driver) => {
      using stream = driver.createStream()
      using _a = driver.alloc(100)
      using _b = driver.allocPinned(100)
      using _c = driver.allocAsync(100, stream)
      using _d = driver.alloc(2 ** 32)
    }
    for (let k = 0; k < 4; k++) {
      const driver = open({ wrapCalls: failingAllocation(k) })
      const error = caught(() => work(driver))
      expect(error.code).toBe('out-of-memory')
      expect(error.facts.map(([label]) => label)).toEqual(['device', 'asked', 'free'])
      expect(driver.live).toEqual(nothingLive)
    }
  })
})
