import { testKernels } from '../kernel-harness.ts'
import { elementwiseCases } from './elementwise-cases.ts'

testKernels('elementwise', elementwiseCases, {
  sanitized: ['gelu f16', 'silu of a slice', 'add f16[T,4,9] f32[9] T=5'],
})
