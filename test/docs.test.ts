// What documents say must be so: docs/ops.md and docs/errors.md are what the code declares, and paths and links lead somewhere.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { documentCodes } from '../ir/diagnostic-codes.ts'
import { documentOps } from '../ir/document.ts'
import { packageRoot } from '../ir/package-root.ts'

const root = packageRoot()
const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
const read = (page: string) => readFileSync(join(root, 'docs', page), 'utf8')

test('docs/ops.md is what the ops declare (npm run docs writes it)', () => expect(read('ops.md')).toBe(documentOps()))

test('docs/errors.md is the table of codes (npm run docs writes it)', () =>
  expect(read('errors.md')).toBe(documentCodes()))

describe.each(pages)('docs/%s', (page) => {
  test('links lead somewhere', () => {
    const links = [...read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!)
    const local = links.filter((link) => !/^https?:/.test(link))
    expect(local.filter((link) => !existsSync(join(root, 'docs', dirname(page), link)))).toEqual([])
  })
  test('names files that exist', () => {
    const named = [
      ...read(page).matchAll(/`((?:ir|passes|codegen|runtime|hip-templates|src|test|scripts)\/[\w./-]+)`/g),
    ].map((match) => match[1]!)
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
