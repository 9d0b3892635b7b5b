// From ids back to text where each id stands for some bytes, and the bytes of several ids may make one character.
import { utf8Decoder } from './bytes.ts'
import type { StreamDecoder } from './tokenizer.ts'
import type { Decoding } from './vocabulary.ts'

interface Pieces {
  /** bytes of an id */
  bytesOf(id: number): Uint8Array
  isSpecial(id: number): boolean
  /** encoding puts a space before the text, so that decoding from the start takes one away */
  readonly stripLeadingSpace: boolean
}

export function decodingOfPieces(pieces: Pieces): Decoding {
  const stream: Decoding['stream'] = ({ special = false, continues = false }): StreamDecoder => {
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
  return {
    stream,
    decode(ids, options) {
      const decoder = stream(options)
      const parts: string[] = []
      for (const id of ids) parts.push(decoder.push(id))
      parts.push(decoder.end())
      return parts.join('')
    },
  }
}
