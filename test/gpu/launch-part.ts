// What a launch costs from TypeScript, alone and as a captured step.
import { compile } from '../../src/api/compile.ts'
import { probeBlock, probeModule } from './probe-kernels.ts'
import { median, type Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

export async function launchPart(suite: Suite, device: SuiteDevice, model: string): Promise<void> {
  const { driver } = device
  using module = await probeModule(device)
  using stream = driver.createStream()
  using buffer = driver.alloc(4096)
  using start = driver.createEvent()
  using stop = driver.createEvent()
  const launch = driver.prepareLaunch({
    fn: module.kernel('scale'),
    grid: [1],
    block: [probeBlock(device)],
    args: [
      { kind: 'pointer', address: buffer.address },
      { kind: 'pointer', address: buffer.address },
      { kind: 'f32', value: 1 },
      { kind: 'i32', value: 16 },
      { kind: 'u32', value: 0 },
      { kind: 'u64', value: 0 },
    ],
    label: 'scale',
  })
  const bursts: number[] = []
  const throughput: number[] = []
  for (let round = 0; round < 40; round++) {
    const burst = 200 // fits into the queue: the call alone is timed, not a full queue
    start.record(stream)
    const begin = performance.now()
    for (let i = 0; i < burst; i++) launch.enqueue(stream)
    const called = performance.now()
    stop.record(stream)
    stream.synchronize()
    if (round < 10) continue // compiled code, warm clocks
    bursts.push(((called - begin) * 1e3) / burst)
    throughput.push((stop.millisecondsSince(start) * 1e3) / burst)
  }
  suite.figure({
    name: 'enqueueing a launch of six arguments from TypeScript',
    value: median(bursts),
    unit: 'µs',
    target: { most: 5 },
    note: `on the device one follows the other every ${median(throughput).toFixed(2)} µs`,
  })
  if (!driver.supportsGraphs) return
  const empty: number[] = []
  using graph = stream.capture(() => {
    for (let i = 0; i < 250; i++) launch.enqueue(stream)
  })
  const onDevice: number[] = []
  for (let round = 0; round < 30; round++) {
    start.record(stream)
    const begin = performance.now()
    graph.launch(stream)
    empty.push((performance.now() - begin) * 1e3)
    stop.record(stream)
    stream.synchronize()
    onDevice.push((stop.millisecondsSince(start) * 1e3) / 250)
  }
  suite.figure({
    name: 'replaying a captured graph of 250 launches: the call',
    value: median(empty.slice(10)),
    unit: 'µs',
    target: { most: 15 },
    note: `on the device ${median(onDevice.slice(10)).toFixed(2)} µs a node`,
  })
  await replayedStep(suite, device, model)
}

/** The same for a decode step of a real model: graph launches are timed where they enter the library. */
async function replayedStep(suite: Suite, device: SuiteDevice, path: string): Promise<void> {
  await using model = await compile(path, { device })
  const prompt = { tokens: [1, 5, 6, 7] }
  await model.generate(prompt, { maxTokens: 64, ignoreEos: true }).result()
  const { callMs: calls } = await device.launchTimer.steps(async () => {
    await model.generate(prompt, { maxTokens: 200, ignoreEos: true }).result()
  })
  if (calls.length === 0) return suite.note('decode steps are not replayed on this driver')
  suite.figure({
    name: `replaying a decode step of ${model.graph.program().calls.length} launches: the call`,
    value: median(calls) * 1e3,
    unit: 'µs',
    target: { most: 15 },
  })
}
