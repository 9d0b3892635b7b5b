// A conversation to token ids, so that what a user wrote can never become a special token, however it is spelled, while
// the template's own special tokens do.
//
// The template sees the users' text almost as it is and may trim or inspect it: only the spellings of special tokens in
// it are replaced, by digits that nobody can guess, and put back as plain text afterwards. That leaves spellings that
// come together only in the output: of two texts side by side, or of pieces that the template moves. So the template
// runs a second time with every text replaced whole. If both outputs have the same special tokens in the same order,
// none came from a user, and the first is used; otherwise the second is, with the texts put back as they were written.
//
// Limits: in that second case what the template did to the texts (trimming, cutting out earlier reasoning) is lost.
// Roles are trusted, `renderChat` checks them; definitions of tools are the caller's own, and only whole spellings in
// them are replaced. Added tokens that a vocabulary does not call special (`<think>` in some) stay tokens in any text.
import { randomInt } from 'node:crypto'
import { type ChatMessage, type RenderChatInput, readMessages, renderChat } from './chat-template.ts'
import { messagesFor } from './message-form.ts'
import type { Segment, Tokenizer } from './tokenizer.ts'

interface EncodeChatOptions extends Omit<RenderChatInput, 'messages' | 'bosToken' | 'eosToken'> {
  /** Jinja source to use instead of the model's own */
  readonly chatTemplate?: string | undefined
}

/**
 * Token ids of a conversation, ready to generate the next turn. Begins with the bos token once if the model wants one.
 * Throws what `renderChat` throws.
 */
export async function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { chatTemplate = tokenizer.chatTemplate, ...options }: EncodeChatOptions = {},
): Promise<number[]> {
  const textOf = (id: number | undefined) => (id === undefined ? '' : tokenizer.idToPiece(id))
  const input = { ...options, bosToken: textOf(tokenizer.bosId), eosToken: textOf(tokenizer.eosIds[0]) }

  const spellings = new Placeholders()
  const hideSpellings = (text: string) => {
    let hidden = ''
    let done = 0
    for (const { start, end } of tokenizer.findSpecials(text)) {
      hidden += text.slice(done, start) + spellings.hide(text.slice(start, end))
      done = end
    }
    return hidden + text.slice(done)
  }
  const read = messagesFor(chatTemplate ?? '', readMessages(messages))
  const tools = input.tools?.map((tool) => mapStrings(tool, hideSpellings, hideSpellings))
  const shown = read.map((message) => mapMessage(message, hideSpellings, hideSpellings))
  const seen = await renderChat(chatTemplate, { ...input, tools, messages: shown })

  const texts = new Placeholders()
  const hide = (text: string) => (text === '' ? '' : texts.hide(text))
  const hidden = read.map((message) => mapMessage(message, hide, hideSpellings))
  const opaque = await renderChat(chatTemplate, { ...input, tools, messages: hidden })

  const specialsIn = (rendered: string) => tokenizer.findSpecials(rendered).map(({ id }) => id)
  const same = String(specialsIn(seen)) === String(specialsIn(opaque))
  const restore = (text: string) => spellings.restore(same ? text : texts.restore(text))
  const segments = segmentsOf(tokenizer, same ? seen : opaque, restore)
  const ids = await tokenizer.encodeSegmentsAsync(segments, { addBos: false })
  return tokenizer.addsBos && ids[0] !== tokenizer.bosId ? [tokenizer.bosId!, ...ids] : ids
}

function segmentsOf(tokenizer: Tokenizer, rendered: string, restore: (text: string) => string): Segment[] {
  const segments: Segment[] = []
  let done = 0
  for (const { from, to, id } of tokenizer.findSpecials(rendered)) {
    segments.push(restore(rendered.slice(done, from)), id)
    done = to
  }
  segments.push(restore(rendered.slice(done)))
  return segments
}

/** Stands digits in for texts. Digits pass through filters that change case, escape or trim. */
class Placeholders {
  readonly #secret = Array.from({ length: 2 }, () => String(randomInt(10 ** 8)).padStart(8, '0')).join('')
  readonly #texts: string[] = []
  readonly #known = new Map<string, string>()

  hide(text: string): string {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const placeholder = this.#secret + String(this.#texts.push(text) - 1).padStart(6, '0')
    this.#known.set(text, placeholder)
    return placeholder
  }

  restore(rendered: string): string {
    return rendered.replace(new RegExp(`${this.#secret}(\\d{6})`, 'g'), (_, index) => this.#texts[Number(index)] ?? '')
  }
}

type MapText = (text: string) => string

/** Every text of a message that a user or a model may have written: all but the role and the types. */
const mapMessage = ({ role, ...rest }: ChatMessage, text: MapText, key: MapText): ChatMessage => ({
  ...(mapStrings(rest, text, key) as object),
  role,
})

function mapStrings(value: unknown, text: MapText, key: MapText): unknown {
  if (typeof value === 'string') return text(value)
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, text, key))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [key(name), name === 'type' ? item : mapStrings(item, text, key)]),
  )
}
