// A benchmark's result for people: a few lines and tables.
import type { BenchResult, DecodeResult, LoadResult, StageTime, StepProfile } from './result.ts'

/** Lines in, columns out; the command line has one. */
type TableOf = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) => string

const digits = (value: number): string =>
  !Number.isFinite(value)
    ? '–'
    : value >= 1000
      ? value.toFixed(0)
      : value >= 10
        ? value.toFixed(1)
        : value >= 0.1
          ? value.toFixed(2)
          : value.toFixed(3)
const gb = (bytes: number): string =>
  bytes >= 1e8 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
const billions = (count: number): string =>
  count >= 1e8 ? `${(count / 1e9).toFixed(2)} billion` : `${(count / 1e6).toFixed(2)} million`

const barWidth = 24
/** ``███▌ `` */
export function barOf(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * barWidth * 8)
  return '█'.repeat(eighths >> 3) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths & 7]!
}

/** `kernels`: a table of every step's kernels too. */
export function benchReport(result: BenchResult, table: TableOf, { kernels = false } = {}): string {
  const { device, model, readBandwidth: read, skipped, notes, interrupted } = result
  const parts = [
    [
      `device   ${device.id}: ${device.name} (${device.target})`,
      `model    ${model.path}: ${billions(model.parameters)} parameters, ${gb(model.weightBytes)}`,
      ...(read ? [`memory   ${digits(read.gbPerSecond)} GB/s by a plain read of ${gb(read.bytes)}`] : []),
      ...result.loads.map((load) => `load     ${loadText(load, result)}`),
      ...notes.map((note) => `note     ${note}`),
    ].join('\n'),
  ]
  if (result.prefill.length > 0) parts.push(`prefill\n${prefillTable(result, table)}`)
  if (result.decode.length > 0) parts.push(`decode\n${decodeTable(result.decode, table)}`)
  if (kernels) {
    for (const { profile, context, batch } of result.decode)
      if (profile)
        parts.push(profileText(`decode, context ${context}, batch ${batch}`, profile, read?.gbPerSecond, table))
    for (const { profile, tokens } of result.prefill)
      if (profile) parts.push(profileText(`prefill of ${tokens} tokens`, profile, read?.gbPerSecond, table))
  }
  if (skipped.length > 0)
    parts.push(
      skipped.map(({ context, batch, reason }) => `left out: context ${context}, batch ${batch}: ${reason}`).join('\n'),
    )
  if (interrupted) parts.push('interrupted: the rest was not measured')
  return parts.join('\n\n')
}

function loadText({ batch, context, ms, kernels, weights, memory }: LoadResult, result: BenchResult): string {
  const compiled = kernels.total - kernels.fromCache
  const file = result.plainFileRead
  const beside = file ? `; a plain read of the file ${digits(file.gbPerSecond)} GB/s` : ''
  return [
    `batch ${batch}, ${context} tokens of cache each: ${digits(ms / 1e3)} s`,
    `${kernels.total} kernels (${compiled} compiled, ${digits(kernels.ms / 1e3)} s)`,
    `weights ${gb(weights.bytes)} in ${digits(weights.ms / 1e3)} s (${digits(weights.gbPerSecond)} GB/s${beside})`,
    `memory ${gb(memory.peak)} at most, planned ${gb(memory.planned)}`,
  ].join(', ')
}

const prefillTable = ({ prefill }: BenchResult, table: TableOf): string =>
  table(
    ['tokens', 'tokens/s', 'ms', 'least … most', 'TFLOP/s', 'in kernels'],
    prefill.map(({ tokens, tokensPerSecond: rate, ms, tflops, profile }) => [
      tokens,
      digits(rate),
      digits(ms.median),
      `${digits(ms.min)} … ${digits(ms.max)}`,
      digits(tflops),
      profile ? `${digits(profile.kernelsMs)} ms` : '–',
    ]),
  )

const decodeTable = (decode: readonly DecodeResult[], table: TableOf): string =>
  table(
    [
      'context',
      'batch',
      'tokens/s',
      'a request',
      'ms a step',
      'least … most',
      'on device',
      'p99',
      'bytes read',
      'MBU',
      'kernels',
      'gaps',
      'Node',
    ],
    decode.map((one) => [
      one.context,
      one.batch,
      digits(one.tokensPerSecond),
      digits(one.tokensPerSecondPerRequest),
      digits(one.ms.median),
      `${digits(one.ms.min)} … ${digits(one.ms.max)}`,
      one.deviceMs ? digits(one.deviceMs.median) : '–',
      digits(one.deviceMs?.p99 ?? one.arrivalP99Ms),
      gb(one.bytes.weights + one.bytes.kv),
      percent(one.mbu),
      one.profile ? digits(one.profile.kernelsMs) : '–',
      one.profile ? digits(one.profile.gapsMs) : '–',
      one.hostMs === null ? '–' : `${digits(one.hostMs * 1e3)} µs`,
    ]),
  )

function profileText(title: string, profile: StepProfile, readGBs: number | undefined, table: TableOf): string {
  const { kernels, kernelsMs: total, gapsMs: gaps } = profile
  const rows = kernels.map(({ kernel, part, blocks, threads, launches, ms, gbPerSecond: rate }) => [
    kernel,
    part,
    `${blocks} × ${threads}`,
    launches,
    digits((ms * 1e3) / launches),
    digits(ms),
    rate === null ? '–' : digits(rate),
    rate === null || !readGBs ? '–' : percent(rate / readGBs),
    barOf(ms / total),
  ])
  const head = ['kernel', 'part', 'blocks × threads', 'launches', 'µs each', 'ms', 'GB/s', 'of read', 'time']
  const kernelText = `${title}: ${digits(total)} ms in kernels, ${digits(gaps)} ms in gaps\n${table(head, rows)}`
  return profile.stages ? `${kernelText}\n\n${stagesText(title, profile.stages, table)}` : kernelText
}

function stagesText(title: string, stages: readonly StageTime[], table: TableOf): string {
  const total = (value: (one: StageTime) => number) => stages.reduce((sum, one) => sum + value(one), 0)
  const work = total((one) => one.stages * one.slowestUs)
  const barriers = total((one) => one.barriers * (one.barrierUs ?? 0))
  const rows = stages.map((one) => [
    one.kernel,
    one.part,
    one.stages,
    digits(one.slowestUs),
    digits(one.meanUs),
    digits(one.waitingUs),
    one.barrierUs === null ? '–' : digits(one.barrierUs),
    barOf((one.stages * one.slowestUs + one.barriers * (one.barrierUs ?? 0)) / (work + barriers)),
  ])
  const head = ['stage', 'part', 'stages', 'µs, slowest block', 'a block', 'its wait', 'barrier', 'time']
  return `${title}, stages: ${digits(work / 1e3)} ms of work, ${digits(barriers / 1e3)} ms in barriers\n${table(head, rows)}`
}
