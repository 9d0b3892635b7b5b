// fast-check with one seed for every run, so that a change is judged by what it changed. ROCMFORGE_TEST_SEED=n looks at
// other cases; a failure prints the seed it had.
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env['ROCMFORGE_TEST_SEED'] ?? 1) })

export default fc
