// The two halves of a kernel's contract, its spec and its .hip file, say the same: entries, arguments, P_* parameters.
import { describe, expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { evaluate } from '../../codegen/extent.ts'
import { contractOf, preludeKnobs } from '../../codegen/kernel-contract.ts'
import { catalogLimits, kernelCatalog } from '../../codegen/kernels/catalog.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import type { Program } from '../../codegen/program.ts'
import { listTemplates } from '../../codegen/source.ts'
import { gpuTargets, hostTarget } from '../../codegen/targets.ts'
import { GraphBuilder } from '../../ir/builder.ts'
import { allOps } from '../../ir/op.ts'
import type { Target } from '../../ir/target.ts'
import type { KernelCase } from '../runtime/kernel-harness.ts'
import { attentionCases, productCases } from '../runtime/kernels/attention-cases.ts'
import { cacheCases } from '../runtime/kernels/cache-cases.ts'
import { copyCases } from '../runtime/kernels/copy-cases.ts'
import { elementwiseCases } from '../runtime/kernels/elementwise-cases.ts'
import { normCases } from '../runtime/kernels/norm-cases.ts'
import { publishCases } from '../runtime/kernels/publish-cases.ts'
import { sampleCases } from '../runtime/kernels/sample-cases.ts'
import { softmaxCases } from '../runtime/kernels/softmax-cases.ts'

const cases: readonly KernelCase[] = [
  ...normCases,
  ...elementwiseCases,
  ...cacheCases,
  ...softmaxCases,
  ...copyCases,
  ...attentionCases,
  ...productCases,
  ...sampleCases,
  ...publishCases,
]

function program(one: KernelCase, target: Target): Program {
  const builder = new GraphBuilder('kernel')
  one.graph(builder)
  return compileProgram(builder.build(), {
    target,
    limits: one.bindings ?? {},
    ...(one.specs ? { specs: one.specs } : {}),
  })
}

/** Matmuls in every form, weight formats, epilogues, few tokens and many; attention likewise. */
const products = kernelCatalog().filter(({ graph }) =>
  graph.order.some((id) => /matmul|^attention$/.test(graph.nodes[id]!.op)),
)

describe('entries', () => {
  test.each(kernelSpecs.map((spec) => [spec.name, spec] as const))('%s has its arguments in order', (_, spec) => {
    const { entries } = contractOf(spec.template)
    for (const { entry, args } of spec.stages)
      expect(
        entries.get(entry)?.map(({ name }) => name),
        entry,
      ).toEqual(args)
  })
})

describe('parameters', () => {
  const target = (wanted: string) => gpuTargets.find(({ name }) => name === wanted)!
  const compiled = [
    ...[hostTarget(), target('gfx942')].flatMap((on) => cases.flatMap((one) => program(one, on).kernels)),
    ...[hostTarget(), target('gfx942'), target('gfx1100'), target('sm_90')].flatMap((on) =>
      products.flatMap(({ graph }) => compileProgram(graph, { target: on, limits: catalogLimits }).kernels),
    ),
  ]
  const templates = [...new Set(compiled.map(({ template }) => template))].sort()

  test('cases reach every template', () => {
    expect(templates).toEqual(listTemplates().filter((name) => kernelSpecs.some(({ template }) => template === name)))
  })

  test.each(templates)('%s takes what its spec sets, and its spec sets all it takes', (template) => {
    const { knobs, allKnobs } = contractOf(template)
    for (const { defines } of compiled.filter((kernel) => kernel.template === template)) {
      const set = Object.keys(defines).filter((name) => name.startsWith('P_'))
      for (const name of set.filter((one) => !preludeKnobs.has(one)))
        expect([...allKnobs], `${template} has no ${name}`).toContain(name)
      for (const name of knobs) expect(set, `nothing sets ${name} of ${template}`).toContain(name)
    }
  })

  test('some spec sets each parameter of the headers', () => {
    const set = new Set(compiled.flatMap(({ defines }) => Object.keys(defines)))
    const wanted = kernelSpecs.flatMap(({ template }) => [...contractOf(template).allKnobs])
    const preludes = ['P_ELEM'] // of templates with one element type
    expect([...new Set(wanted)].filter((name) => !set.has(name) && !preludes.includes(name))).toEqual([])
  })
})

describe('launches', () => {
  test.each(gpuTargets.map((target) => [target.name, target] as const))('%s allows every block', (_, target) => {
    for (const one of cases) {
      for (const { block, entry } of program(one, target).calls) {
        expect(block % target.wave, `${entry} of ${one.name}`).toBe(0)
        expect(block).toBeLessThanOrEqual(target.maxBlock)
      }
    }
  })

  test('the grid of a decode step depends on no symbol that a step binds', () => {
    const decode = attentionCases.filter(({ name }) => name.startsWith('decode') || name.startsWith('split'))
    const target = gpuTargets.find(({ name }) => name === 'gfx1100')!
    for (const one of decode)
      for (const { grid } of program(one, target).calls) expect(evaluate(grid, {}), one.name).toBeGreaterThan(0)
  })

  test('more splits than a short context needs are launched, so that a long one can be replayed', () => {
    const target = gpuTargets.find(({ name }) => name === 'gfx942')!
    const split = attentionCases.find(({ name }) => name.startsWith('split groups of 2'))!
    const [first, ...others] = program(split, target).calls
    expect([first!.entry, others]).toEqual(['attention_split', []])
    expect(evaluate(first!.grid, {})).toBeGreaterThan(target.cus)
  })
})

test('every op has a kernel, but views, what loaders evaluate, and what expands', () => {
  const served = new Set(kernelSpecs.map((spec) => spec.implements))
  const missing = allOps().filter(
    (op) => !served.has(op.name) && !op.traits.includes('view') && !op.traits.includes('load') && !op.expand,
  )
  expect(missing.map((op) => op.name)).toEqual([])
})
