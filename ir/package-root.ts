// Where this package lies on disk: sources run from the tree and from the bundles in dist/, and both read data files
// (templates, the host library's source) relative to the package.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

let found: string | undefined

/** Absolute path of the folder that holds our package.json. */
export function packageRoot(): string {
  if (found) return found
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'rocmforge') break
    const parent = dirname(folder)
    if (parent === folder) throw new Error('internal: rocmforge runs outside its package folder, please report')
    folder = parent
  }
  found = folder
  return folder
}
