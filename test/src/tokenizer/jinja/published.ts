// Chat templates written here in the manner of published ones, with every construct that those use (published/*.jinja),
// and conversations to render them over. What jinja2 renders is in published.json.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../../../ir/package-root.ts'

const folder = join(packageRoot(), 'test/src/tokenizer/jinja/published')
const files = readdirSync(folder).sort()
const read = (file: string) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n')

/** Each also with line ends as a file saved on Windows has them. */
export const templates: Readonly<Record<string, string>> = Object.fromEntries(
  files.flatMap((file) => [
    [file, read(file)],
    [`${file} on Windows`, read(file).replaceAll('\n', '\r\n')],
  ]),
)

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a place, now or on one of the days that come, with "quotes" and ümlauts.',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', description: 'name of the place' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'], default: 'celsius' },
        days: { type: 'array', items: { type: 'integer' } },
        exact: { type: ['boolean', 'null'] },
        where: { type: 'object', properties: { lat: { type: 'number' }, tags: { type: 'array' } }, required: ['lat'] },
        when: {
          oneOf: [
            { type: 'string', description: 'a date' },
            { type: 'number', default: 1.5 },
          ],
        },
      },
      required: ['city'],
    },
    return: { type: 'string' },
  },
}
const clock = {
  type: 'function',
  function: { name: 'clock', description: 'The time.', parameters: { type: 'object' } },
}
const call = (name: string, args: Readonly<Record<string, unknown>>, id: string) => ({
  ...{ id, type: 'function' },
  function: { name, arguments: args },
})
const common = { bos_token: '<s>', eos_token: '</s>', tools: null, documents: null, add_generation_prompt: true }
const hello = { role: 'user', content: 'Hello, wörld 😀' }
const system = { role: 'system', content: '  You are kind.\n' }
const weatherTurns = [
  hello,
  {
    ...{ role: 'assistant', content: null },
    tool_calls: [
      call('get_weather', { city: "L'Aquila", days: [1, 2], exact: true, where: { lat: 42.35 } }, 'abcdef123'),
    ],
  },
  { role: 'tool', name: 'get_weather', tool_call_id: 'abcdef123', content: '{"degrees": 21.5, "sky": "clear"}' },
]

export const conversations: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'one question': { ...common, messages: [hello] },
  'with a system message': { ...common, messages: [system, hello] },
  'several turns, ended': {
    ...{ ...common, add_generation_prompt: false },
    messages: [
      system,
      hello,
      { role: 'assistant', content: '<think>\nA greeting.\n</think>\n\nHello!' },
      { role: 'user', content: '  def f():\r\n    return {{ 1 }}\n' },
      { role: 'assistant', content: '<think>\nCode.\n</think>\n\n    indented  ' },
    ],
  },
  'tools, unused': { ...common, messages: [system, hello], tools: [weather, clock] },
  'a call and its answer': { ...common, messages: weatherTurns, tools: [weather, clock] },
  'after a call': {
    ...{ ...common, enable_thinking: false },
    messages: [
      system,
      ...weatherTurns,
      { role: 'assistant', content: 'It is 21.5 °C.' },
      { role: 'user', content: 'Thanks </think> & "bye"' },
    ],
    tools: [weather],
  },
  'two calls at once': {
    ...common,
    messages: [
      hello,
      {
        ...{ role: 'assistant', content: 'Let me look.', reasoning_content: '\nTwo calls.\n' },
        tool_calls: [call('clock', {}, 'clock0001'), call('get_weather', { city: '東京', unit: null }, 'tokyo0001')],
      },
      { role: 'tool', tool_call_id: 'clock0001', content: '12:00' },
      { role: 'tool', tool_call_id: 'tokyo0001', content: '3' },
    ],
    tools: [weather, clock],
  },
  documents: {
    ...common,
    messages: [{ role: 'system', content: 'Answer from documents. /no_think' }, hello],
    documents: [
      { title: 'A', text: 'One\nline' },
      { title: 'B', text: '"Two" <b>' },
    ],
  },
  'content in parts': {
    ...common,
    messages: [
      {
        role: 'user',
        content: [{ type: 'image' }, { type: 'text', text: ' Look ' }],
      },
    ],
  },
  'no messages': { ...common, messages: [] },
  'the wrong order': { ...common, messages: [hello, hello, { role: 'tool', content: 'x', tool_call_id: 'abcdef123' }] },
}
