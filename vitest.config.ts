import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, in this order: begun first, they end while there are others left for the second worker. */
const longest = [
  'aot/compile-all',
  'runtime/kernels/attention',
  'e2e/stories',
  'aot/persistent',
  'e2e/architectures',
  'e2e/quantised',
  'e2e/processes',
  'e2e/replay',
  'runtime/kernels/',
  'e2e/',
  'src/cli/build',
  'runtime/inspect/self-check',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((path) => moduleId.includes(`test/${path}`))
      return at < 0 ? longest.length : at
    }
    return files
      .map((file) => ({ file, at: rank(file) }))
      .sort((a, b) => a.at - b.at || (a.file.moduleId < b.file.moduleId ? -1 : 1))
      .map(({ file }) => file)
  }
}

export default defineConfig({
  test: {
    globalSetup: ['test/global-setup.ts'],
    include: ['test/**/*.test.ts'],
    exclude: ['test/gpu/**'],
    // for machines that are slow or busy: no test takes a tenth of it on two idle cores
    testTimeout: 300_000,
    hookTimeout: 300_000,
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    poolOptions: { forks: { maxForks: 2 } },
  },
})
