// Program → the same program as one launch: its kernels become stages that resident blocks run one after the other. A
// graph of kernels pays for each boundary by starting and emptying the device; here blocks only pass a barrier, and while they wait
// the weights of the next matmul are being prefetched.
import { opNamed } from '../ir/op.ts'
import type { Target } from '../ir/target.ts'
import type { Bindings } from '../ir/type.ts'
import { absent } from './compile.ts'
import { symbolsOf } from './extent.ts'
import type { Defines } from './kernel.ts'
import { isFastHost } from './kernels/block-space.ts'
import type { KernelCall, KernelSource, PersistentStep, Program, StageOfStep } from './program.ts'
import { bodyOf, isOwnTemplate } from './source.ts'
import { hasPrefetch, type StageSource, stageEntries } from './stages.ts'

/** Bytes of a buffer's memory, as far as calls of one program can tell. */
interface Span {
  /** 'arena', or the buffer's own memory */
  readonly memory: string
  readonly from: number
  readonly to: number
}

/**
 * Threads of a step's blocks: on GPUs few large blocks, whose barriers are short; on NVIDIA so few that
 * every stage has the registers it wants, attention on matrix instructions above all. An emulated thread is better spared.
 */
export function stepBlock(target: Target): number {
  if (isFastHost(target)) return 1
  return target.platform === 'host' ? 2 * target.wave : target.platform === 'nvidia' ? 256 : 512
}

/**
 * The program with its calls up to the last that reads weights as one launch, or why it cannot be so. What comes behind,
 * the sampler, keeps launches of its own: its code is large, and would take registers from every stage. Every stage must
 * have been chosen with the same P_BLOCK (`ProgramOptions.block`), and no argument may depend on symbols other than those of
 * `bindings`.
 */
export function persistentProgram(
  program: Program,
  bindings: Bindings,
  { trace = false }: { readonly trace?: boolean } = {},
): Program | string {
  const lastWeights = program.calls.findLastIndex(({ args }) =>
    args.some((arg) => arg.kind === 'buffer' && program.buffers[arg.buffer]?.kind === 'weight'),
  )
  const count = lastWeights < 0 ? program.calls.length : lastWeights + 1
  const [calls, rest] = [program.calls.slice(0, count), program.calls.slice(count)]
  const block = calls[0]?.block
  if (block === undefined) return 'it has no calls'
  const varying = calls.find(({ args }) =>
    args.some((arg) => arg.kind === 'scalar' && symbolsOf(arg.value).some((symbol) => !(symbol in bindings))),
  )
  if (varying) return `${varying.entry} has an argument that changes from step to step`
  const plain = calls.find(({ source, entry }) => !isStage(program.kernels.find(({ id }) => id === source)!, entry))
  if (plain) return `${plain.entry} is written as a launch of its own: begin it with KERNEL void ${plain.entry}(…)`
  const odd = calls.find((call) => call.block !== block)
  if (odd) return `${odd.entry} runs in blocks of ${odd.block}, others of ${block}`

  const used = (some: readonly KernelCall[]) =>
    program.kernels.flatMap((source) => {
      const entries = source.entries.filter((entry) =>
        some.some((call) => call.source === source.id && call.entry === entry),
      )
      return entries.length ? [{ ...source, entries }] : []
    })
  const staged = used(calls)
  const sourceOf = (call: KernelCall) => staged.findIndex(({ id }) => id === call.source)
  const sources = staged.map(
    ({ id, template, defines, entries }): StageSource => ({
      template,
      defines,
      entries: Object.fromEntries(
        entries.map((entry) => [
          entry,
          calls.find((call) => call.source === id && call.entry === entry)!.args.map(({ name }) => name),
        ]),
      ),
    }),
  )
  const entries = stageEntries(sources)
  const step = stepSource(staged, sources, trace)
  const barrierAfter = barriers(program, calls)
  const persistent: PersistentStep = {
    source: step.id,
    entry: 'step',
    block,
    ldsBytes: Math.max(...calls.map(({ ldsBytes }) => ldsBytes)),
    args: step.defines.P_STAGE_ARGS as number,
    stages: withPrefetch(
      calls.map((call, i) => ({
        stage: entries.findIndex((one) => one.source === sourceOf(call) && one.entry === call.entry),
        barrierAfter: barrierAfter[i]!,
      })),
      calls.map((call) => hasPrefetch(sources[sourceOf(call)]!, call.entry)),
    ),
    ...(trace ? { trace } : {}),
  }
  return { ...program, kernels: [step, ...used(rest)], persistent }
}

/** What begins with KERNEL becomes a plain function where kernels are stages. Ours all do. */
const isStage = ({ template }: KernelSource, entry: string): boolean =>
  !isOwnTemplate(template) || new RegExp(`\\bKERNEL\\s+void\\s+${entry}\\b`).test(bodyOf(template).text)

function stepSource(
  kernels: readonly KernelSource[],
  stages: readonly StageSource[],
  trace: boolean,
): KernelSource & { stages: readonly StageSource[] } {
  const { P_BLOCK, P_WAVE } = stages[0]!.defines
  const most = Math.max(...stages.flatMap(({ entries }) => Object.values(entries).map(({ length }) => length)))
  const defines: Defines = {
    P_BLOCK: P_BLOCK!,
    ...(P_WAVE === undefined ? {} : { P_WAVE }),
    P_BLOCKS_PER_CU: 1,
    P_STAGED: 1,
    P_STAGE_ARGS: Math.ceil(most / 2) * 2,
    ...(trace ? { P_TRACE: 1 } : {}),
  }
  const template = 'step/step.hip'
  const list = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`)
  const id = [`${template} ${list.join(' ')}`, ...kernels.map((source) => source.id)].join(' + ')
  return { id, template, defines, entries: ['step'], stages }
}

/**
 * Which calls a barrier must follow; elsewhere one may begin the next call while others are at the last. They must where
 * the next call touches what one since the last barrier wrote, or writes what one read.
 */
function barriers(program: Program, calls: readonly KernelCall[]): readonly boolean[] {
  const barrierAfter = calls.map(() => false)
  let reads: Span[] = []
  let writes: Span[] = []
  for (const [i, call] of calls.entries()) {
    const { read, written } = spansOf(program, call)
    const clash =
      overlap(written, writes) || overlap(written, reads) || overlap(read, writes) || writesOutput(program, call)
    if (i > 0 && clash) {
      barrierAfter[i - 1] = true
      reads = []
      writes = []
    }
    reads.push(...read)
    writes.push(...written)
  }
  return barrierAfter
}

/** An output may lie where an input of the next step does: all that came before must have read that. */
const writesOutput = (program: Program, call: KernelCall): boolean =>
  call.args.some((arg) => arg.kind === 'buffer' && program.buffers[arg.buffer]?.kind === 'output')

const overlap = (a: readonly Span[], b: readonly Span[]): boolean =>
  a.some((x) => b.some((y) => x.memory === y.memory && x.from < y.to && y.from < x.to))

function spansOf(program: Program, call: KernelCall): { read: Span[]; written: Span[] } {
  const op = opNamed(call.op)
  const names = new Set(call.args.map(({ name }) => name))
  const states = Object.values(op.aliases)
  const read: Span[] = []
  const written: Span[] = []
  for (const arg of call.args) {
    if (arg.kind !== 'buffer' || arg.buffer === absent) continue
    const buffer = program.buffers[arg.buffer]!
    if (buffer.kind === 'weight') continue
    const from = buffer.kind === 'arena' ? buffer.offset! : 0
    const span = { memory: buffer.kind === 'arena' ? 'arena' : buffer.id, from, to: from + buffer.bytes }
    // an operand with a result of its name is only read: the result's argument is `<name>_out`
    const isOperand =
      (arg.name in op.operands || arg.name in op.optional) &&
      !(op.results.includes(arg.name) && !names.has(`${arg.name}_out`))
    const isState = states.includes(arg.name)
    if (isOperand || isState) read.push(span)
    if (!isOperand || isState) written.push(span)
  }
  return { read, written }
}

/**
 * At the first barrier behind a matmul the next one's weights are prefetched: whatever lies between the two is short, or
 * reads little.
 */
function withPrefetch(stages: readonly StageOfStep[], canPrefetch: readonly boolean[]): readonly StageOfStep[] {
  const weighted = canPrefetch.flatMap((can, i) => (can ? [i] : []))
  let asked = -1
  return stages.map((one, i) => {
    const next = weighted.find((at) => at > i)
    if (!one.barrierAfter || next === undefined || next === asked) return one
    asked = next
    return { ...one, prefetches: next }
  })
}
