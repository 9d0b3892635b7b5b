// `Precompiled`: SentencePiece's table of replacements, base64 of a double-array trie and the texts that it leads to.
// Layout: u32 bytes of the trie; the trie, u32 units; then the texts, UTF-8, each ended by NUL. A unit of the trie has its
// label in bits 0..7, a flag for "a key ends below" in bit 8, and the offset to its children in bits 10..30 (shifted by 8
// where bit 9 is set); a unit with bit 31 set is a value. Source: Yata's darts-clone.
import { encodeUtf8 } from '../bytes.ts'
import { badField, type Step } from './file.ts'
import type { Normalize } from './normalizer.ts'

/** a grapheme of this many bytes or more is looked up by its characters */
const LONG_GRAPHEME = 6

export function precompiled({ place, field }: Step): Normalize {
  const { trie, texts } = readTable(field.text('precompiled_charsmap'), `${place}.precompiled_charsmap`)
  const known = new Map<string, string | null>()

  /** What the shortest key that `part` begins with becomes, or null where none does. */
  const replacement = (part: string): string | null => {
    const seen = known.get(part)
    if (seen !== undefined) return seen
    const at = shortestKey(trie, encodeUtf8(part))
    let end = at
    while (at >= 0 && end < texts.length && texts[end] !== 0) end++
    const found = at < 0 || at > texts.length ? null : new TextDecoder().decode(texts.subarray(at, end))
    if (known.size > 20_000) known.clear()
    known.set(part, found)
    return found
  }
  const ofCharacters = (text: string) => {
    let normal = ''
    for (const char of text) normal += replacement(char) ?? char
    return normal
  }
  const ofGraphemes = (text: string) => {
    let normal = ''
    for (const segment of graphemes(text)) {
      const short = segment.length < LONG_GRAPHEME && encodeUtf8(segment).length < LONG_GRAPHEME
      normal += (short ? replacement(segment) : null) ?? ofCharacters(segment)
    }
    return normal
  }
  return (text) => byRuns(text, ofCharacters, ofGraphemes)
}

/** V8's segmenter takes time in the square of its text: it gets windows, each from where the last whole grapheme ended. */
function* graphemes(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    const last = from + WINDOW >= text.length
    const end = from + WINDOW
    const window = text.slice(from, !last && text.codePointAt(end - 1)! > 0xffff ? end + 1 : end)
    const found = Array.from(segmenter.segment(window), ({ segment }) => segment)
    if (!last && found.length > 1) found.pop() // may go on behind the window
    for (const segment of found) {
      from += segment.length
      yield segment
    }
  }
}

/** UTF-16 units */
const WINDOW = 256

/** characters beyond ASCII and CR, with those of ASCII that may belong to a grapheme with them */
const NOT_ALONE = /[\0-\x7f]?(?:[\r\x80-\u{10ffff}]+[\0-\x7f]?)+/gu

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

/** ASCII by characters, which stand alone but for CR LF and before a mark; other runs by graphemes. */
function byRuns(text: string, ofCharacters: Normalize, ofGraphemes: Normalize): string {
  let normal = ''
  let done = 0
  for (const { index, 0: run } of text.matchAll(NOT_ALONE)) {
    normal += ofCharacters(text.slice(done, index)) + ofGraphemes(run)
    done = index + run.length
  }
  return normal + ofCharacters(text.slice(done))
}

function readTable(base64: string, place: string): { trie: Uint32Array; texts: Uint8Array } {
  const bytes = /^[A-Za-z0-9+/]*={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : badField(place, 'is not base64')
  if (bytes.length < 4) badField(place, 'is too short for a table')
  const size = bytes.readUInt32LE(0)
  if (size % 4 !== 0 || size < 4 || 4 + size > bytes.length) {
    badField(place, `has a trie of ${size} bytes in ${bytes.length}`)
  }
  const trie = new Uint32Array(size / 4)
  for (let unit = 0; unit < trie.length; unit++) trie[unit] = bytes.readUInt32LE(4 + 4 * unit)
  return { trie, texts: bytes.subarray(4 + size) }
}

const offsetOf = (unit: number) => ((unit >>> 10) << ((unit & (1 << 9)) >>> 6)) >>> 0

/** The value of the shortest key that `bytes` begin with, or -1. */
function shortestKey(trie: Uint32Array, bytes: Uint8Array): number {
  let at = offsetOf(trie[0]!)
  for (const byte of bytes) {
    if (byte === 0) return -1
    at = (at ^ byte) >>> 0
    const unit = trie[at]
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return -1
    at = (at ^ offsetOf(unit)) >>> 0
    if ((unit >>> 8) & 1) return (trie[at] ?? 0) & 0x7fffffff
  }
  return -1
}
