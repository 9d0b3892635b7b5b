// Bundles the GPU test suite and every program it starts. Used where Node is (dependencies stay in node_modules) and for
// the pack that goes to a machine without npm (everything but koffi inside the bundles).
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The kernel tests' cases come with vitest's words; outside of vitest a stand-in has the few that matter. */
const withoutVitest = {
  name: 'without-vitest',
  setup(context) {
    context.onResolve({ filter: /^vitest$/ }, () => ({ path: join(root, 'test/gpu/vitest-stand-in.ts') }))
  },
}

/**
 * Writes gpu-suite.js and what it starts into `folder`; `standAlone`: with all dependencies but koffi, the command line and the
 * children too.
 */
export async function bundleSuite(folder, { standAlone = false } = {}) {
  const alone = {
    cli: 'src/cli/main.ts',
    'check-worker': 'runtime/inspect/check-worker.ts',
    'compile-worker': 'runtime/compile/worker.ts',
    'device-probe': 'runtime/platform/device-probe.ts',
    'template-worker': 'src/tokenizer/template-worker.ts',
  }
  const entries = {
    'gpu-suite': 'test/gpu/main.ts',
    'first-token': 'test/gpu/first-token.ts',
    'story-worker': 'test/gpu/story-worker.ts',
    'cold-start': 'bench/cold-start.ts',
  }
  const named = standAlone ? { ...entries, ...alone } : entries
  await build({
    entryPoints: Object.fromEntries(Object.entries(named).map(([name, file]) => [name, join(root, file)])),
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    logLevel: 'warning',
    plugins: [withoutVitest],
    ...(standAlone
      ? {
          external: ['koffi'],
          // packages in CommonJS ask for Node's modules by require
          banner: {
            js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
          },
        }
      : { packages: 'external' }),
  })
}
