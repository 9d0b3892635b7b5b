// Recording: steps of a model as a bundle that stands alone. Needs no device: code objects are compiled for the target, and
// what every launch should leave behind is what the reference executor computes.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { absent } from '../../codegen/compile.ts'
import { evaluate } from '../../codegen/extent.ts'
import { buffersOf, type KernelCall, type Program } from '../../codegen/program.ts'
import { fail, invariant } from '../../ir/diagnostic.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { executeReference } from '../../ir/reference.ts'
import type { Target } from '../../ir/target.ts'
import { targetId } from '../../ir/target.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import { type Bindings, bindShape, byteSize, product } from '../../ir/type.ts'
import { fromBlocks } from '../../ir/weight-layout.ts'
import { makeFolder } from '../../runtime/cache/file-layer.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import type { CompileService } from '../../runtime/compile/service.ts'
import {
  manifestName,
  type Replay,
  type ReplayExpected,
  type ReplayFile,
  type ReplayLaunch,
  replayVersion,
} from '../../runtime/inspect/replay-format.ts'
import { checkRows } from '../engine/check-tokens.ts'
import { samplerInputs } from '../engine/sampler-inputs.ts'
import { greedy } from '../engine/stepper.ts'
import { decodedWeights, weightSource } from '../engine/weight-values.ts'
import { type Checkpoint, openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { type CompileOptions, compileOptions, readOptions } from '../options.ts'
import { createTokenizer } from '../tokenizer/create-tokenizer.ts'
import { ModelPlan } from './plan.ts'

interface RecordOptions extends Omit<CompileOptions, 'device'> {
  readonly prompt: string
  /** decode steps behind the prompt */
  readonly steps: number
  readonly target: Target
  readonly service: CompileService
  /** a folder that does not exist yet, or is empty */
  readonly out: string
  readonly onStep?: (name: string, done: number, total: number) => void
}

interface RecordReport {
  readonly replay: Replay
  readonly files: number
  readonly bytes: number
}

/** Values carry the errors of all launches before them. */
const tolerance = { relative: 2e-3, ofLargest: 2e-3 }
const arenaId = 'arena'

/** Writes a bundle: the prompt, then `steps` decode steps, greedy. */
export async function recordBundle(path: string, options: RecordOptions): Promise<RecordReport> {
  const { prompt, steps, target, service, out, onStep, ...rest } = options
  if (existsSync(out) && readdirSync(out).length)
    fail({
      code: 'folder-not-empty',
      message: 'the folder for the bundle is not empty',
      facts: [['folder', out]],
      help: 'name another one, or remove it',
    })
  await using checkpoint = await openCheckpoint(path, { architectures: knownArchitectures, context: rest.context })
  const tokenizer = createTokenizer(checkpoint.tokenizer)
  const promptIds = tokenizer.encode(prompt)
  checkRows(promptIds, checkpoint.config.vocabSize, tokenizer)
  const length = promptIds.length + steps
  const settings = readOptions(compileOptions, { ...rest, context: rest.context ?? length })
  if (promptIds.length === 0 || length > settings.context!) {
    fail({
      code: 'context-full',
      message: `prompt and steps take ${length} tokens, the context holds ${settings.context}`,
      help: 'shorten the prompt, or give a larger --context',
    })
  }
  const plan = new ModelPlan(checkpoint, settings, target)
  return await new Recording(checkpoint, plan, options).run(promptIds, service) // awaited: the files close behind it
}

interface StepRun {
  readonly name: string
  readonly program: Program
  readonly tokens: readonly number[]
  readonly position: number
}

class Recording {
  readonly #checkpoint: Checkpoint
  readonly #plan: ModelPlan
  readonly #options: RecordOptions
  readonly #weight
  readonly #states = new Map<string, HostTensor>()
  readonly #kernels = new Map<string, number>()
  readonly #buffers = new Map<string, { bytes: number; before?: ReplayFile }>()
  #files = 0
  #bytes = 0

  constructor(checkpoint: Checkpoint, plan: ModelPlan, options: RecordOptions) {
    this.#checkpoint = checkpoint
    this.#plan = plan
    this.#options = options
    this.#weight = decodedWeights(checkpoint)
  }

  async run(promptIds: readonly number[], service: CompileService): Promise<RecordReport> {
    const { out, target, steps } = this.#options
    for (const folder of ['kernels', 'buffers', 'expected']) makeFolder(join(out, folder))
    const programs = (['prefill', 'sample', 'decode'] as const).map((kind) => this.#plan.program(kind))
    const sources = [
      ...new Map(programs.flatMap(({ kernels }) => kernels.map((kernel) => [kernel.id, kernel] as const))).values(),
    ]
    const compiled = await service.compileAll(
      sources.map((source) => compileJob({ ...source, entries: entriesOf(programs, source.id) }, target)),
    )
    const kernels = sources.map((source, i) => {
      this.#kernels.set(source.id, i)
      const { job, image } = compiled[i]!
      const name = `kernels/${String(i).padStart(2, '0')}-${source.template.split(/[\\/]/).slice(-2).join('-').replace(/\W+/g, '-')}`
      return {
        template: source.template,
        entries: [...job.kernels],
        defines: { ...source.defines },
        source: this.#file(`${name}.hip`, new TextEncoder().encode(job.source)),
        codeObject: this.#file(`${name}.co`, image),
      }
    })
    for (const program of programs) await this.#place(program)

    const tokenIds: number[] = []
    const recorded: Replay['steps'] = []
    const total = Math.ceil(promptIds.length / this.#plan.chunk) + steps
    const record = (step: StepRun): void => {
      recorded.push(this.#step(step, recorded.length, tokenIds))
      this.#options.onStep?.(step.name, recorded.length, total)
    }
    for (let at = 0; at < promptIds.length; at += this.#plan.chunk) {
      const tokens = promptIds.slice(at, at + this.#plan.chunk)
      const isLast = at + this.#plan.chunk >= promptIds.length
      record({
        name: `prefill ${at}…${at + tokens.length - 1}`,
        program: programs[isLast ? 1 : 0]!,
        tokens,
        position: at,
      })
    }
    for (let i = 0; i < steps; i++)
      record({ name: `decode ${i}`, program: programs[2]!, tokens: [tokenIds.at(-1)!], position: promptIds.length + i })
    const { config } = this.#checkpoint
    const replay: Replay = {
      format: 'rocmforge-replay',
      version: replayVersion,
      target: targetId(target),
      wave: target.wave === 64 ? 64 : 32,
      compiler: compiled[0]!.keyInput.compiler,
      model: { name: config.name, architecture: config.architecture, promptIds: [...promptIds], tokenIds },
      kernels,
      buffers: [...this.#buffers].map(([id, buffer]) => ({ id, ...buffer })),
      steps: recorded,
    }
    writeFileSync(join(out, manifestName), `${JSON.stringify(replay, null, 1)}\n`)
    return { replay, files: this.#files + 1, bytes: this.#bytes }
  }

  #file(path: string, bytes: Uint8Array): ReplayFile {
    writeFileSync(join(this.#options.out, path), bytes)
    this.#files++
    this.#bytes += bytes.length
    return { path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  }

  /** Buffers of a program: weights with their bytes, states and the arena as zeros, inputs and outputs of its own. */
  async #place(program: Program): Promise<void> {
    const source = weightSource(this.#checkpoint)
    const arena = this.#buffers.get(arenaId)?.bytes ?? 0
    if (program.arenaBytes > arena) this.#buffers.set(arenaId, { bytes: program.arenaBytes })
    for (const buffer of Object.values(program.buffers)) {
      const id = bufferId(program, buffer.id)
      if (buffer.kind === 'arena' || this.#buffers.has(id)) continue
      if (buffer.kind !== 'weight') {
        this.#buffers.set(id, { bytes: buffer.bytes })
        continue
      }
      const bytes = new Uint8Array(buffer.bytes)
      for (const part of buffer.parts!) {
        const inBlocks = new Uint8Array(part.bytes)
        await source.read(part.weight, part.type, inBlocks, 0)
        bytes.set(fromBlocks(part.type, part.layout, inBlocks), part.offset)
      }
      this.#buffers.set(id, {
        bytes: bytes.length,
        before: this.#file(`buffers/${String(this.#buffers.size).padStart(3, '0')}.bin`, bytes),
      })
    }
  }

  #step({ name, program, tokens, position }: StepRun, index: number, tokenIds: number[]): Replay['steps'][number] {
    const { pages } = this.#plan
    const bindings: Bindings = { T: tokens.length, R: 1, L: position + tokens.length, P: pages, M: pages }
    const given = this.#inputs(program, tokens, position, bindings)
    const values = new Map<string, HostTensor>()
    const inputs = Object.fromEntries(
      program.graph.inputs.map((id) => [id.slice(1), given.get(id) ?? this.#state(id, program, bindings)]),
    )
    const outputs = executeReference(program.graph, {
      inputs,
      bindings,
      weight: this.#weight,
      onValue: (id, value) => {
        // a device stores every value in its dtype, and the next launch reads it so
        const { dtype } = program.graph.types[id]!
        if (dtype === 'f16' || dtype === 'bf16')
          value.data.set(decodeTensor(dtype, value.shape, encodeValues(dtype, value.data)).data)
        values.set(id, { ...value, dtype, data: value.data.slice() })
      },
    })
    if (outputs.token) tokenIds.push(outputs.token.data[0]!)
    const writes = [...given].map(([id, tensor], i) => ({
      buffer: bufferId(program, id),
      offset: 0,
      values: this.#file(
        `buffers/step${index}-input${i}.bin`,
        encodeValues(program.graph.types[id]!.dtype, tensor.data),
      ),
    }))
    const launches: ReplayLaunch[] = []
    for (const [i, call] of program.calls.entries()) {
      const isLastStage = program.calls[i + 1]?.node !== call.node || program.calls[i + 1]?.op !== call.op
      const expected = isLastStage && !isCopy(call) ? this.#expected(program, call, values, `step${index}-${i}`) : []
      launches.push({
        label: `${call.node}${call.label ? ` (${call.label})` : ''} ${call.entry}`,
        kernel: this.#kernels.get(call.source)!,
        entry: call.entry,
        grid: [evaluate(call.grid, bindings), 1, 1],
        block: [call.block, 1, 1],
        ldsBytes: call.ldsBytes,
        args: call.args.map((arg) => {
          if (arg.kind === 'scalar') return { kind: 'i32', name: arg.name, value: evaluate(arg.value, bindings) }
          if (arg.buffer === absent) return { kind: 'null', name: arg.name }
          return { kind: 'buffer', name: arg.name, ...placeOf(program, arg.buffer) }
        }),
        expected,
      })
    }
    return { name, writes, launches: launches.filter(({ grid }) => grid[0] > 0) }
  }

  /** What the launch of a node leaves behind: its results, each where it lies. */
  #expected(
    program: Program,
    call: KernelCall,
    values: ReadonlyMap<string, HostTensor>,
    name: string,
  ): ReplayExpected[] {
    const node = program.graph.nodes[call.node]!
    return node.out.flatMap((id, i): ReplayExpected[] => {
      const value = values.get(id)
      const type = program.graph.types[id]!
      const written = type.state ? stateBehind(program, id) : id
      if (!value || !program.buffers[written]) return []
      const { dtype } = type
      if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16' && dtype !== 'i32' && dtype !== 'u32') return []
      const largest = largestOf(value.data)
      const exact = dtype === 'i32' || dtype === 'u32'
      return [
        {
          ...placeOf(program, written),
          dtype,
          shape: [...value.shape],
          values: this.#file(`expected/${name}-${i}.bin`, encodeValues(dtype, value.data)),
          tolerance: exact
            ? { relative: 0, absolute: 0 }
            : { relative: tolerance.relative, absolute: Math.max(largest * tolerance.ofLargest, 1e-6) },
        },
      ]
    })
  }

  #state(id: string, program: Program, bindings: Bindings): HostTensor {
    const known = this.#states.get(id)
    if (known) return known
    const { dtype, shape } = program.graph.types[id]!
    const dims = bindShape(shape, bindings)
    const made = hostTensor(dtype, dims, new Float32Array(product(dims)))
    this.#states.set(id, made)
    return made
  }

  /** Inputs of a step by id; what the sampler reads says: greedy. */
  #inputs(program: Program, tokens: readonly number[], position: number, bindings: Bindings): Map<string, HostTensor> {
    const constants: Record<string, number> = {
      last: tokens.length - 1,
      step: 0,
    }
    const values: Record<string, ArrayLike<number>> = {
      ...samplerInputs([greedy]),
      tokens,
      positions: tokens.map((_, i) => position + i),
      seq: tokens.map(() => 0),
      page_table: Array.from({ length: this.#plan.pagesPerRequest }, (_, i) => i),
    }
    const inputs = new Map<string, HostTensor>()
    for (const { id, type } of buffersOf(program, 'input')) {
      const name = id.slice(1)
      inputs.set(id, hostTensor(type.dtype, bindShape(type.shape, bindings), values[name] ?? [constants[name]!]))
      invariant(byteSize(type, bindings) <= program.buffers[id]!.bytes, `input ${name} is larger than its buffer`)
    }
    return inputs
  }
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i])) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}

const isCopy = (call: KernelCall): boolean => call.kernel === 'contiguous' && call.op !== 'contiguous'

const entriesOf = (programs: readonly Program[], id: string): string[] =>
  [
    ...new Set(
      programs.flatMap(({ kernels }) => kernels.filter((kernel) => kernel.id === id).flatMap(({ entries }) => entries)),
    ),
  ].sort()

/** Weights and states are shared by the programs, inputs and outputs are not. */
function bufferId(program: Program, id: string): string {
  const { kind, parts } = program.buffers[id]!
  if (kind === 'weight') return parts!.map(({ weight }) => `@${weight}`).join('+')
  return kind === 'state' ? id : `${program.name}:${id}`
}

function placeOf(program: Program, id: string): { buffer: string; offset: number } {
  const { kind, offset } = program.buffers[id]!
  return kind === 'arena' ? { buffer: arenaId, offset: offset ?? 0 } : { buffer: bufferId(program, id), offset: 0 }
}

/** The state input whose memory a newer version is. */
function stateBehind(program: Program, id: string): string {
  const output = program.outputs.find((_, i) => program.graph.outputs[i]!.value === id)
  return output?.buffer ?? id
}
