// The GPU suite: every kernel, both story models, random graphs, and the figures, on one device; the same for AMD, NVIDIA
// and the host. Parts run one after the other; a report comes out whatever fails.
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../ir/package-root.ts'
import { selectToolchain } from '../../runtime/compile/toolchains.ts'
import { compilePart } from './compile-part.ts'
import { driverPart } from './driver-part.ts'
import { kernelsPart } from './kernels-part.ts'
import { launchPart } from './launch-part.ts'
import { firstTokenPart, modelsPart } from './models-part.ts'
import { randomGraphsPart } from './random-graphs-part.ts'
import type { ShapeName } from './random-model.ts'
import { machineFacts, renderReport } from './report.ts'
import { storiesPart } from './stories-part.ts'
import { Suite } from './suite.ts'
import { openSuiteDevice } from './suite-device.ts'
import { sweepModels, sweepPart } from './sweep-part.ts'

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    scratch: { type: 'string' },
    shapes: { type: 'string' },
    sweep: { type: 'string' },
    variants: { type: 'string', default: '200' },
  },
})

const { quick } = values
const started = performance.now()
const scratch = resolve(values.scratch ?? join(tmpdir(), 'rocmforge-gpu-scratch'))
mkdirSync(scratch, { recursive: true })
const device = await openSuiteDevice(values.device)
const onGpu = device.driver.platform !== 'host'
const shapes = (values.shapes?.split(',') ?? (quick || !onGpu ? ['tiny'] : ['1B', '8B'])) as ShapeName[]
const large = shapes.at(-1)!
console.log(`${device.name} (${device.id}), scratch files in ${scratch}`)

const suite = new Suite()
const sizes = quick ? { context: 16, tokens: 16, prefill: 64 } : { context: 128, tokens: 100, prefill: 512 }
const parts: Record<string, readonly [title: string, run: () => Promise<void>]> = {
  driver: ['The driver', () => driverPart(suite, device)],
  kernels: ['Kernels against references', () => kernelsPart(suite, device, quick)],
  stories: ['Story models', () => storiesPart(suite, device, { scratch, quick })],
  graphs: ['Random graphs', () => randomGraphsPart(suite, device, quick ? 10 : 200)],
  launches: ['Launches', () => launchPart(suite, device, join(packageRoot(), 'models/story-15m'))],
  compile: [
    'Compiling and the kernel cache',
    () => compilePart(suite, device, scratch, quick ? large : onGpu ? '8B' : large),
  ],
  models: ['Models of random weights', () => modelsPart(suite, device, { scratch, shapes, ...sizes })],
  start: ['From process start to the first token', () => firstTokenPart(suite, device, scratch, large)],
}
const sweep = values.sweep
if (sweep)
  parts['sweep'] = [
    'Settings of decoding matmuls',
    () => sweepPart(suite, device, sweepModels(sweep), Number(values.variants)),
  ]
const wanted = values.only?.split(',') ?? Object.keys(parts)
const unknown = wanted.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length) throw new Error(`no part ${unknown.join(', ')}; parts are ${Object.keys(parts).join(', ')}`)

function write(): void {
  const toolchain = onGpu ? selectToolchain(device.target) : undefined
  const facts = machineFacts(device, {
    command: `npm run test:gpu -- ${process.argv
      .slice(2)
      .filter((word, i, all) => !/^--(out|scratch)$/.test(word) && !/^--(out|scratch)$/.test(all[i - 1] ?? ''))
      .join(' ')}`.trim(),
    seconds: (performance.now() - started) / 1e3,
    compiler: toolchain ? `${toolchain.family} ${toolchain.version}` : 'the system’s C++ compiler',
  })
  const report = renderReport(suite, facts, device.name)
  if (values.out) {
    mkdirSync(values.out, { recursive: true })
    writeFileSync(join(values.out, 'gpu-report.md'), report)
    writeFileSync(join(values.out, 'results.json'), JSON.stringify({ facts, parts: suite.parts }, null, 1))
  } else if (onGpu && !quick && !values.only) writeFileSync(join(packageRoot(), 'docs/gpu-report.md'), report)
}

for (const name of wanted) {
  const [title, run] = parts[name]!
  await suite.part(title, run)
  write() // what there is outlives a run that is ended early
}
device[Symbol.dispose]()
process.exitCode = suite.count('failed') > 0 ? 1 : 0
console.log(`${suite.count('passed')} passed, ${suite.count('failed')} failed, ${suite.count('skipped')} skipped`)
