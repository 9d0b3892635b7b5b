// Which tokens end a generation: those that the format names, those that the chat template puts behind an answer, and
// those whose name says so. Models that chat use more than one, and files forget to name them.

/** End of a text, a turn or a message, in published vocabularies; a file may type them as it likes. */
const endNames: ReadonlySet<string> = new Set(
  [
    '<|eot_id|> <|eom_id|> <|end_of_text|>', // Llama 3, Granite
    '<|im_end|> <|endoftext|> <|end|> <|end_of_turn|> <|eot|> <|eom|>', // ChatML, GPT-2, Phi, OpenChat, Llama 4
    '<end_of_turn> <turn|> <end_of_utterance> <|end_of_utterance|>', // Gemma, SmolVLM
    '<|return|> <|call|> <|flush|> <|calls|>', // gpt-oss, Solar
    '<EOT> _<EOT> ▁<EOT> [EOT] [EOS] <|EOT|> <|eos|>', // CodeLlama, Kimi K2, DeepSeek Coder
    '<｜end▁of▁sentence｜> <|endofturn|> <|END_OF_TURN_TOKEN|>', // DeepSeek, EXAONE, Command R
    '<|assistant_end|> <|role_end|>', // nanochat, Ling
  ].flatMap((names) => names.split(' ')),
)

/**
 * Names that end a generation only as control tokens: `</s>` and `<eos>` are markup to some vocabularies (Gemma has the tags
 * of HTML as ordinary tokens), and the others are padding and file boundaries of fill-in-the-middle training.
 */
const controlNames: ReadonlySet<string> = new Set(
  '</s> <eos> <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>'.split(
    ' ',
  ),
)

/** Is it an end by its name alone, whatever type a file gives it? */
export const isEndName = (text: string): boolean => endNames.has(text)

interface EndTokenSources {
  readonly pieces: readonly (string | undefined)[]
  readonly special: ReadonlySet<number>
  /** what files name, the main one first */
  readonly eosIds: readonly number[]
  readonly chatTemplate: string | undefined
}

/** Ids after which a generation ends, the named ones first. */
export function endTokens({ pieces, special, eosIds, chatTemplate }: EndTokenSources): number[] {
  const ends = new Set(eosIds)
  const behindAnswers = chatTemplate === undefined ? new Set<string>() : textsBehindContent(chatTemplate)
  const named = new Map<string, number>()
  pieces.forEach((text, id) => {
    if (text === undefined || text === '') return
    const isSpecial = special.has(id)
    const isWritten = (isSpecial || /^<[|｜].+[|｜]>$/.test(text)) && startsAny(behindAnswers, text)
    if (!isWritten && !endNames.has(text) && !(isSpecial && controlNames.has(text))) return
    ends.add(id)
    named.set(text, id)
  })
  // gpt-oss closes each message with <|end|>, also between thinking and answer; what ends its turn is <|return|> or <|call|>
  const end = named.get('<|end|>')
  if (end !== undefined && named.has('<|return|>') && named.has('<|call|>') && !eosIds.includes(end)) ends.delete(end)
  return [...ends]
}

/** `content + '<|im_end|>'`, `content | trim }}<|eot|>`, `content}}{{ '<|end|>'`: what a template writes right behind a message. */
const behindContent =
  /(?<!\w)content['"]?\s*\]?\s*(?:\|\s*trim\s*)?\)*\s*(?:[+~]\s*|-?\}\}(?:\{\{-?\s*(?=['"]))?)(['"]?)([^\s'"{}][^'"{}\n]*)/g

/** Texts that follow the content of a message directly; only those that look like one token can be one. */
function textsBehindContent(template: string): Set<string> {
  const texts = new Set<string>()
  for (const [, , text] of template.matchAll(behindContent)) if (/^[<[(|]/.test(text!)) texts.add(text!)
  return texts
}

/** Does the text begin a turn's end, `<|x|>` of `<|x|><|y|>`? An opening bracket alone is no name. */
const startsAny = (texts: ReadonlySet<string>, token: string): boolean =>
  token.length > 2 && [...texts].some((text) => text.startsWith(token))
