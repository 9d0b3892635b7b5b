import { testKernels } from '../kernel-harness.ts'
import { publishCases } from './publish-cases.ts'

testKernels('publish', publishCases, { sanitized: ['publish R=5 step 6'] })
