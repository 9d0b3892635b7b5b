// The first-load self-check: one compiled kernel, alone, on the device that will run it, against its op's reference on
// small seeded inputs. What it finds is kept in the kernel's cache entry.
import { evaluate } from '../../codegen/extent.ts'
import type { KernelSpec } from '../../codegen/kernel.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import type { KernelSite } from '../../codegen/program.ts'
import { GraphBuilder } from '../../ir/builder.ts'
import { Diagnostic, type Fact } from '../../ir/diagnostic.ts'
import type { HostTensor } from '../../ir/host-tensor.ts'
import { findOp, opNamed } from '../../ir/op.ts'
import { executeReference } from '../../ir/reference.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { decodeTensor } from '../../ir/tensor-bytes.ts'
import { type Bindings, bindShape, byteSize, type Dtype, elementCount, isCache, state, tensor } from '../../ir/type.ts'
import type { Value } from '../../ir/value.ts'
import { fromBlocks, weightLayout } from '../../ir/weight-layout.ts'
import type { KernelCache, KeyInput, SelfCheck } from '../cache/kernel-cache.ts'
import type { Driver } from '../platform/driver.ts'
import type { JobRunner } from './check-process.ts'
import type { JobArg, JobBuffer, JobLaunch, LaunchJob } from './launch-job.ts'
import { type CheckOperand, checkBindings, checkOperand } from './self-check-values.ts'

export interface CheckedKernel {
  /** of the cache entry, where it is known */
  readonly key?: string
  /** template: `norm/rms_norm.hip` */
  readonly label: string
  /** name of the spec: `gemv_swiglu` */
  readonly kernel: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** what disagreed, or why it was skipped */
  readonly detail?: string
  /** the outcome of an earlier check on the same device */
  readonly remembered: boolean
}

/** Elements of the largest weight that the reference executor is asked to decode. */
const maxElements = 2 ** 27

/** A check that is ready to run: the launches, and what to say of their results. */
interface PreparedCheck {
  readonly job: LaunchJob
  judge(results: readonly Uint8Array[]): Outcome
}
type Outcome = Pick<CheckedKernel, 'outcome' | 'detail'>

/**
 * Runs one kernel on the device and on the reference. `image` is what its source compiled to, `specs` where its spec is found.
 */
export async function checkKernel(
  runner: JobRunner,
  target: Target,
  image: Uint8Array,
  site: KernelSite,
  specs: readonly KernelSpec[] = kernelSpecs,
): Promise<Outcome> {
  const check = prepareCheck(target, image, site, specs)
  if ('outcome' in check) return check
  const ran = await runner.run(check.job)
  switch (ran.kind) {
    case 'done':
      return check.judge(ran.results)
    case 'no-memory':
      return { outcome: 'skipped', detail: `the device has no memory for a check: ${ran.message}` }
    case 'error':
      return { outcome: 'failed', detail: `it does not run: ${ran.message}` }
    case 'crashed':
      return { outcome: 'failed', detail: `it crashes: ${ran.message}` }
  }
}

function prepareCheck(
  target: Target,
  image: Uint8Array,
  { kernel, params, site }: KernelSite,
  specs: readonly KernelSpec[],
): PreparedCheck | Outcome {
  const spec = specs.find(({ name }) => name === kernel)
  if (!spec) return { outcome: 'skipped', detail: `this release has no kernel ${kernel}` }
  const op = findOp(site.op)
  if (!op) return { outcome: 'skipped', detail: `this release has no op ${site.op}` }
  const bindings = checkBindings(site)
  const names = Object.keys(site.types).filter((name) => name in op.operands || name in op.optional)
  const largest = Math.max(...names.map((name) => elementCount(site.types[name]!, bindings)))
  if (largest > maxElements) return { outcome: 'skipped', detail: `${largest} weights are too many for the reference` }

  const operands = new Map(names.map((name, i) => [name, checkOperand(site, name, bindings, i + 1)]))
  const wanted = expected(site, operands, bindings) // before the kernel, which would follow an index wherever it leads
  const results = op.results.map((name) => ({
    name,
    // a state result is its operand; another with an operand's name has a name of its own
    memory: op.aliases[name] ?? (operands.has(name) ? `${name}_out` : name),
  }))
  const scalars = spec.scalars(site)
  const buffers = new Map<string, JobBuffer>()
  // 0xff: a NaN in every float type: what is not written shows
  const place = (name: string, bytes: number, content?: Uint8Array, fill = 0xff) =>
    buffers.set(name, { name, bytes, fill, ...(content ? { content } : {}) })
  for (const [name, { bytes, tensor: held }] of operands) {
    const type = { ...site.types[name]!, shape: held.shape }
    place(name, bytes.length, fromBlocks(type, weightLayout(type, target), bytes))
  }
  for (const { memory } of results) if (!buffers.has(memory)) place(memory, byteSize(site.types[memory]!, bindings))
  for (const [name, bytes] of Object.entries(spec.scratch(params, site, target))) place(name, evaluate(bytes, bindings))
  for (const [name, bytes] of Object.entries(spec.counters(params, site, target)))
    place(name, evaluate(bytes, bindings), undefined, 0)

  const argument = (name: string): JobArg => {
    if (buffers.has(name)) return { buffer: name }
    const scalar = scalars[name]
    // an optional operand that is not there
    return name in site.types || scalar === undefined ? { absent: true } : { i32: evaluate(scalar, bindings) }
  }
  const launches = spec.stages.map(({ entry, args, launch }): JobLaunch => {
    const { grid, block, ldsBytes = 0 } = launch(params, site, target)
    return { entry, grid: evaluate(grid, bindings), block, ldsBytes, args: args.map(argument) }
  })
  return {
    job: {
      label: `self-check of ${kernel}`,
      image,
      buffers: [...buffers.values()],
      launches,
      results: results.map(({ memory }) => ({ buffer: memory, bytes: byteSize(site.types[memory]!, bindings) })),
    },
    judge(written) {
      for (const [i, { name, memory }] of results.entries()) {
        const { dtype, shape } = site.types[memory]!
        const got = decodeTensor(dtype, bindShape(shape, bindings), written[i]!)
        const detail = disagreement(name, wanted[name]!, got, spec.tolerance(site))
        if (detail) return { outcome: 'failed', detail }
      }
      return { outcome: 'passed' }
    },
  }
}

/** What the reference makes of the same operands: a graph of one op. */
function expected(
  site: KernelSite['site'],
  operands: ReadonlyMap<string, CheckOperand>,
  bindings: Bindings,
): Record<string, HostTensor> {
  const op = opNamed(site.op)
  const g = new GraphBuilder('check')
  const values: Record<string, Value> = {}
  for (const [name, { tensor: held }] of operands) {
    const { dtype, shape } = held
    values[name] = g.input(name, site.types[name]!.state ? state(dtype, shape) : tensor(dtype, shape))
  }
  const made = g.append(op, values, { ...site.attrs })
  for (const [i, name] of op.results.entries()) g.output(`${name}_result`, made[i]!)
  const inputs = Object.fromEntries([...operands].map(([name, operand]) => [name, operand.tensor]))
  const missing = () => {
    throw new Error('a check has no weights')
  }
  const results = executeReference(g.build(), { inputs, bindings, weight: missing })
  return Object.fromEntries(op.results.map((name) => [name, results[`${name}_result`]!]))
}

/** Distance of 1 and the next number; of q8_0 as if all of a block were as large as its largest. */
const epsilons: Partial<Record<Dtype, number>> = { f16: 2 ** -10, bf16: 2 ** -7, f8_e4m3: 2 ** -3, q8_0: 2 ** -6 }
const epsilon = (dtype: Dtype): number => epsilons[dtype] ?? 2 ** -23

/**
 * The first element that is off, in words. f32 within 1e-5 or `tolerance` units in the last place, relative or absolute;
 * a sum (tolerance above 4) relative to the size of its tensor, since its terms may cancel; integers equal.
 */
function disagreement(name: string, wanted: HostTensor, got: HostTensor, tolerance: number): string | undefined {
  const { dtype } = got
  if (wanted.data.length !== got.data.length) return `${name} has ${got.data.length} values, not ${wanted.data.length}`
  const squares =
    tolerance > 4 || dtype === 'q8_0' ? Array.from(wanted.data as Float32Array).reduce((sum, v) => sum + v * v, 0) : 0
  const typical = Math.sqrt(squares / Math.max(1, wanted.data.length))
  const relative = Math.max(tolerance * epsilon(dtype), dtype === 'f32' && tolerance > 0 ? 1e-5 : 0)
  const floor =
    tolerance === 0
      ? 0
      : dtype === 'f32'
        ? 1e-5
        : tolerance * (dtype === 'f16' ? 2 ** -24 : dtype === 'f8_e4m3' ? 2 ** -9 : 2 ** -133)
  for (let i = 0; i < wanted.data.length; i++) {
    const [a, b] = [wanted.data[i]!, got.data[i]!]
    if (Object.is(a, b) || a === b) continue
    const allowed = Math.max(relative * Math.max(Math.abs(a), typical), floor)
    if (isCache(dtype) && Math.abs(a - b) <= allowed) continue
    return `${name}[${i}] is ${b}, the reference has ${a}`
  }
  return undefined
}

/** What kernels are checked for: outcomes are remembered under `id`. */
interface CheckDevice {
  readonly id: string
  readonly target: Target
}

/** Names a device and its driver: an outcome counts for exactly these. */
export const checkedOn = (driver: Driver, target: Target): string =>
  `${targetId(target)}, ${driver.properties.name}, driver ${driver.version.driver}`

interface SelfCheckOptions {
  readonly cache: KernelCache
  /** check again what passed or failed here before */
  readonly again?: boolean
  readonly onChecked?: (kernel: CheckedKernel) => void
}

/** A kernel of the cache. */
export interface Checkable {
  readonly key?: string
  readonly label: string
  readonly keyInput: KeyInput
  readonly site?: KernelSite | undefined
  readonly image: Uint8Array
  readonly selfCheck?: SelfCheck | undefined
}

/** Checks compiled kernels once on this device; outcomes are remembered in the cache, and only missing ones are run. */
export async function checkKernels(
  runner: JobRunner,
  device: CheckDevice,
  kernels: readonly Checkable[],
  options: SelfCheckOptions,
): Promise<CheckedKernel[]> {
  const checked: CheckedKernel[] = []
  for (const kernel of kernels) checked.push(await checkOnce(runner, device, kernel, options))
  return checked
}

async function checkOnce(
  runner: JobRunner,
  { id: device, target }: CheckDevice,
  { key, label, keyInput, site, image, selfCheck }: Checkable,
  { cache, again = false, onChecked }: SelfCheckOptions,
): Promise<CheckedKernel> {
  const names = { ...(key ? { key } : {}), label, kernel: site?.kernel ?? label }
  const told = (outcome: Outcome, remembered: boolean): CheckedKernel => {
    const found = { ...names, ...outcome, remembered }
    onChecked?.(found)
    return found
  }
  if (!again && selfCheck?.device === device) {
    const { outcome, detail } = selfCheck
    return told({ outcome, ...(detail ? { detail } : {}) }, true)
  }
  if (!site) return told({ outcome: 'skipped', detail: 'its cache entry does not say what it computes' }, false)
  // an entry may come from any release: what it says of itself need not make sense to this one
  const { outcome, detail } = await checkKernel(runner, target, image, site).catch(
    (error: unknown): Outcome => ({ outcome: 'skipped', detail: `it cannot be checked: ${textOf(error)}` }),
  )
  if (outcome !== 'skipped') cache.setSelfCheck(keyInput, { outcome, device, ...(detail ? { detail } : {}) })
  return told({ outcome, ...(detail ? { detail } : {}) }, false)
}

const textOf = (error: unknown): string =>
  error instanceof Diagnostic ? error.summary : error instanceof Error ? error.message : String(error)

/** Refuses to go on with a kernel that disagreed with its reference. Diagnostic `self-check-failed`. */
export function requirePassed(
  checked: readonly CheckedKernel[],
  device: string,
  help = 'the driver or the compiler may be at fault: try another release of either, or --device host meanwhile; `rocmforge cache clear --failed` forgets what failed; please report it',
): void {
  const failed = checked.filter(({ outcome }) => outcome === 'failed')
  if (failed.length === 0) return
  throw new Diagnostic({
    code: 'self-check-failed',
    message: `${failed.length} of ${checked.length} kernels compute something else than their references on ${device}`,
    facts: failed.slice(0, 8).map(({ kernel, detail }): Fact => [kernel, detail ?? 'wrong']),
    help,
  })
}
