// From ids back to text: each id stands for some bytes, the bytes of several ids may make one character.
import { utf8Decoder } from './bytes.ts'
import type { DecodeOptions, StreamDecoder } from './tokenizer.ts'

export interface Pieces {
  /** bytes of an id; throws for an id outside the vocabulary */
  bytesOf(id: number): Uint8Array
  isSpecial(id: number): boolean
  /** encoding puts a space before the text, so that decoding from the start takes one away */
  readonly stripLeadingSpace: boolean
}

export function decodePieces(pieces: Pieces, ids: Iterable<number>, options: DecodeOptions = {}): string {
  const stream = streamPieces(pieces, options)
  const parts: string[] = []
  for (const id of ids) parts.push(stream.push(id))
  parts.push(stream.end())
  return parts.join('')
}

export function streamPieces(
  pieces: Pieces,
  { special = false, continues = false }: DecodeOptions = {},
): StreamDecoder {
  const decoder = utf8Decoder()
  let atStart = pieces.stripLeadingSpace && !continues
  return {
    push(id) {
      const isSpecial = pieces.isSpecial(id)
      let bytes = pieces.bytesOf(id)
      if (isSpecial && !special) return ''
      if (atStart && !isSpecial && bytes.length > 0) {
        if (bytes[0] === 0x20) bytes = bytes.subarray(1)
        atStart = false
      }
      return decoder.decode(bytes, { stream: true })
    },
    end: () => decoder.decode(),
  }
}
