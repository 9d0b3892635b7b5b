// The two halves of a kernel's contract, its spec and its .hip file, say the same: entries, arguments in order, P_* parameters,
// launch geometry. A name that only one half knows would be a null pointer on the device.
import { hintFor } from '../ir/declaration.ts'
import { type Fact, fail } from '../ir/diagnostic.ts'
import { type OpDefinition, opNamed } from '../ir/op.ts'
import { type Target, targetId } from '../ir/target.ts'
import { isSymbol, printType } from '../ir/type.ts'
import { type Extent, symbolsOf } from './extent.ts'
import type { Defines, KernelSpec, Params, Site } from './kernel.ts'
import { emitSource, isOwnTemplate, ownTextOf, templateText } from './source.ts'
import { targetDefines } from './target-defines.ts'

/** Refuses a kernel; throws a Diagnostic. */
export type Bad = (message: string, help?: string, facts?: readonly Fact[]) => never

interface Parameter {
  readonly name: string
  /** `const x_t*` */
  readonly type: string
}

/** What a template says of itself. */
interface Contract {
  readonly template: string
  /** P_* with a default, in the template and in the headers of its own folder */
  readonly knobs: ReadonlySet<string>
  /** and those of every header */
  readonly allKnobs: ReadonlySet<string>
  readonly entries: ReadonlyMap<string, readonly Parameter[]>
}

const knobsIn = (text: string): Set<string> =>
  new Set([...text.matchAll(/^\s*#\s*ifndef\s+(P_\w+)/gm)].map((m) => m[1]!))

/** `KERNEL void name(…)`, or what it stands for: `extern "C" __global__ __launch_bounds__(BLOCK) void name(…)`. */
const kernelHead =
  /\b(?:KERNEL|__global__)(?:\s+__launch_bounds__\s*\([^)]*\))?\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)/g

/** Read anew each time: users edit their templates. */
export function contractOf(template: string): Contract {
  const whole = emitSource({ template, defines: {} })
  const text = isOwnTemplate(template) ? ownTextOf(template) : templateText(template)
  const plain = text.replace(/\/\/.*$|\/\*[\s\S]*?\*\//gm, ' ')
  const entries = [...plain.matchAll(kernelHead)].map(([, name, list]) => [name!, parametersOf(list!)] as const)
  return { template, knobs: knobsIn(text), allKnobs: knobsIn(whole), entries: new Map(entries) }
}

const parametersOf = (list: string): Parameter[] =>
  list
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => {
      const [, type = '', name = ''] = /^(.*?)(\w+)$/s.exec(text) ?? []
      return { name, type: type.replace(/\s+/g, ' ').trim() }
    })

/** Names that an op gives its kernels: operands, and results that have memory of their own. */
const memoryOf = (op: OpDefinition): string[] => {
  const operands = [...Object.keys(op.operands), ...Object.keys(op.optional)]
  const results = op.results
    .filter((name) => !op.aliases[name])
    .map((name) => (operands.includes(name) ? `${name}_out` : name))
  return [...results, ...operands]
}

/** Entries and their arguments: names in order, pointers where there is memory, i32 elsewhere. */
export function compareEntries(spec: KernelSpec, op: OpDefinition, contract: Contract, bad: Bad): void {
  const { template, entries } = contract
  const memory = memoryOf(op)
  for (const { entry, args } of spec.stages) {
    const parameters = entries.get(entry) ?? []
    if (!entries.has(entry))
      bad(
        `${template} has no kernel \`${entry}\``,
        `${hintFor(entry, [...entries.keys()])}; one begins with KERNEL void ${entry}(…)`,
      )
    const names = parameters.map(({ name }) => name)
    const at = names.findIndex((name, i) => name !== args[i])
    if (at >= 0 || names.length !== args.length)
      bad(
        `the arguments of ${entry} are not those of its template`,
        'args of the spec name the parameters of the template, in order',
        [
          ['spec', args.join(', ')],
          ['template', names.join(', ')],
        ],
      )
    for (const { name, type } of parameters) {
      const isPointer = type.includes('*')
      if (memory.includes(name) && !isPointer)
        bad(`${name} of ${entry} is memory, and no pointer in the template`, `write ${type}* ${name}`)
      if (!isPointer && !/^(const )?(i32|u32|int)( const)?$/.test(type))
        bad(
          `${name} of ${entry} is \`${type}\`: arguments are pointers, or i32`,
          'what is known when kernels are compiled is a P_* of the template',
        )
    }
  }
}

/** The arguments at one site, where scratch and scalars are known too; then parameters and launches. */
export function checkSite(spec: KernelSpec, params: Params, site: Site, target: Target, stage: number): void {
  const contract = contractOf(spec.template)
  const facts: Fact[] = [
    ['template', spec.template],
    [
      'op',
      `${site.op}(${Object.entries(site.types)
        .map(([name, type]) => `${name}: ${printType(type)}`)
        .join(', ')})`,
    ],
    ['target', targetId(target)],
  ]
  const bad: Bad = (message, help, more = []) =>
    fail({ code: 'bad-kernel', message, facts: [...more, ...facts], ...(help ? { help } : {}) })
  const op = opNamed(spec.implements)
  compareEntries(spec, op, contract, bad)
  const { entry, args, launch } = spec.stages[stage]!
  const scalars = spec.scalars(site)
  const scratch = [
    ...Object.keys(spec.scratch(params, site, target)),
    ...Object.keys(spec.counters(params, site, target)),
  ]
  const memory = [...memoryOf(op), ...scratch]
  const types = new Map(contract.entries.get(entry)!.map(({ name, type }) => [name, type]))
  for (const name of args) {
    if (memory.includes(name) && types.get(name)!.includes('*')) continue
    if (!memory.includes(name) && scalars[name] !== undefined && !types.get(name)!.includes('*')) continue
    const known = [...memory, ...Object.keys(scalars)]
    bad(
      known.includes(name)
        ? `argument ${name} of ${entry} is ${memory.includes(name) ? 'memory' : 'a scalar'}, but not in the template`
        : `argument ${name} of ${entry} is neither an operand nor a result, scratch, counter or scalar`,
      hintFor(name, known),
    )
  }
  for (const [name, value] of Object.entries(scalars)) checkExtent(`scalar ${name} of ${spec.name}`, value, site, bad)
  checkDefines(spec, contract, { ...targetDefines(target), ...spec.fixed(site, target), ...params }, bad)
  const { grid, block, ldsBytes = 0 } = launch(params, site, target)
  checkExtent(`the grid of ${entry}`, grid, site, bad)
  const most = `1 to ${target.maxBlock}, whole waves of ${target.wave}`
  if (!Number.isInteger(block) || block < 1 || block > target.maxBlock || block % target.wave !== 0)
    bad(
      `a block of ${entry} cannot have ${block} threads`,
      `possible: ${most}; blockSpace(target, sizes) leaves out what is not`,
    )
  const compiled = params.P_BLOCK ?? spec.fixed(site, target).P_BLOCK
  if (compiled !== block)
    bad(
      `${entry} is compiled for blocks of ${compiled} threads and launched with ${block}`,
      'set P_BLOCK in `space`, and launch with it',
    )
  if (!Number.isInteger(ldsBytes) || ldsBytes < 0 || ldsBytes > target.ldsMaxBytes)
    bad(`a block of ${entry} cannot have ${ldsBytes} bytes of LDS`, `possible: 0 to ${target.ldsMaxBytes}`)
}

/** What the prelude takes without a default, or with one of the platform's (docs/prelude.md). */
export const preludeKnobs: ReadonlySet<string> = new Set(['P_WAVE', 'P_BLOCK', 'P_BLOCKS_PER_CU'])

function checkDefines(spec: KernelSpec, contract: Contract, defines: Defines, bad: Bad): void {
  for (const [name, value] of Object.entries(defines)) {
    if (preludeKnobs.has(name)) continue
    if (!contract.allKnobs.has(name))
      bad(`kernel ${spec.name} sets ${name}, which its template does not have`, hintFor(name, [...contract.knobs]))
    const isValue =
      typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string' && /^[^\n]+$/.test(value)
    if (!isValue)
      bad(`${name} of kernel ${spec.name} is ${String(value)}`, 'a define is a finite number, or C++ on one line')
  }
  for (const name of [...contract.knobs, 'P_BLOCK'])
    if (defines[name] === undefined && name !== 'P_WAVE')
      bad(
        `nothing sets ${name} of kernel ${spec.name}`,
        'set it in `fixed` or `space`: a default is for compiling the file alone',
      )
}

function checkExtent(what: string, extent: Extent, site: Site, bad: Bad): void {
  const isExtent = (e: unknown): boolean =>
    typeof e === 'number'
      ? Number.isSafeInteger(e) && e >= 0
      : typeof e === 'object' && e !== null
        ? 'a' in e && 'b' in e && isExtent(e.a) && isExtent(e.b)
        : isSymbol(e)
  if (!isExtent(extent))
    bad(
      `${what} is ${JSON.stringify(extent) ?? 'undefined'}`,
      'a whole number, a dim, or times, plus, ceilDiv, least of such',
    )
  const known = new Set(Object.values(site.types).flatMap(({ shape }) => shape))
  const foreign = symbolsOf(extent).find((symbol) => !known.has(symbol))
  if (foreign !== undefined) bad(`${what} depends on ${foreign}, which is no dim of its operands`)
}
