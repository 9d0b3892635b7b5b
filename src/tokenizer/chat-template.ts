// Renders a conversation with a model's chat template (Jinja), under limits of time, memory and output.
import { z } from 'zod'
import { type Fact, fail } from '../../ir/diagnostic.ts'
import type { DiagnosticCode } from '../../ir/diagnostic-codes.ts'
import { shown as shownValue } from '../../ir/shown.ts'
import { printable } from '../../ir/visible-text.ts'
import { messagesFor } from './message-form.ts'
import { renderInProcess, TEMPLATE_MEMORY_MB, TEMPLATE_TIMEOUT_MS } from './template-process.ts'
import { MAX_OUTPUT } from './template-render.ts'

const textPart = z.looseObject({ type: z.literal('text'), text: z.string() })
/** Templates put the role inside of special tokens, so that it must not be free text; which ones there are each template says. */
const rolePattern = /^[A-Za-z][\w.-]{0,63}$/
const chatMessage = z.looseObject({
  role: z.string().regex(rolePattern),
  // results of tools may be objects: templates write those as JSON
  content: z.union([z.string(), z.array(textPart), z.record(z.string(), z.unknown())]).nullish(),
})

/** One turn; further keys (name, tool_calls, tool_call_id, reasoning_content, …) go to the template as they are. */
export interface ChatMessage {
  readonly role: string
  readonly content?:
    | string
    | readonly { readonly type: 'text'; readonly text: string }[]
    | { readonly [key: string]: unknown }
    | null
    | undefined
  readonly [key: string]: unknown
}

export interface RenderChatInput {
  readonly messages: readonly ChatMessage[]
  /** JSON schemas of functions, as the OpenAI API has them */
  readonly tools?: readonly unknown[] | undefined
  /** end with the opening of the assistant's turn (default true) */
  readonly addGenerationPrompt?: boolean | undefined
  readonly bosToken?: string | undefined
  readonly eosToken?: string | undefined
  /** what strftime_now shows (default: the present) */
  readonly now?: Date | undefined
  /** further variables, e.g. enable_thinking */
  readonly variables?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The text of a conversation in a model's format.
 * Throws a Diagnostic: no-chat-template, bad-messages, template-syntax, template-raised (the template refused the
 * messages), template-timeout, template-memory, template-recursion, template-output, template-failed.
 */
export async function renderChat(template: string | undefined, input: RenderChatInput): Promise<string> {
  if (template === undefined || template === '') {
    return fail({
      code: 'no-chat-template',
      message: 'this model has no chat template',
      help: 'it was not trained to chat: use a plain prompt, or pass a chat template',
    })
  }
  const variables = {
    documents: null,
    ...input.variables,
    messages: messagesFor(template, readMessages(input.messages)),
    tools: input.tools?.length ? input.tools : null,
    add_generation_prompt: input.addGenerationPrompt ?? true,
    bos_token: input.bosToken ?? '',
    eos_token: input.eosToken ?? '',
  }
  const outcome = await renderInProcess({ template, variables, now: (input.now ?? new Date()).getTime() })
  const at: Fact[] = 'line' in outcome && outcome.line !== undefined ? [['at', excerpt(template, outcome.line)]] : []
  switch (outcome.kind) {
    case 'text':
      return outcome.text
    case 'syntax':
      return fail({
        code: 'template-syntax',
        message: `the chat template is malformed: ${shown(outcome.message)}`,
        facts: at,
      })
    case 'raised':
      return fail({
        code: 'template-raised',
        message: `the chat template refuses these messages: ${shown(outcome.message)}`,
        facts: [['roles', input.messages.map((message) => message.role).join(', ')]],
      })
    case 'timeout':
      return stopped('template-timeout', 'takes too long', [['limit', `${TEMPLATE_TIMEOUT_MS} ms`]])
    case 'killed':
      return stopped('template-memory', 'takes too much memory', [['limit', `${TEMPLATE_MEMORY_MB} MB`]])
    case 'too-large':
      return stopped('template-output', `produces too much (${shown(outcome.message)})`, [
        ...at,
        ['limit', `${MAX_OUTPUT} characters`],
      ])
    case 'too-deep':
      return stopped('template-recursion', 'nests or calls itself too deeply', [])
    case 'failed':
      return fail({
        code: 'template-failed',
        message: `the chat template failed: ${shown(outcome.message)}`,
        facts: at,
      })
  }
}

function stopped(code: DiagnosticCode, what: string, facts: readonly Fact[]): never {
  return fail({
    code,
    message: `the chat template ${what}`,
    facts,
    help: 'do not trust this template: pass another one, or use a plain prompt',
  })
}

/** Words of the template or of a message, on one line. */
const shown = (message: string) => printable(message.replaceAll('\n', ' '), 500)

const excerpt = (template: string, line: number) =>
  `line ${line}: ${printable((template.split(/\r\n|\r|\n/)[line - 1] ?? '').trim(), 100)}`

/** What stands at this path of a list of messages. */
function expectedAt([index, field]: readonly PropertyKey[]): string {
  if (index === undefined) return 'a list of messages'
  if (field === undefined) return 'a message, an object with role and content'
  return field === 'role'
    ? 'a name such as system, user, assistant or tool: letters, digits, _ . -'
    : "a text, or a list of parts { type: 'text', text }"
}

/** Checks the messages, and leaves them as they are. */
export function readMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  const parsed = z.array(chatMessage).safeParse(messages)
  if (!parsed.success) {
    const path = parsed.error.issues[0]!.path
    const got = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], messages)
    return fail({
      code: 'bad-messages',
      message: `messages${path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')} is ${shownValue(got)}`,
      facts: [['expected', expectedAt(path)]],
      help: "model.chat([{ role: 'user', content: 'Hello' }])",
    })
  }
  return parsed.data
}
