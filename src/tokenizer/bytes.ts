// Bytes of text: the printable spelling that byte-level vocabularies give each byte, and the decoding of bytes that
// arrive in pieces.

/** Byte-level vocabularies spell byte b as a printable character: itself where it is one, else U+0100 and up in order. */
export const byteToChar: readonly string[] = (() => {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  let spare = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : spare++))
})()

const charToByte = new Map(byteToChar.map((char, byte) => [char, byte]))
const utf8 = new TextEncoder()

/** UTF-8 of a text; a lone surrogate becomes U+FFFD. */
export const encodeUtf8 = (text: string): Uint8Array => utf8.encode(text)

/** The byte-level spelling of a text: one character a byte. */
export function spellBytes(text: string): string {
  let spelled = ''
  for (const byte of encodeUtf8(text)) spelled += byteToChar[byte]
  return spelled
}

/** The bytes that a byte-level piece such as `Ġthe` stands for; a piece with any other character is plain text. */
export function bytesOfPiece(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length)
  for (let at = 0; at < piece.length; at++) {
    const byte = charToByte.get(piece[at]!)
    if (byte === undefined) return encodeUtf8(piece)
    bytes[at] = byte
  }
  return bytes
}

/** The byte of a SentencePiece byte piece `<0x0A>`, or undefined for any other piece. */
export function byteOfPiece(piece: string): number | undefined {
  const found = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)
  return found ? Number.parseInt(found[1]!, 16) : undefined
}

/** Decodes UTF-8 that arrives in parts; malformed bytes become U+FFFD, a byte order mark stays. */
export const utf8Decoder = () => new TextDecoder('utf-8', { ignoreBOM: true })
