import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../ir/package-root.ts'

/** Our version, as package.json says. */
export const readVersion = (): string => JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version
