// From the start of a process to its first token, and how fast weights are read beside a plain read of the same file:
// checkpoints of random weights in a known shape are written once, then `rocmforge run` loads them in processes of their own.
//
//   npm run bench -- cold-start [--device nvidia] [--shape 1B] [--formats gguf,safetensors] [--rounds 5] [--prompt 128]
//                               [--scratch FOLDER] [--disk] [--json] [-- options of rocmforge run]
//
// Where scripts/gpu-pack.mjs was unpacked: node dist/cold-start.js
//
// The first round of a format fills the kernel cache and is reported apart. --disk empties the page cache of the whole
// machine (root, Linux) for one more round, which starts without the file in memory. Times are ms from the start of the process.
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../ir/package-root.ts'
import { randomGguf, randomModel, type ShapeName, shapes } from '../test/gpu/random-model.ts'

const { values: options, positionals: runOptions } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    shape: { type: 'string', default: '1B' },
    formats: { type: 'string', default: 'gguf,safetensors' },
    rounds: { type: 'string', default: '5' },
    prompt: { type: 'string', default: '128' },
    scratch: { type: 'string', default: join(tmpdir(), 'rocmforge-bench') },
    disk: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})
if (!(options.shape in shapes)) throw new Error(`--shape: one of ${Object.keys(shapes).join(', ')}`)
const shape = options.shape as ShapeName
const scratch = options.scratch
mkdirSync(scratch, { recursive: true })

/** When a process reached its stages, ms from its start. */
interface Start {
  readonly [stage: string]: number
}

interface FormatResult {
  readonly format: string
  readonly bytes: number
  /** GB/s of a plain read: one thread, and as many as cores up to 8 */
  readonly plainRead: { readonly one: number; readonly many: number; readonly disk?: number }
  /** GB/s at which weights arrived on the device, median */
  readonly weights: number
  readonly emptyCache: Start
  readonly rounds: readonly Start[]
  readonly median: Start
  readonly disk?: Start
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** A process of its own; `cache` is its kernel cache. */
function start(model: string, cache: string): Promise<Start> {
  const began = performance.now()
  const prompt = 'x'.repeat(Number(options.prompt) - 1) // a byte a token, behind the one that begins a text
  const words = ['run', model, '-p', prompt, '-n', '1', '--ignore-eos', '--json', '--device', options.device]
  const child = spawn(process.execPath, [join(packageRoot(), 'dist/cli.js'), ...words, ...runOptions], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ROCMFORGE_CACHE_DIR: cache },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`rocmforge run ended with ${code}`))
      const { timings } = JSON.parse(output)
      const { reachedMs: reached, weightsMs, firstTokenMs: first } = timings
      resolve({ ...reached, 'first token': first, end: performance.now() - began, 'weights alone': weightsMs })
    })
  })
}

/** GB/s of reading a whole file by several threads, each its share, into memory that is used again. */
async function plainRead(file: string, threads: number): Promise<number> {
  const { size } = statSync(file)
  const program = `
    const { parentPort, workerData: { file, from, to } } = require('node:worker_threads')
    const { openSync, readSync } = require('node:fs')
    const fd = openSync(file, 'r')
    const piece = new Uint8Array(8 << 20).fill(1)
    parentPort.once('message', () => {
      for (let at = from; at < to; ) at += readSync(fd, piece, 0, Math.min(piece.length, to - at), at)
      parentPort.postMessage('read')
    })
    parentPort.postMessage('ready')`
  const { Worker } = await import('node:worker_threads')
  const share = Math.ceil(size / threads)
  const workers = Array.from({ length: threads }, (_, i) => {
    const workerData = { file, from: i * share, to: Math.min(size, (i + 1) * share) }
    return new Worker(program, { eval: true, workerData })
  })
  const all = () =>
    Promise.all(workers.map((worker) => new Promise<void>((resolve) => worker.once('message', () => resolve()))))
  await all()
  const began = performance.now()
  const read = all()
  for (const worker of workers) worker.postMessage('go')
  await read
  const gb = size / 1e9 / ((performance.now() - began) / 1e3)
  await Promise.all(workers.map((worker) => worker.terminate()))
  return gb
}

const dropPageCache = (): void => writeFileSync('/proc/sys/vm/drop_caches', '1')

/** Everything else of a start from `disk` is in memory: our own program, Node and the driver's libraries. */
function readOtherFiles(): void {
  const maps = existsSync('/proc/self/maps') ? readFileSync('/proc/self/maps', 'utf8') : ''
  const files = new Set([process.execPath, ...(maps.match(/\/\S+\.so\S*$/gm) ?? [])])
  const piece = new Uint8Array(1 << 20)
  for (const file of files) {
    const fd = openSync(file, 'r')
    while (readSync(fd, piece) > 0);
    closeSync(fd)
  }
}

async function measure(format: 'gguf' | 'safetensors'): Promise<FormatResult> {
  const model = format === 'gguf' ? randomGguf(scratch, shape, 'BF16') : randomModel(scratch, shape)
  const file = format === 'gguf' ? model : join(model, 'model.safetensors')
  const { size } = statSync(file)
  const cache = join(scratch, 'cold-start-cache')
  await plainRead(file, 1)
  const plain = { one: await plainRead(file, 1), many: await plainRead(file, Math.min(8, availableParallelism())) }
  const emptyCache = await start(model, cache)
  const rounds: Start[] = []
  for (let round = 0; round < Number(options.rounds); round++) rounds.push(await start(model, cache))
  const stages = Object.keys(rounds[0]!)
  const middle: Start = Object.fromEntries(stages.map((stage) => [stage, median(rounds.map((one) => one[stage]!))]))
  let fromDisk: { disk: number; start: Start } | undefined
  if (options.disk) {
    dropPageCache()
    const disk = await plainRead(file, 1)
    dropPageCache()
    readOtherFiles()
    fromDisk = { disk, start: await start(model, cache) }
  }
  return {
    format,
    bytes: size,
    plainRead: { ...plain, ...(fromDisk ? { disk: fromDisk.disk } : {}) },
    weights: size / 1e6 / middle['weights alone']!,
    emptyCache,
    rounds,
    median: middle,
    ...(fromDisk ? { disk: fromDisk.start } : {}),
  }
}

for (const format of options.formats.split(',')) {
  const result = await measure(format as 'gguf' | 'safetensors')
  if (options.json) console.log(JSON.stringify(result))
  else {
    const { plainRead: plain, weights, bytes } = result
    const gb = (value?: number) => (value === undefined ? '–' : value.toFixed(1))
    console.log(
      `\n${shape} bf16, ${format}, ${(bytes / 1e9).toFixed(2)} GB: weights at ${gb(weights)} GB/s; plain read by one thread ${gb(plain.one)}, by several ${gb(plain.many)}, from disk ${gb(plain.disk)}`,
    )
    const rows = { 'empty cache': result.emptyCache, median: result.median, disk: result.disk }
    console.table(
      Object.fromEntries(
        Object.entries(rows).flatMap(([name, row]) =>
          row ? [[name, Object.fromEntries(Object.entries(row).map(([stage, ms]) => [stage, Math.round(ms)]))]] : [],
        ),
      ),
    )
  }
}
