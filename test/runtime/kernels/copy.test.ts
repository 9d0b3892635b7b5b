import { testKernels } from '../kernel-harness.ts'
import { copyCases } from './copy-cases.ts'

testKernels('copies', copyCases, {
  sanitized: [
    'gather_rows bf16, odd',
    'contiguous odd slice bf16→f32',
    'contiguous transposed heads',
    'embed q6_k[11, 256]→f32',
  ],
})
