// Where this package lies on disk: sources run from the tree and from the bundles in dist/, and both read data files
// (templates, the host library's source, workers) relative to the package. A bundler that copies our code into an
// application's file takes it away from them.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Diagnostic } from './diagnostic.ts'

let found: string | undefined

/** Absolute path of the folder that holds our package.json. Diagnostic `bundled`. */
export function packageRoot(): string {
  found ??= packageRootAbove(import.meta.url)
  return found
}

/** The package around a module. `url` is what `import.meta.url` is there: nothing, in a CommonJS bundle. */
export function packageRootAbove(url: string | undefined): string {
  if (!url?.startsWith('file:')) throw bundled('the code runs from a file that does not know its place')
  const from = fileURLToPath(url)
  for (let folder = dirname(from); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && isOurs(readFileSync(manifest, 'utf8'))) {
      if (existsSync(join(folder, 'hip-templates'))) return folder
      throw bundled('the folder of the package has no kernel templates', folder)
    }
    if (dirname(folder) === folder) throw bundled('the code runs outside of the folder of its package', from)
  }
}

function isOurs(manifest: string): boolean {
  try {
    return JSON.parse(manifest)?.name === 'rocmforge'
  } catch {
    return false // an application's own file, with comments perhaps
  }
}

function bundled(why: string, at?: string): Diagnostic {
  return new Diagnostic({
    code: 'bundled',
    message: `rocmforge cannot run from inside a bundle: ${why}`,
    facts: [
      ...(at ? [['at', at] as const] : []),
      ['esbuild', '--external:rocmforge --external:koffi'],
      ['Next', "serverExternalPackages: ['rocmforge', 'koffi']"],
      ['webpack', "externals: { rocmforge: 'module rocmforge', koffi: 'commonjs koffi' }"],
      ['rollup', "external: ['rocmforge', 'koffi']; vite: ssr: { external: ['rocmforge', 'koffi'] }"],
      ['bun', '--external rocmforge --external koffi'],
    ],
    help: 'mark rocmforge and koffi as external, and ship node_modules with both beside the bundle',
  })
}
