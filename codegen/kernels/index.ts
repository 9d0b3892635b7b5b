// Every kernel the compiler may choose, per op in order of preference.
import type { KernelSpec } from '../kernel.ts'
import { matmulKernels } from './matmul.ts'

export const kernelSpecs: readonly KernelSpec[] = [...matmulKernels]
