import { testKernels } from '../kernel-harness.ts'
import { normCases } from './norm-cases.ts'

testKernels('norms', normCases, { sanitized: ['layer_norm f32[3, 37] w f32', 'rms_norm of a slice'] })
