import { editPass } from './rewrite.ts'

/** Removes nodes whose results nothing reads, and weights that nothing reads. */
export const deadCode = editPass(
  { name: 'dead-code', doc: 'Saves the kernels of values that nothing reads.', numerics: 'exact' },
  (rewriter) => rewriter.sweepDead(),
)
