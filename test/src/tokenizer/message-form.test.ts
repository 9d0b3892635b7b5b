// Messages reach a template as they are; lists of parts and arguments of tool calls in the form that it reads.
import { describe, expect, test } from 'vitest'
import type { ChatMessage } from '../../../src/tokenizer/chat-template.ts'
import { messagesFor } from '../../../src/tokenizer/message-form.ts'

const parts = [
  { type: 'text', text: 'a' },
  { type: 'text', text: 'b' },
] as const
const call = (args: unknown) => ({ id: 'c1', type: 'function', function: { name: 'f', arguments: args } })

test('what a message has besides goes through', () => {
  const messages: ChatMessage[] = [
    { role: 'user', content: 'x', name: 'Ann', extra: { deep: [1, null] } },
    { role: 'assistant', content: null, reasoning_content: 'why', tool_calls: [call({ x: 1 })] },
    { role: 'assistant', tool_calls: [call('not JSON'), null, { function: 5 }] },
    { role: 'tool', content: '5', tool_call_id: 'c1' },
  ]
  for (const template of ['', "{{ m['content'] }}", '{{ f.arguments | tojson }}'])
    expect(messagesFor(template, messages)).toEqual(messages)
})

describe('content as a list of parts', () => {
  test.each([
    ['{% for part in message.content %}{{ part.text }}{% endfor %}', true],
    ["{%- for c in message['content'] -%}", true],
    ["{% set content = m['content'] %}{% for item in content %}", true],
    ["{% if m.content is string %}{{ m.content }}{% else %}{% set content = '' %}{% endif %}", false],
    ["{{ message['content'] | trim }}", false],
    ['{% for message in messages %}{{ message.content }}{% endfor %}', false],
  ])('%s', (template, kept) =>
    expect(messagesFor(template, [{ role: 'user', content: parts }])[0]!.content).toEqual(kept ? parts : 'ab'),
  )
})

describe('arguments of a tool call as text', () => {
  test.each([
    ['{{ tool_call.arguments | tojson }}', true],
    ["{{ tool['function']['arguments']|items }}", true],
    ['{% for k, v in call.function.arguments.items() %}', true],
    ['{{ tool_call | tojson }}', true],
    ['{% if call.arguments is string %}{{ call.arguments }}{% else %}{{ call.arguments | tojson }}{% endif %}', false],
    ["{{ '```json\\n' + tool['function']['arguments'] + '\\n```' }}", false],
    ['{{- tool_call.arguments }}', false],
    ['{{ call.function.arguments -}}', false],
  ])('%s', (template, parsed) => {
    const messages = [{ role: 'assistant', tool_calls: [call('{"x": 1}')] }]
    const expected = [{ role: 'assistant', tool_calls: [call(parsed ? { x: 1 } : '{"x": 1}')] }]
    expect(messagesFor(template, messages)).toEqual(expected)
  })
})
