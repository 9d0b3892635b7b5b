// Token ids on their way to a step: each must be a row of the embedding. A tokenizer may know more tokens than the model has
// rows, as where a fine-tune added some, and a kernel cannot say so.
import { fail } from '../../ir/diagnostic.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/** Diagnostic `bad-token`, which names the place among `ids`. */
export function checkRows(ids: readonly number[], rows: number, tokenizer: Tokenizer): void {
  const place = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= rows)
  if (place < 0) return
  const wrong = ids[place]!
  const isKnown = Number.isInteger(wrong) && wrong >= 0 && wrong < tokenizer.vocabSize
  if (!isKnown)
    fail({
      code: 'bad-token',
      message: `token ${wrong} is outside the vocabulary of ${Math.min(rows, tokenizer.vocabSize)}`,
      facts: [['at', `tokens[${place}]`]],
      help: '`model.tokenizer.encode(text)` gives the ids of a text',
    })
  fail({
    code: 'bad-token',
    message: `token ${wrong} is beyond the ${rows} rows of the embedding: the tokenizer knows it, the model does not`,
    facts: [
      ['at', `tokens[${place}]`],
      ['token', JSON.stringify(pieceOf(tokenizer, wrong))],
      ['expected', `tokens from 0 to ${rows - 1}`],
    ],
    help: 'leave the token out of the prompt, or use the tokenizer that belongs to these weights',
  })
}

/** The token's text; some ids below the size of a vocabulary are unused. */
function pieceOf(tokenizer: Tokenizer, id: number): string {
  try {
    return tokenizer.idToPiece(id)
  } catch {
    return ''
  }
}
