// The driver on the device: memory, copies, streams, events, graph capture, errors, and that nothing stays allocated.
import assert from 'node:assert/strict'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { openDriver } from '../../runtime/platform/devices.ts'
import type { Driver } from '../../runtime/platform/driver.ts'
import { failingAllocation } from '../runtime/platform/failing-calls.ts'
import { probeBlock, probeModule } from './probe-kernels.ts'
import type { Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

const caught = (run: () => unknown): Diagnostic => {
  try {
    run()
  } catch (error) {
    if (error instanceof Diagnostic) return error
    throw error
  }
  return assert.fail('nothing was thrown')
}

export async function driverPart(suite: Suite, device: SuiteDevice): Promise<void> {
  const { driver } = device
  const before = { ...driver.live }
  await properties(suite, device)
  await memory(suite, driver)
  await launches(suite, device)
  await failures(suite, device)
  await suite.check('every handle was released', () => assert.deepEqual(driver.live, before))
}

async function properties(suite: Suite, { driver, target }: SuiteDevice): Promise<void> {
  await suite.check('properties are plausible and agree with the table of targets', () => {
    const { properties } = driver
    assert.ok(properties.name.length > 0)
    if (driver.platform !== 'host') {
      assert.equal(properties.wave, target.wave)
      assert.ok(properties.ldsBytesPerBlock >= target.ldsBytes, `LDS: ${properties.ldsBytesPerBlock}`)
      assert.ok(properties.maxThreadsPerBlock >= target.maxBlock)
      assert.match(properties.uuid ?? '', /^GPU-/)
      assert.match(properties.pciBusId ?? '', /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/)
    }
    assert.ok(properties.computeUnits > 0 && properties.clockKHz >= 0 && properties.memoryBytes > 2 ** 28)
    const { freeBytes, totalBytes } = driver.memoryInfo()
    assert.ok(freeBytes > 0 && freeBytes <= totalBytes)
  })
}

async function memory(suite: Suite, driver: Driver): Promise<void> {
  await suite.check('copies there, within and back, and fills', () => {
    using a = driver.alloc(1024)
    using b = driver.alloc(1024)
    const data = Float32Array.from({ length: 256 }, (_, i) => i / 3)
    driver.copyToDevice(a.address, data)
    driver.copyOnDevice(b.address, a.address, 1024)
    driver.synchronize()
    const back = new Float32Array(256)
    driver.copyToHost(back, b.address)
    assert.deepEqual(back, data)
    driver.fill(a.address, 0xab, 16)
    driver.fill32(a.address + 16n, 0xdeadbeef, 4)
    driver.synchronize()
    const words = new Uint32Array(8)
    driver.copyToHost(words, a.address)
    assert.deepEqual([...words], [...Array(4).fill(0xabababab), ...Array(4).fill(0xdeadbeef)])
  })
  await suite.check('a window of a larger array is copied at its own offset', () => {
    using buffer = driver.alloc(8)
    const all = Uint8Array.from({ length: 64 }, (_, i) => i)
    driver.copyToDevice(buffer.address, all.subarray(10, 18))
    const back = new Uint8Array(16)
    driver.copyToHost(back.subarray(4, 12), buffer.address)
    assert.deepEqual([...back], [0, 0, 0, 0, 10, 11, 12, 13, 14, 15, 16, 17, 0, 0, 0, 0])
  })
  await suite.check('asynchronous copies through pinned memory arrive in stream order', async () => {
    using stream = driver.createStream()
    using onDevice = driver.allocAsync(4096, stream)
    using pinned = driver.allocPinned(4096)
    pinned.view.fill(7)
    driver.copyToDevice(onDevice.address, pinned.address, 4096, stream)
    driver.fill(onDevice.address, 9, 2048, stream)
    driver.copyToHost(pinned.address, onDevice.address, 4096, stream)
    await stream.synchronizeAsync()
    assert.deepEqual([pinned.view[0], pinned.view[2047], pinned.view[2048], pinned.view[4095]], [9, 9, 7, 7])
    assert.ok(stream.idle)
  })
  await suite.check('4 GiB and an odd number of bytes are allocated, written at the end and freed', () => {
    if (driver.memoryInfo().freeBytes < 2 ** 33) return
    using large = driver.alloc(2 ** 32 + 3)
    driver.fill(large.address + 2n ** 32n, 0x5a, 3)
    driver.synchronize()
    const back = new Uint8Array(3)
    driver.copyToHost(back, large.address + 2n ** 32n)
    assert.deepEqual([...back], [0x5a, 0x5a, 0x5a])
  })
  await suite.check('empty allocations and copies work; disposing twice frees once', () => {
    const live = driver.liveAllocations
    const buffer = driver.alloc(0)
    driver.copyToDevice(buffer.address, new Uint8Array(0))
    buffer[Symbol.dispose]()
    buffer[Symbol.dispose]()
    assert.equal(driver.liveAllocations, live)
  })
}

async function launches(suite: Suite, device: SuiteDevice): Promise<void> {
  const { driver } = device
  using module = await probeModule(device)
  using stream = driver.createStream()
  const block = [probeBlock(device)]
  await suite.check('a launch passes every kind of argument, and changed ones', () => {
    const n = 1000
    using x = driver.alloc(4 * n)
    using y = driver.alloc(4 * n)
    driver.copyToDevice(
      x.address,
      Float32Array.from({ length: n }, (_, i) => i),
    )
    const launch = driver.prepareLaunch({
      fn: module.kernel('scale'),
      grid: [3],
      block,
      args: [
        { kind: 'pointer', address: y.address },
        { kind: 'pointer', address: x.address },
        { kind: 'f32', value: 0.5 },
        { kind: 'i32', value: n },
        { kind: 'u32', value: 4_000_000_000 },
        { kind: 'u64', value: 3n << 40n },
      ],
      label: '%1 scale',
    })
    const run = (): Float32Array => {
      launch.enqueue(stream)
      stream.synchronize()
      const out = new Float32Array(n)
      driver.copyToHost(out, y.address)
      return out
    }
    assert.equal(run()[0], 4_000_000_000)
    launch.setArg(2, 2)
    launch.setArg(4, 1)
    launch.setArg(5, 5 * 2 ** 40)
    launch.setGrid(7)
    assert.deepEqual(
      run(),
      Float32Array.from({ length: n }, (_, i) => 2 * i + 6),
    )
    launch.setGrid(0)
    launch.setArg(2, 100)
    assert.equal(run()[1], 8) // an empty grid does nothing
  })
  await suite.check('events order and time work, on one stream and between two', async () => {
    using counter = driver.alloc(4)
    driver.fill32(counter.address, 0, 1)
    driver.synchronize()
    using other = driver.createStream()
    using start = driver.createEvent()
    using stop = driver.createEvent()
    using ready = driver.createEvent({ timing: false })
    const launch = increment(device, module, counter.address)
    start.record(stream)
    for (let i = 0; i < 100; i++) launch.enqueue(stream)
    stop.record(stream)
    ready.record(stream)
    other.waitFor(ready)
    for (let i = 0; i < 100; i++) launch.enqueue(other)
    await stop.synchronizeAsync()
    assert.ok(stop.reached && stop.millisecondsSince(start) > 0)
    await other.synchronizeAsync()
    assert.equal(read32(driver, counter.address), 200)
  })
  await suite.check('a captured graph replays its launches', () => {
    if (!driver.supportsGraphs) return suite.skip('graph capture', 'the driver has no graphs')
    using counter = driver.alloc(4)
    driver.fill32(counter.address, 0, 1)
    driver.synchronize()
    const launch = increment(device, module, counter.address)
    using graph = stream.capture(() => {
      for (let i = 0; i < 5; i++) launch.enqueue(stream)
    })
    stream.synchronize()
    assert.equal(read32(driver, counter.address), 0)
    for (let i = 0; i < 3; i++) graph.launch(stream)
    stream.synchronize()
    assert.equal(read32(driver, counter.address), 15)
  })
  await suite.check('kernels report attributes and occupancy', () => {
    const kernel = module.kernel('scale')
    assert.ok(kernel.attributes!.maxThreadsPerBlock > 0)
    assert.ok(kernel.maxBlocksPerUnit(block[0]!, 0)! > 0)
    if (driver.platform !== 'host') assert.ok(kernel.attributes!.registers > 0)
  })
}

const increment = (
  { driver, ...device }: SuiteDevice,
  module: Awaited<ReturnType<typeof probeModule>>,
  address: bigint,
) =>
  driver.prepareLaunch({
    fn: module.kernel('increment'),
    grid: [2],
    block: [probeBlock({ driver, ...device } as SuiteDevice)],
    args: [{ kind: 'pointer', address }],
    label: '%2 increment',
  })

function read32(driver: Driver, address: bigint): number {
  const out = new Int32Array(1)
  driver.copyToHost(out, address)
  return out[0]!
}

async function failures(suite: Suite, device: SuiteDevice): Promise<void> {
  const { driver } = device
  using module = await probeModule(device)
  await suite.check('a missing kernel is named with call, code and operation', () => {
    const error = caught(() => driver.during('%7 (blk.0.attn_norm) rms_norm', () => module.kernel('missing')))
    assert.equal(error.code, 'device-call')
    assert.match(error.message, /ModuleGetFunction failed with \w+ \(500\)/)
    assert.match(error.message, /at +%7 \(blk\.0\.attn_norm\) rms_norm/)
  })
  await suite.check('a launch that cannot be is named with its kernel and shape; the stream stays usable', () => {
    using stream = driver.createStream()
    using counter = driver.alloc(4)
    driver.fill32(counter.address, 0, 1)
    driver.synchronize()
    const bad = driver.prepareLaunch({
      fn: module.kernel('increment'),
      grid: [1],
      block: [100_000],
      args: [{ kind: 'pointer', address: counter.address }],
      label: '%9 (blk.1.ffn) swiglu',
    })
    const error = caught(() => bad.enqueue(stream))
    assert.match(error.message, /%9 \(blk\.1\.ffn\) swiglu/)
    assert.match(error.message, /grid 1×1×1, block 100000×1×1/)
    increment(device, module, counter.address).enqueue(stream)
    stream.synchronize()
    assert.equal(read32(driver, counter.address), 1)
  })
  await suite.check('code that is none is refused', () => {
    assert.equal(
      caught(() => driver.loadModule(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]))).code,
      'device-call',
    )
  })
  await suite.check('more memory than there is gives one error with what is free', () => {
    const error = caught(() => driver.alloc(2 ** 50))
    assert.equal(error.code, 'out-of-memory')
    assert.match(error.message, /free/)
  })
  await suite.check('an allocation that fails, at every place, leaves nothing behind', async () => {
    for (let k = 0; k < 4; k++) {
      using other = await openDriver(device.report, { wrapCalls: failingAllocation(k) })
      const error = caught(() => {
        using stream = other.createStream()
        using _a = other.alloc(100)
        using _b = other.allocPinned(100)
        using _c = other.allocAsync(100, stream)
        using _d = other.alloc(2 ** 20)
      })
      assert.equal(error.code, 'out-of-memory')
      assert.deepEqual(other.live, { device: 0, pinned: 0, module: 0, stream: 0, event: 0, graph: 0 })
    }
  })
}
