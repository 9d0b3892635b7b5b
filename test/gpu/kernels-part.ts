// Every kernel of the registry on the device against its op's reference: the case tables of the host's tests.
import { listTemplates } from '../../codegen/source.ts'
import { KernelBench, type KernelCase } from '../runtime/kernel-harness.ts'
import { attentionCases, prefillMatrixCases, productCases } from '../runtime/kernels/attention-cases.ts'
import { cacheCases } from '../runtime/kernels/cache-cases.ts'
import { copyCases } from '../runtime/kernels/copy-cases.ts'
import { elementwiseCases } from '../runtime/kernels/elementwise-cases.ts'
import { largeMatrixCases, matrixCases } from '../runtime/kernels/gemv-cases.ts'
import { type Case, checkCases, epilogues, formats, onMatrixUnits } from '../runtime/kernels/matmul-cases.ts'
import { normCases } from '../runtime/kernels/norm-cases.ts'
import { publishCases } from '../runtime/kernels/publish-cases.ts'
import { sampleCases } from '../runtime/kernels/sample-cases.ts'
import { softmaxCases } from '../runtime/kernels/softmax-cases.ts'
import { describeError, type Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

const tables: readonly (readonly [title: string, cases: readonly KernelCase[]])[] = [
  ['norms', normCases],
  ['softmax', softmaxCases],
  ['elementwise', elementwiseCases],
  ['copies and gathers', copyCases],
  ['caches and rope', cacheCases],
  ['attention', attentionCases],
  ['attention as two products', productCases],
  ['sampling', sampleCases],
  ['publishing tokens', publishCases],
]

export async function kernelsPart(suite: Suite, device: SuiteDevice, quick: boolean): Promise<void> {
  const bench = new KernelBench(device.driver, device.target) // its driver is the suite's: not disposed of here
  let run = 0
  const onMatrix: (typeof tables)[number] = ['matrix instructions', [...matrixCases, ...largeMatrixCases]]
  const onUnits: (typeof tables)[number] = ['attention of prompts on matrix units', prefillMatrixCases]
  const some = [...(device.target.matrix === 'none' ? [] : [onUnits]), ...(quick ? tables.slice(0, 2) : tables)]
  for (const [title, all] of device.target.matrix === 'mma' ? [onMatrix, ...some] : some) {
    const start = performance.now()
    if (!(await suite.check(`${title}: ${all.length} cases compile`, () => bench.compile(all)))) continue
    const failed: string[] = []
    for (const one of all) {
      run++
      try {
        bench.check(one)
      } catch (error) {
        failed.push(`${one.name}: ${describeError(error)}`)
      }
    }
    await suite.check(`${title}: ${all.length} cases agree with the references`, () => {
      if (failed.length) throw new Error(`${failed.length} of ${all.length} cases\n${failed.slice(0, 12).join('\n')}`)
    })
    suite.note(`${title}: ${((performance.now() - start) / 1e3).toFixed(1)} s`)
  }
  const long: Case[] = [
    { op: 'matmul', w: 'bf16', x: 'bf16', K: 4096, N: 320 },
    { op: 'matmul_swiglu', w: 'f16', x: 'f32', K: 2048, N: 272 },
    { op: 'matmul_add', w: 'q8_0', x: 'f32', y: 'f32', K: 4096, N: 96 },
  ]
  const every = quick ? formats.slice(0, 4) : [...formats, ...epilogues, ...long]
  const matmuls = (
    title: string,
    cases: readonly Case[],
    ...how: [T: number | 'T', tokens: number[], scale?: number]
  ) => {
    run += cases.length * how[1].length
    return suite.check(`matmul, ${title}: ${cases.length} cases`, () => checkCases(device, cases, ...how))
  }
  if (device.target.matrix !== 'none') await matmuls('matrix units', onMatrixUnits, 'T', [1, 70])
  await matmuls('one token', every, 1, [1])
  if (!quick) {
    await matmuls('three tokens', [...epilogues, ...long], 3, [3])
    await matmuls('six tokens', epilogues, 6, [6])
    await matmuls('any number of tokens', every, 'T', [1, 3, 17, 70, 150, 0])
    await matmuls(
      'long rows, large magnitudes',
      [{ op: 'matmul', w: 'f32', x: 'f32', K: 5000, N: 9 }],
      'T',
      [1, 2],
      1e15,
    )
  }
  suite.figure({ name: 'kernel runs compared with references', value: run, unit: 'runs' })
  suite.note(`templates in the tree: ${listTemplates().join(', ')}`)
}
