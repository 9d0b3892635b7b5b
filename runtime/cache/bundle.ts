// Kernel caches in one file, to ship or to move. Entries travel as their whole files, each with its hash, all under
// one hash, and nothing of a bundle decides where a file goes: names are computed from what the entries hold.
//
//   0   8  magic "RFBUNDLE"
//   8   4  version, u32 little-endian
//   12  4  bytes of the index, u32
//   16     index: JSON, UTF-8: [{ target, key, bytes, sha256 }], sorted
//          entries, concatenated in that order
//          sha256 of all bytes before it
//
// What a self-check found on one machine stays there: the importer checks again. So equal kernels give equal bundles.
import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { fail } from '../../ir/diagnostic.ts'
import { decodeEntry, type Entry, encodeEntry, isTargetFolder, sha256, targetFolder } from './entry.ts'
import { type FileLayer, realFiles, writeAtomically } from './file-layer.ts'
import type { KernelCache } from './kernel-cache.ts'

const bundleVersion = 1
const magic = Buffer.from('RFBUNDLE')
const fixedBytes = 16
const hashBytes = 32

const indexRow = z.strictObject({
  target: z.string(),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

export interface BundleReport {
  /** entries written to the bundle or the cache */
  readonly entries: number
  /** ids of their targets, sorted */
  readonly targets: readonly string[]
  readonly bytes: number
  /** what was left out, and why */
  readonly skipped: readonly string[]
}

/**
 * Writes entries of `cache` to the file `path`: those of `targets` (ids) and `keys`, or all; damaged ones are skipped.
 * Errors: `empty-bundle`, `bundle-write`.
 */
export function exportBundle(
  cache: KernelCache,
  path: string,
  {
    targets,
    keys,
    files = realFiles,
  }: {
    readonly targets?: readonly string[]
    readonly keys?: ReadonlySet<string>
    readonly files?: FileLayer
  } = {},
): BundleReport {
  const wanted = targets && new Set(targets.map(targetFolder))
  const skipped: string[] = []
  const found = new Map<string, Entry>()
  for (const row of cache.verify()) {
    if ((wanted && !wanted.has(row.folder)) || (keys && !keys.has(row.key))) continue
    if ('damage' in row) skipped.push(`${row.path}: ${row.damage}`)
    else if (!found.has(row.entry.key)) found.set(row.entry.key, row.entry) // the writable cache comes first
  }
  if (found.size === 0) {
    fail({
      code: 'empty-bundle',
      message: 'no kernel to export',
      facts: [
        ['cache', cache.root],
        ['targets', targets?.join(', ') ?? 'all'],
      ],
      help: 'fill the cache first: `rocmforge build MODEL --target …`',
    })
  }
  const bundle = encodeBundle([...found.values()])
  try {
    writeAtomically(files, dirname(path), basename(path), bundle)
  } catch (error) {
    fail({ code: 'bundle-write', message: `cannot write ${path}`, facts: [['system', String(error)]] }, error)
  }
  return { entries: found.size, targets: targetsOf([...found.values()]), bytes: bundle.length, skipped }
}

const targetsOf = (entries: readonly Entry[]): string[] => [...new Set(entries.map(({ parts }) => parts.target))].sort()

/** The bytes of a bundle of these entries, in an order of its own. */
function encodeBundle(entries: readonly Entry[]): Buffer {
  const rows = entries
    .map(({ image, key, selfCheck: _, ...header }) => {
      const bytes = encodeEntry(header, image)
      return { index: { target: header.parts.target, key, bytes: bytes.length, sha256: sha256(bytes) }, bytes }
    })
    .sort((a, b) => (order(a.index) < order(b.index) ? -1 : 1))
  const index = Buffer.from(JSON.stringify(rows.map((row) => row.index)))
  const fixed = Buffer.alloc(fixedBytes)
  magic.copy(fixed)
  fixed.writeUInt32LE(bundleVersion, 8)
  fixed.writeUInt32LE(index.length, 12)
  const content = Buffer.concat([fixed, index, ...rows.map((row) => row.bytes)])
  return Buffer.concat([content, Buffer.from(sha256(content), 'hex')])
}

const order = ({ target, key }: { target: string; key: string }): string => `${target} ${key}`

/** Every entry of a bundle, all checks made. Error: `bad-bundle`, which names what is wrong. */
export function decodeBundle(bytes: Buffer, name = 'bundle'): Entry[] {
  const bad = (why: string): never =>
    fail({
      code: 'bad-bundle',
      message: `${name} cannot be imported: ${why}`,
      help: 'copy or make it again: `rocmforge cache export FILE`; nothing was imported',
    })
  if (bytes.length < fixedBytes + hashBytes || !bytes.subarray(0, 8).equals(magic)) bad('not a bundle of kernels')
  const version = bytes.readUInt32LE(8)
  if (version !== bundleVersion) bad(`version ${version}, this release reads ${bundleVersion}`)
  const end = bytes.length - hashBytes
  if (sha256(bytes.subarray(0, end)) !== bytes.toString('hex', end)) bad('its checksum does not match')
  const start = fixedBytes + bytes.readUInt32LE(12)
  if (start > end) bad('its index is longer than the file')
  let rows: z.infer<typeof indexRow>[] = []
  try {
    rows = z.array(indexRow).parse(JSON.parse(bytes.toString('utf8', fixedBytes, start)))
  } catch {
    bad('its index cannot be read')
  }
  if (start + rows.reduce((sum, row) => sum + row.bytes, 0) !== end) bad('its sizes do not add up')
  let at = start
  return rows.map((row) => {
    const folder = targetFolder(row.target)
    if (!isTargetFolder(folder)) bad(`${JSON.stringify(row.target)} is no target`)
    const content = bytes.subarray(at, at + row.bytes)
    at += row.bytes
    if (sha256(content) !== row.sha256) bad(`the checksum of ${row.key} does not match`)
    const entry = decodeEntry(content, { key: row.key, folder })
    return typeof entry === 'string' ? bad(`${row.key}: ${entry}`) : entry
  })
}

/**
 * Puts the entries of the bundle `path` into the writable cache, each into its own target's folder. All or nothing is
 * read; an entry that is there already is kept. Errors: `bundle-read`, `bad-bundle`.
 */
export function importBundle(
  cache: KernelCache,
  path: string,
  { files = realFiles }: { readonly files?: FileLayer } = {},
): BundleReport {
  let bytes: Buffer | undefined
  try {
    bytes = files.read(path)
  } catch (error) {
    fail({ code: 'bundle-read', message: `cannot read ${path}`, facts: [['system', String(error)]] }, error)
  }
  if (!bytes) fail({ code: 'bundle-read', message: `${path} is not a file`, help: 'give the file of an export' })
  const skipped: string[] = []
  const imported = decodeBundle(bytes, path).filter(({ parts, key, image, ...header }) => {
    const { schema: _, ...keyInput } = parts
    if (cache.get(keyInput)) skipped.push(`${key}: present already`)
    else if (cache.put(keyInput, { ...header, image })) return true
    else skipped.push(`${key}: could not be written`)
    return false
  })
  return { entries: imported.length, targets: targetsOf(imported), bytes: bytes.length, skipped }
}
