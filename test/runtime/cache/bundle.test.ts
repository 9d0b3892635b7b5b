import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { decodeBundle, exportBundle, importBundle } from '../../../runtime/cache/bundle.ts'
import { sha256 } from '../../../runtime/cache/entry.ts'
import { type KeyInput, openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { flipByte, refusingFiles } from './faulty-files.ts'

const scratch = mkdtempSync(join(tmpdir(), 'rocmforge-bundle-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

let folder: string
let file: string
let runs = 0
beforeEach(() => {
  folder = join(scratch, String(runs++))
  file = join(scratch, `${runs}.bundle`)
})

const open = (name: string) => openKernelCache({ root: join(folder, name), readOnly: [], onWarning: () => {} })
const parts = (target: string, source = 'kernel'): KeyInput => ({
  source: sha256(source),
  options: [],
  target,
  compiler: 'c',
})
const built = (text: string) => ({ label: 'l', kernels: ['k'], log: '', resources: [], image: Buffer.from(text) })
const targets = ['gfx1100', 'gfx90a:sramecc+:xnack-', 'host', 'host-wave64']

function filled(name = 'from') {
  const cache = open(name)
  for (const target of targets) cache.put(parts(target), built(target))
  return cache
}

test('what is exported can be imported, each target into its own folder', () => {
  expect(exportBundle(filled(), file)).toMatchObject({ entries: 4, targets, skipped: [] })
  const to = open('to')
  expect(importBundle(to, file)).toMatchObject({ entries: 4, targets })
  expect(readdirSync(to.root)).toEqual(['gfx1100', 'gfx90a.sramecc+.xnack-', 'host', 'host-wave64'])
  for (const target of targets) expect(Buffer.from(to.get(parts(target))!.image).toString()).toBe(target)
  expect(to.get(parts('gfx90a'))).toBeUndefined()
  expect(importBundle(to, file)).toMatchObject({ entries: 0, skipped: expect.arrayContaining([expect.any(String)]) })
})

test('equal kernels give equal bundles, whoever checked them and in whatever order they came', () => {
  const one = filled('one')
  one.setSelfCheck(parts('gfx1100'), { outcome: 'passed', device: 'here' })
  const two = open('two')
  for (const target of [...targets].reverse()) two.put(parts(target), built(target))
  exportBundle(one, file)
  exportBundle(two, `${file}.2`)
  expect(readFileSync(file)).toEqual(readFileSync(`${file}.2`))
  importBundle(open('to'), file)
  expect(open('to').get(parts('gfx1100'))!.selfCheck).toBeUndefined()
})

test('some targets only; damaged entries are left out and named', () => {
  const cache = filled()
  expect(exportBundle(cache, file, { targets: ['host', 'gfx90a:sramecc+:xnack-'] }).entries).toBe(2)
  flipByte(cache.list().find((row) => row.folder === 'host')!.path, 50)
  const report = exportBundle(cache, file)
  expect(report).toMatchObject({ entries: 3, skipped: [expect.stringContaining('checksum')] })
  expect(() => exportBundle(cache, file, { targets: ['gfx900'] })).toThrow(/no kernel to export/)
})

test('a bundle with any byte changed, or cut anywhere, is refused as a whole', () => {
  exportBundle(filled(), file)
  const whole = readFileSync(file)
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole)
    bytes[at] = bytes[at]! ^ 1
    expect(() => decodeBundle(bytes), `byte ${at}`).toThrow(/cannot be imported/)
  }
  for (let size = 0; size < whole.length; size += 7) expect(() => decodeBundle(whole.subarray(0, size))).toThrow()
  const to = open('to')
  flipByte(file, whole.length - 100)
  expect(() => importBundle(to, file)).toThrow(/checksum does not match/)
  expect(to.list()).toEqual([])
})

/** A bundle whose hashes are right and whose index says something else. */
function forged(change: (index: Record<string, unknown>[]) => void): Buffer {
  exportBundle(filled(), file)
  const bytes = readFileSync(file)
  const size = bytes.readUInt32LE(12)
  const index = JSON.parse(bytes.toString('utf8', 16, 16 + size))
  change(index)
  const json = Buffer.from(JSON.stringify(index))
  const head = Buffer.from(bytes.subarray(0, 16))
  head.writeUInt32LE(json.length, 12)
  const content = Buffer.concat([head, json, bytes.subarray(16 + size, bytes.length - 32)])
  return Buffer.concat([content, Buffer.from(sha256(content), 'hex')])
}

test.each([
  ['a path as target', (index: Record<string, unknown>[]) => (index[0]!['target'] = '../../etc'), /is no target/],
  ['an absolute path', (index: Record<string, unknown>[]) => (index[0]!['target'] = '/etc'), /is no target/],
  ['another target', (index: Record<string, unknown>[]) => (index[0]!['target'] = 'gfx1101'), /entry of gfx1100/],
  ['a path as key', (index: Record<string, unknown>[]) => (index[0]!['key'] = '../x'), /index cannot be read/],
  ['another key', (index: Record<string, unknown>[]) => (index[0]!['key'] = '0'.repeat(64)), /entry of another key/],
  ['a wrong size', (index: Record<string, unknown>[]) => (index[0]!['bytes'] = 5), /sizes do not add up/],
  ['a huge size', (index: Record<string, unknown>[]) => (index[0]!['bytes'] = 2 ** 52), /sizes do not add up/],
  ['a field more', (index: Record<string, unknown>[]) => (index[0]!['path'] = 'x'), /index cannot be read/],
])('a forged index with %s is refused', (_, change, message) => {
  writeFileSync(file, forged(change))
  expect(() => importBundle(open('to'), file)).toThrow(message)
  expect(open('to').list()).toEqual([])
})

test('missing files, other files and caches that cannot be written are said clearly', () => {
  expect(() => importBundle(open('to'), join(scratch, 'absent'))).toThrow(/is not a file/)
  writeFileSync(file, '<html>')
  expect(() => importBundle(open('to'), file)).toThrow(/not a bundle of kernels/)
  exportBundle(filled(), file)
  const refusing = openKernelCache({ root: folder, readOnly: [], files: refusingFiles('EROFS'), onWarning: () => {} })
  expect(importBundle(refusing, file)).toMatchObject({ entries: 0, skipped: { length: 4 } })
  expect(() => exportBundle(filled(), join(scratch, 'no', 'such', 'folder'))).toThrow(/cannot write/)
})
