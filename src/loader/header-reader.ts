// Reads the numbers and strings of a binary header in order, through one small buffer. Every length is compared with
// what is left of the file (and of the header budget) before a byte of it is allocated or skipped.
import { type Fact, fail } from '../../ir/diagnostic.ts'
import type { DiagnosticCode } from '../../ir/diagnostic-codes.ts'
import type { SourceFile } from './source-file.ts'

/** Bytes in the buffer. */
const chunkBytes = 1 << 18
/** A header may not be longer than this many bytes: room for vocabularies of some millions of tokens. */
const headerLimit = 128 * 2 ** 20

export interface HeaderReader {
  /** bytes read so far, from the start of the file */
  readonly position: number
  /** what is being read, for messages: `metadata key 3 of 20` */
  at: string
  u32(): number
  /** a u64 up to 2^53, for lengths and counts; a larger one is refused */
  count(what: string): number
  /** `length` bytes, copied */
  bytes(length: number, what: string): Uint8Array<ArrayBuffer>
  /** `length` bytes as UTF-8; a bad sequence becomes U+FFFD */
  text(length: number, what: string): string
  /** Refuses `wanted` bytes of `what` when the file cannot hold them. */
  require(wanted: number, what: string): void
}

/** `code` names the Diagnostic for what the header says wrongly. */
export function headerReader(file: SourceFile, code: DiagnosticCode): HeaderReader {
  const end = Math.min(file.size, headerLimit)
  const buffer = Buffer.alloc(Math.min(chunkBytes, end))
  let start = 0 // of the buffer, in the file
  let filled = 0
  let next = 0 // in the buffer

  const require = (wanted: number, what: string): void => {
    const left = end - start - next
    if (wanted <= left) return
    const facts: Fact[] = [
      ['file', file.path],
      ['at', `${reader.at}, byte ${start + next}`],
    ]
    if (end < file.size) {
      fail({
        code,
        message: `the header is longer than ${headerLimit} bytes`,
        facts: [...facts, ['wanted', `${wanted} bytes for ${what}`]],
      })
    }
    fail({
      code: 'truncated-file',
      message: 'the file ends before what its header announces',
      facts: [
        ...facts,
        ['expected', `${wanted} more bytes for ${what}`],
        ['got', `${left} bytes up to the end of the file`],
      ],
      help: 'download or copy the file again and compare its size with the source',
    })
  }

  /** Makes `wanted` bytes (at most a chunk) lie in the buffer and returns where. */
  const take = (wanted: number, what: string): number => {
    if (next + wanted > filled) {
      require(wanted, what)
      start += next
      next = 0
      filled = Math.min(buffer.length, end - start)
      file.readSync(buffer.subarray(0, filled), start)
    }
    next += wanted
    return next - wanted
  }

  const reader: HeaderReader = {
    get position() {
      return start + next
    },
    at: 'header',
    u32: () => buffer.readUInt32LE(take(4, 'a number')),
    count(what) {
      const at = take(8, what)
      const value = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32
      if (value > Number.MAX_SAFE_INTEGER) {
        fail({
          code,
          message: `${what} is beyond any file`,
          facts: [
            ['file', file.path],
            ['at', reader.at],
            ['expected', 'at most 2^53'],
            ['got', `${buffer.readBigUInt64LE(at)}`],
          ],
        })
      }
      return value
    },
    bytes(length, what) {
      require(length, what)
      const out = new Uint8Array(length)
      for (let done = 0; done < length; ) {
        const part = Math.min(length - done, chunkBytes)
        const at = take(part, what)
        out.set(buffer.subarray(at, at + part), done)
        done += part
      }
      return out
    },
    text(length, what) {
      if (length > buffer.length) {
        const bytes = reader.bytes(length, what)
        return Buffer.from(bytes.buffer).toString('utf8')
      }
      const at = take(length, what)
      return buffer.toString('utf8', at, at + length)
    },
    require,
  }
  return reader
}
