// The bytes of one kernel cache entry: how they are laid out, and every check that a reader makes.
//
//   0   8  magic "RFKERNEL"
//   8   4  schema version, u32 little-endian
//   12  4  bytes of the header, u32
//   16  8  bytes of the payload, u64
//   24     header: JSON, UTF-8
//          payload: the code object
//          sha256 of all bytes before it
//
// Nothing here depends on time or machine: the same kernel gives the same bytes. When an entry was made is the file's
// modification time, when it was last used its access time.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Dtype, isDtype, symbolPattern } from '../../ir/type.ts'
import { kernelResources } from './kernel-resources.ts'

const entrySchemaVersion = 1
const magic = Buffer.from('RFKERNEL')
const fixedBytes = 24
const checksumBytes = 32
const maxHeaderBytes = 16 << 20
const maxPayloadBytes = 1 << 30

const count = z.number().int().nonnegative()

/** Everything that decides a compiled kernel's bytes; its hash is the entry's name. */
const keyParts = z.object({
  schema: z.literal(entrySchemaVersion),
  /** sha256 of the source text, hex */
  source: z.string().regex(/^[0-9a-f]{64}$/),
  /** in order, -D list included */
  options: z.array(z.string()),
  /** id of the target with its feature settings */
  target: z.string(),
  /** name, version and build id of the compiler */
  compiler: z.string(),
})
export type KeyParts = z.infer<typeof keyParts>

const selfCheck = z.object({
  outcome: z.enum(['passed', 'failed']),
  /** which device and driver ran it */
  device: z.string(),
  detail: z.string().optional(),
})
export type SelfCheck = z.infer<typeof selfCheck>

/** A use of the kernel (KernelSite of codegen/program.ts), so that whoever loads the entry can check it. */
const kernelSite = z.object({
  kernel: z.string(),
  params: z.record(z.string(), z.number()),
  site: z.object({
    op: z.string(),
    types: z.record(
      z.string(),
      z.object({
        dtype: z.custom<Dtype>((name) => typeof name === 'string' && isDtype(name)),
        shape: z.array(z.union([z.number().int().nonnegative(), z.string().regex(symbolPattern)])),
        state: z.literal(true).optional(),
      }),
    ),
    attrs: z.record(z.string(), z.unknown()),
    views: z.record(
      z.string(),
      z.object({ base: z.string(), offset: count, strides: z.array(z.number().int().nullable()), groups: count }),
    ),
  }),
})

const entryHeader = z.object({
  parts: keyParts,
  /** template the kernel came from */
  label: z.string(),
  kernels: z.array(z.string()),
  log: z.string(),
  resources: z.array(kernelResources),
  site: kernelSite.optional(),
  selfCheck: selfCheck.optional(),
})
export type EntryHeader = z.infer<typeof entryHeader>

export interface Entry extends EntryHeader {
  readonly key: string
  readonly image: Uint8Array
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** Name of the entry of these parts: 64 hex digits. */
export function keyOf({ source, options, target, compiler }: Omit<KeyParts, 'schema'>): string {
  return sha256(JSON.stringify([entrySchemaVersion, source, options, target, compiler]))
}

export const isKey = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

/** Folder of a target's entries: its id without the characters that some file systems refuse. */
export const targetFolder = (id: string): string => id.replaceAll(':', '.')
export const isTargetFolder = (name: string): boolean => /^[a-z][a-z0-9_]*(?:[-.][a-z0-9_]+[+-]?)*$/.test(name)

export function encodeEntry(header: EntryHeader, image: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(entryHeader.parse(header))) // parse: fields in the schema's order
  const fixed = Buffer.alloc(fixedBytes)
  magic.copy(fixed)
  fixed.writeUInt32LE(entrySchemaVersion, 8)
  fixed.writeUInt32LE(json.length, 12)
  fixed.writeBigUInt64LE(BigInt(image.length), 16)
  const checksum = createHash('sha256').update(fixed).update(json).update(image).digest()
  return Buffer.concat([fixed, json, image, checksum])
}

/** An entry, or why the bytes are not one. With `expected`, also whether they are the entry that was asked for. */
export function decodeEntry(bytes: Buffer, expected?: { key: string; folder: string }): Entry | string {
  if (bytes.length < fixedBytes + checksumBytes) return `truncated: ${bytes.length} bytes`
  if (!bytes.subarray(0, 8).equals(magic)) return 'not a kernel cache entry'
  const schema = bytes.readUInt32LE(8)
  if (schema !== entrySchemaVersion) return `schema ${schema}, this version reads ${entrySchemaVersion}`
  const headerBytes = bytes.readUInt32LE(12)
  const payloadBytes = Number(bytes.readBigUInt64LE(16))
  if (headerBytes > maxHeaderBytes || payloadBytes > maxPayloadBytes) return 'sizes out of range'
  if (bytes.length !== fixedBytes + headerBytes + payloadBytes + checksumBytes) return 'sizes do not add up'
  const end = bytes.length - checksumBytes
  const checksum = createHash('sha256').update(bytes.subarray(0, end)).digest()
  if (!checksum.equals(bytes.subarray(end))) return 'checksum does not match'
  const header = parseHeader(bytes.toString('utf8', fixedBytes, fixedBytes + headerBytes))
  if (!header) return 'header does not match its schema'
  const key = keyOf(header.parts)
  if (expected && key !== expected.key) return 'entry of another key'
  if (expected && targetFolder(header.parts.target) !== expected.folder) return `entry of ${header.parts.target}`
  return { ...header, key, image: new Uint8Array(bytes.subarray(fixedBytes + headerBytes, end)) }
}

function parseHeader(json: string): EntryHeader | undefined {
  try {
    return entryHeader.parse(JSON.parse(json))
  } catch {
    return undefined // whoever wrote it had a valid checksum: still no reason to fall over
  }
}
