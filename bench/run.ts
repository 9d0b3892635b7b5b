// npm run bench: how fast the host platform is beside llama.cpp on the same file, machine and threads, and how fast the
// compiler and a first token are. Prints tables; writes everything to bench/results/*.json.
//
//   npm run bench -- [--only host,large,compile,start,tokens] [--rounds N] [--threads N] [--into FILE]
//
// `host` and `large` need the peer: npm install in bench/. Rounds of both sides alternate, so that a busy machine slows
// both; the figures are medians and their ratio.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { packageRoot } from '../ir/package-root.ts'
import { compileTimes, median } from './compile-times.ts'
import { random1b, storyGguf } from './models.ts'
import { type Round, type RoundRequest, Runner } from './protocol.ts'
import { readBandwidth } from './read-bandwidth.ts'
import { tokenTimes } from './tokens.ts'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'host,compile,start' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
    into: { type: 'string', default: join(packageRoot(), 'bench/results/host.json') },
  },
})
const here = dirname(fileURLToPath(import.meta.url))
const threads = Number(options.threads)
const models = join(tmpdir(), 'rocmforge-bench')
const results: Record<string, unknown> = {
  date: new Date().toISOString(),
  cpu: cpus()[0]?.model,
  cpus: cpus().length,
  threads,
  node: process.version,
}

interface Comparison {
  readonly model: string
  /** tokens a second, medians */
  readonly ours: { readonly decode: number; readonly prefill: number }
  readonly peer: { readonly decode: number; readonly prefill: number }
  /** ours / peer, of the medians; and of the best rounds, which a busy machine disturbs less */
  readonly ratio: { readonly decode: number; readonly prefill: number }
  readonly bestRatio: { readonly decode: number; readonly prefill: number }
  /** bytes of weights a second while decoding, and their share of a plain read of as many bytes */
  readonly decodeGBs: number
  readonly readGBs: number
  readonly readShare: number
  readonly rounds: readonly { readonly ours: Round; readonly peer: Round }[]
}

async function compare(file: string, request: RoundRequest, rounds: number): Promise<Comparison> {
  const context = '1024'
  const env = { ROCMFORGE_THREADS: String(threads) }
  using ours = await Runner.start(join(here, 'rocmforge.js'), [file, context], env)
  using peer = await Runner.start(join(here, 'llama-cpp.js'), [file, context, String(threads)])
  const measured: { ours: Round; peer: Round }[] = []
  for (let round = 0; round <= rounds; round++) {
    const both = { ours: await ours.round(request), peer: await peer.round(request) }
    if (round > 0) measured.push(both) // the first one warms up
  }
  const rates = (side: 'ours' | 'peer', typical: (values: readonly number[]) => number) => ({
    decode: request.decode / typical(measured.map((r) => r[side].decodeSeconds)),
    prefill: request.prefill / typical(measured.map((r) => r[side].prefillSeconds)),
  })
  const [mine, theirs] = [rates('ours', median), rates('peer', median)]
  const least = (values: readonly number[]) => Math.min(...values)
  const [myBest, theirBest] = [rates('ours', least), rates('peer', least)]
  const bytes = statSync(file).size
  const readGBs = readBandwidth(bytes, threads)
  const decodeGBs = (mine.decode * bytes) / 1e9
  return {
    model: file.slice(file.lastIndexOf('/') + 1),
    ours: mine,
    peer: theirs,
    ratio: { decode: mine.decode / theirs.decode, prefill: mine.prefill / theirs.prefill },
    bestRatio: { decode: myBest.decode / theirBest.decode, prefill: myBest.prefill / theirBest.prefill },
    decodeGBs,
    readGBs,
    readShare: decodeGBs / readGBs,
    rounds: measured,
  }
}

/** Process start to first token, with an empty kernel cache and with a filled one, seconds. */
function startTimes(): { cold: number; warm: number } {
  const cache = mkdtempSync(join(tmpdir(), 'rocmforge-start-'))
  try {
    const once = () => {
      const cli = join(packageRoot(), 'dist/cli.js')
      const model = join(packageRoot(), 'models/story-3m')
      const start = performance.now()
      const args = [cli, 'run', model, '-p', 'Once upon a time', '-n', '1', '--device', 'host']
      const run = spawnSync(process.execPath, args, { env: { ...process.env, ROCMFORGE_CACHE_DIR: cache } })
      if (run.status !== 0) throw new Error(`${run.stderr}`)
      return (performance.now() - start) / 1e3
    }
    const cold = once()
    return { cold, warm: median([once(), once(), once()]) }
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

const fixed = (value: number, digits = 0): string => value.toFixed(digits)
const show = (title: string, rows: readonly Record<string, string | number>[]): void => {
  console.log(`\n${title}`)
  console.table(rows)
}
const comparisonRow = ({ model, ours, peer, ratio, bestRatio, decodeGBs, readGBs, readShare }: Comparison) => ({
  model,
  'decode tok/s': fixed(ours.decode),
  'llama.cpp': fixed(peer.decode),
  ratio: fixed(ratio.decode, 2),
  best: fixed(bestRatio.decode, 2),
  'prefill tok/s': fixed(ours.prefill),
  'llama.cpp ': fixed(peer.prefill),
  'ratio ': fixed(ratio.prefill, 2),
  'best ': fixed(bestRatio.prefill, 2),
  'GB/s': fixed(decodeGBs, 1),
  'plain read': fixed(readGBs, 1),
  share: `${fixed(readShare * 100)} %`,
})

const hasPeer = existsSync(join(packageRoot(), 'bench/node_modules/node-llama-cpp'))
for (const part of options.only.split(',')) {
  if ((part === 'host' || part === 'large') && !hasPeer) {
    console.log(`${part}: left out, llama.cpp is not there: run npm install in bench/`)
  } else if (part === 'host') {
    const compared: Comparison[] = []
    for (const type of ['F16', 'Q8_0'] as const)
      compared.push(await compare(storyGguf(models, type), { prefill: 256, decode: 128 }, Number(options.rounds)))
    results.host = compared
    show(`story-15m on the host, ${threads} threads, prompt of 256 tokens, 128 decoded`, compared.map(comparisonRow))
  } else if (part === 'large') {
    const compared = [await compare(random1b(models), { prefill: 64, decode: 16 }, Math.min(3, Number(options.rounds)))]
    results.large = compared
    show(`1B parameters on the host, ${threads} threads`, compared.map(comparisonRow))
  } else if (part === 'compile') {
    const times = await compileTimes()
    results.compile = times
    show(
      'passes and program of a decode step, gfx942',
      times.map(({ graphMs, programMs, ...rest }) => ({
        ...rest,
        'graph ms': fixed(graphMs, 1),
        'program ms': fixed(programMs, 1),
      })),
    )
  } else if (part === 'start') {
    const times = startTimes()
    results.start = times
    show('process start to first token, story-3m on the host, seconds', [
      { 'cold cache': fixed(times.cold, 2), 'warm cache': fixed(times.warm, 2) },
    ])
  } else if (part === 'tokens') {
    const times = await tokenTimes()
    results.tokens = times
    show(
      'Node’s own time while decoding: ring to text and back',
      times.map(({ batch, stepUs, tokenUs }) => ({
        batch,
        'µs a step': fixed(stepUs, 1),
        'µs a token': fixed(tokenUs, 1),
      })),
    )
  } else console.log(`${part}: there is no such part; parts are host, large, compile, start, tokens`)
}
mkdirSync(dirname(options.into), { recursive: true })
writeFileSync(options.into, `${JSON.stringify(results, null, 2)}\n`)
console.log(`\nwritten to ${options.into}`)
