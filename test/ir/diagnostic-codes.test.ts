// Every code of the table is raised somewhere; that none is raised which it lacks is a matter of types.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { diagnosticTable } from '../../ir/diagnostic-codes.ts'
import { packageRoot } from '../../ir/package-root.ts'

const sources = ['ir', 'passes', 'codegen', 'runtime', 'src']
  .flatMap((folder) =>
    readdirSync(join(packageRoot(), folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && name !== 'diagnostic-codes.ts')
      .map((name) => readFileSync(join(packageRoot(), folder, name), 'utf8')),
  )
  .join('\n')
const codes = Object.values(diagnosticTable).flatMap((group) => Object.keys(group))

test('no code stands in two groups', () => expect(codes.length).toBe(new Set(codes).size))

test.each(codes)('%s is raised', (code) => expect(sources.includes(`'${code}'`)).toBe(true))
