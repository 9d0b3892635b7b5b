// chat: messages, tools and variables as the template sees them, and what is said where there is no template.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { type ChatMessage, type ChatOptions, compile, inspect, type Model } from '../../../src/index.ts'

const path = join(packageRoot(), 'models/story-3m')
let model: Model
beforeAll(async () => {
  model = await compile(path, { device: 'reference', context: 512 })
})
afterAll(() => model.dispose())

const hi: ChatMessage[] = [{ role: 'user', content: 'hi' }]
/** The prompt that a template makes of a conversation. */
const prompt = async (chatTemplate: string, messages = hi, options: ChatOptions = {}): Promise<string> => {
  const { promptIds } = await model.chat(messages, { chatTemplate, maxTokens: 0, ...options }).result()
  return model.tokenizer.decode(promptIds)
}

test('tools, variables and the opening of the answer', async () => {
  const template =
    '{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% if enable_thinking is defined and not enable_thinking %}quiet {% endif %}' +
    '{{ messages[0].content }}{% if add_generation_prompt %} answer{% endif %}'
  expect(await prompt(template)).toBe('hi answer')
  expect(await prompt(template, hi, { addGenerationPrompt: false })).toBe('hi')
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }]
  expect(await prompt(template, hi, { tools, chatTemplateKwargs: { enable_thinking: false } })).toBe(
    'weather quiet hi answer',
  )
  expect(await prompt(template, hi, { chatTemplateKwargs: { enable_thinking: true } })).toBe('hi answer')
})

test('tool calls, their results, reasoning and parts reach the template', async () => {
  const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } }
  const messages: ChatMessage[] = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'where ' },
        { type: 'text', text: 'now' },
      ],
    },
    { role: 'assistant', content: null, reasoning_content: 'think', tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c1', name: 'weather', content: 'sun' },
  ]
  const template =
    '{% for part in messages[0].content %}{{ part.text }}{% endfor %} {{ messages[1].reasoning_content }} ' +
    '{{ messages[1].content is none }} {{ messages[1].tool_calls[0].function.arguments.city }} {{ messages[2].tool_call_id }} {{ messages[2].content }}'
  expect(await prompt(template, messages)).toBe('where now think True Rome c1 sun')
})

test('a model without a template: known before anything is loaded, and said when asked', async () => {
  expect((await inspect(path)).chatTemplate).toBeUndefined()
  expect(model.chatTemplate).toBeUndefined()
  await expect(model.chat(hi).text()).rejects.toMatchObject({ code: 'no-chat-template' })
  const seen: string[] = []
  const refused = compile(path, {
    device: 'reference',
    onModel({ chatTemplate }) {
      seen.push('model')
      if (!chatTemplate) throw new Error('a plain prompt, then')
    },
    onDevice: () => seen.push('device'),
    onPlan: () => seen.push('plan'),
  })
  await expect(refused).rejects.toThrow('a plain prompt, then')
  expect(seen).toEqual(['model'])
})

test('a template for the whole model', async () => {
  await using other = await compile(path, {
    device: 'reference',
    context: 64,
    chatTemplate: '{{ messages[0].content }}!',
  })
  expect(other.chatTemplate).toBe('{{ messages[0].content }}!')
  const { promptIds } = await other.chat(hi, { maxTokens: 0 }).result()
  expect(other.tokenizer.decode(promptIds)).toBe('hi!')
})
