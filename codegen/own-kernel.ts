// Kernels of a user's own: a spec and a .hip file from any folder. Tests compare the two halves of our kernels
// (kernel-contract.ts); here the same is done when one is declared and each time it is chosen.
import { fileURLToPath } from 'node:url'
import { callerOf, checkFields, hintFor, inUserCode } from '../ir/declaration.ts'
import { type Fact, fail } from '../ir/diagnostic.ts'
import { findOp, type OpDefinition } from '../ir/op.ts'
import type { Target } from '../ir/target.ts'
import { byteSize, isQuant } from '../ir/type.ts'
import { plus } from './extent.ts'
import { defineKernel, type KernelDeclaration, type KernelSpec, type Site } from './kernel.ts'
import { type Bad, checkSite, compareEntries, contractOf } from './kernel-contract.ts'
import type { Named, OwnKernelDeclaration } from './kernel-declaration.ts'
import { kernelSpecs } from './kernels/index.ts'
import { bytesOf, sizeOf } from './kernels/layout.ts'
import { isOwnTemplate, listTemplates } from './source.ts'

const fields = {
  required: ['implements', 'template', 'tolerance'],
  optional: [
    ...['name', 'entry', 'args', 'launch', 'stages', 'strided', 'serves', 'fixed', 'space', 'valid', 'scratch'],
    ...['counters', 'scalars', 'cost'],
  ],
}
const stageFields = { required: ['entry', 'args', 'launch'], optional: [] }

const own = new WeakSet<KernelSpec>()

/**
 * Declares a kernel of one's own for an op. Its template includes what it needs of `prelude/`, and headers beside it. Give it to
 * `compileGraph` or `compile` in the option `kernels`: it is preferred to ours, in the order of the list. Errors: `bad-kernel`
 * where spec and template disagree, `no-template`.
 * @example
 * const clampKernel = defineKernel({
 *   implements: clamp,
 *   template: new URL('./clamp.hip', import.meta.url),
 *   args: ['y', 'x', 'N'],
 *   scalars: ({ types }) => ({ N: times(...types.x.shape) }),
 *   fixed: ({ types, attrs }) => ({ P_ELEM: elementType(types.x.dtype), P_LOW: attrs.low, P_HIGH: attrs.high }),
 *   space: (target) => ({ P_BLOCK: blockSpace(target, [256, 512, 1024]) }),
 *   launch: ({ P_BLOCK }, { types }) => ({ grid: ceilDiv(times(...types.x.shape), P_BLOCK * 4), block: P_BLOCK }),
 *   cost: ({ types }) => ({ bytes: times(2, bytesOf(types.x)), flops: times(...types.x.shape) }),
 *   tolerance: () => 0,
 * })
 */
export function defineOwnKernel<
  const I extends Named,
  const O extends Named,
  A,
  const R extends string,
  const P extends string,
>(declaration: OwnKernelDeclaration<I, O, A, R, P>): KernelSpec {
  const at = callerOf(defineOwnKernel as never)
  const bad: Bad = (message, help, facts = []) =>
    fail({
      code: 'bad-kernel',
      message,
      facts: [...facts, ...(at ? [['at', at] as Fact] : [])],
      ...(help ? { help } : {}),
    })
  checkFields('bad-kernel', 'a kernel', declaration, fields)
  const op: OpDefinition | undefined =
    declaration.implements?.definition && findOp(declaration.implements.definition.name)
  if (!op || op !== declaration.implements.definition)
    return bad('implements of a kernel must be an op', 'give what defineOp gave')
  const entry = declaration.entry ?? op.name
  const name = declaration.name ?? entry
  if (typeof name !== 'string' || !/^[a-z]\w*$/.test(name))
    return bad(`a kernel cannot be called ${JSON.stringify(name)}`)
  if (kernelSpecs.some((known) => known.name === name))
    bad(`a kernel of the compiler is called ${name}`, 'give this one a `name` of its own')
  if (!declaration.stages === !(declaration.args && declaration.launch))
    bad(
      `kernel ${name} needs args and launch, or stages`,
      'one launch: args and launch; several: stages, each with entry, args and launch',
    )
  for (const stage of declaration.stages ?? [])
    checkFields('bad-kernel', `a stage of kernel ${name}`, stage, stageFields)
  const operands = [...Object.keys(op.operands), ...Object.keys(op.optional)]
  for (const one of (declaration.strided ?? []).map(String))
    if (!operands.includes(one))
      bad(`kernel ${name} has no operand ${one} that could be strided`, hintFor(one, operands))
  const template = templatePath(declaration.template, bad)
  const declared = declaration as unknown as KernelDeclaration // names of one op are strings among others
  const cost = declared.cost ?? ((site: Site) => onceThrough(op, site))
  const spec = defineKernel({ ...declared, cost, name, template })
  compareEntries(spec, op, contractOf(template), bad)
  const checked = withChecks(withBlock(spec))
  own.add(checked)
  return checked
}

function templatePath(given: string | { readonly href: string }, bad: Bad): string {
  const isUrl = given instanceof URL || (typeof given === 'string' && given.startsWith('file:'))
  if (isUrl && new URL(given).protocol !== 'file:') bad(`template ${given} is no file`)
  const path = isUrl ? fileURLToPath(given) : given
  if (typeof path !== 'string') return bad('template of a kernel must be a path or a URL')
  if (isOwnTemplate(path) || listTemplates().includes(path)) return path
  return bad(
    `there is no template ${path} among ours, and it is no absolute path`,
    "give the file beside yours as new URL('./name.hip', import.meta.url)",
  )
}

/** A spec that says nothing of P_BLOCK is compiled for the blocks that it is launched with. */
function withBlock(spec: KernelSpec): KernelSpec {
  const blockOf = (site: Site, target: Target, space: ReturnType<KernelSpec['space']>): number | undefined => {
    if (space['P_BLOCK'] || spec.fixed(site, target)['P_BLOCK'] !== undefined) return undefined
    const first = Object.fromEntries(Object.entries(space).map(([name, values]) => [name, values[0]!]))
    return spec.stages[0]!.launch(first, site, target)?.block
  }
  return {
    ...spec,
    space(target, site) {
      const space = spec.space(target, site)
      const block = blockOf(site, target, space)
      return block === undefined ? space : { ...space, P_BLOCK: [block] }
    },
    valid(params, target, site) {
      const block = blockOf(site, target, spec.space(target, site))
      if (block !== undefined && params['P_BLOCK'] !== block) return `runs in blocks of ${block} threads alone`
      return spec.valid(params, target, site)
    },
  }
}

/** Operands read once, results written once. */
function onceThrough(op: OpDefinition, { types }: Site): ReturnType<KernelSpec['cost']> {
  const memory = Object.values(types).map((type) => (isQuant(type.dtype) ? byteSize(type) : bytesOf(type)))
  return { bytes: memory.reduce(plus, 0), flops: sizeOf(types[op.results[0]!]!.shape) }
}

/** All kernels of a compilation: those of the user first. Diagnostics `bad-kernel`. */
export function withOwnKernels(kernels: readonly KernelSpec[]): readonly KernelSpec[] {
  if (kernels.length === 0) return kernelSpecs
  const names = new Set<string>()
  for (const spec of kernels) {
    if (typeof spec !== 'object' || spec === null || !own.has(spec))
      fail({
        code: 'bad-kernel',
        message: 'the option kernels holds something else than kernels',
        help: 'give what defineKernel gave',
      })
    if (names.has(spec.name))
      fail({ code: 'bad-kernel', message: `two kernels are called ${spec.name}`, help: 'give one another `name`' })
    names.add(spec.name)
  }
  return [...kernels, ...kernelSpecs]
}

/** The spec, whose functions are asked with care. */
function withChecks(spec: KernelSpec): KernelSpec {
  const asked = <T>(what: string, site: Site, call: () => T): T =>
    inUserCode(
      'bad-kernel',
      `${what} of kernel ${spec.name} failed`,
      [
        ['op', site.op],
        ['template', spec.template],
      ],
      call,
    )
  const reason = (what: string, site: Site, answer: unknown): true | string => {
    if (answer === true || (typeof answer === 'string' && answer !== '')) return answer
    return fail({
      code: 'bad-kernel',
      message: `${what} of kernel ${spec.name} answers ${String(answer)} for ${site.op}`,
      help: 'answer true, or a text that says why not',
    })
  }
  const record = <T extends object>(what: string, site: Site, call: () => T): T => {
    const given: unknown = asked(what, site, call)
    if (typeof given === 'object' && given !== null) return given as T
    return fail({
      code: 'bad-kernel',
      message: `${what} of kernel ${spec.name} gives ${String(given)} for ${site.op}`,
      help: 'give an object',
    })
  }
  const guarded: KernelSpec = {
    ...spec,
    serves: (site, target) =>
      reason(
        'serves',
        site,
        asked('serves', site, () => spec.serves(site, target)),
      ),
    valid: (params, target, site) =>
      reason(
        'valid',
        site,
        asked('valid', site, () => spec.valid(params, target, site)),
      ),
    fixed: (site, target) => record('fixed', site, () => spec.fixed(site, target)),
    scratch: (params, site, target) => record('scratch', site, () => spec.scratch(params, site, target)),
    counters: (params, site, target) => record('counters', site, () => spec.counters(params, site, target)),
    scalars: (site) => record('scalars', site, () => spec.scalars(site)),
    cost: (site) => record('cost', site, () => spec.cost(site)),
    tolerance: (site) => asked('tolerance', site, () => spec.tolerance(site)),
    space(target, site) {
      const space = record('space', site, () => spec.space(target, site))
      for (const [name, values] of Object.entries(space))
        if (!/^P_\w+$/.test(name) || !Array.isArray(values) || values.length === 0 || !values.every(Number.isFinite))
          fail({
            code: 'bad-kernel',
            message: `space of kernel ${spec.name} gives ${name} no values`,
            help: 'P_NAME: [numbers], the best guess first',
          })
      return space
    },
    stages: spec.stages.map((stage) => ({
      ...stage,
      launch: (params, site, target) => record('launch', site, () => stage.launch(params, site, target)),
    })),
  }
  return {
    ...guarded,
    stages: guarded.stages.map((stage, i) => ({
      ...stage,
      launch(params, site, target) {
        checkSite(guarded, params, site, target, i)
        return stage.launch(params, site, target)
      },
    })),
  }
}
