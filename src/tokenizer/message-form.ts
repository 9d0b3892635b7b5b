// The form in which a template takes messages. They go there as they are, but for two things that clients send and that older
// templates know in one form only: content as a list of text parts, and arguments of tool calls as the text of JSON.
import type { ChatMessage } from './chat-template.ts'

/** `for part in message.content`, `for part in message['content']`, `for part in content` */
const readsParts = /\bfor\s+\w+\s+in\s+[\w.[\]'"]*\bcontent\b/

/** what stands behind `arguments` and `['arguments']` */
const uses = /\barguments\b(?:['"]\s*\])?\s*(is\s+(?:not\s+)?string|[|.[]|\+|~|-?\}\})?/g

/** Does the template read the arguments of a tool call as an object, not as a text? */
function readsObjects(template: string): boolean {
  const found = [...template.matchAll(uses)].flatMap(([, use]) => (use ? [use] : []))
  if (found.some((use) => use.startsWith('is'))) return false // it takes both
  return found.length === 0 || found.some((use) => /[|.[]/.test(use))
}

/** Messages as this template reads them. */
export function messagesFor(template: string, messages: readonly ChatMessage[]): ChatMessage[] {
  const [parts, objects] = [readsParts.test(template), readsObjects(template)]
  return messages.map((message) => {
    const { content, tool_calls: calls } = message
    return {
      ...message,
      ...(Array.isArray(content) && !parts ? { content: content.map(({ text }) => text).join('') } : {}),
      ...(Array.isArray(calls) && objects ? { tool_calls: calls.map(withParsedArguments) } : {}),
    }
  })
}

function withParsedArguments(call: unknown): unknown {
  const { function: called } = (call ?? {}) as { function?: { arguments?: unknown } }
  if (typeof called?.arguments !== 'string') return call
  try {
    const parsed: unknown = JSON.parse(called.arguments)
    if (parsed === null || typeof parsed !== 'object') return call
    return { ...(call as object), function: { ...called, arguments: parsed } }
  } catch {
    return call // not JSON: the template sees the text
  }
}
