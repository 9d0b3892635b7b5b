// Chat templates: what they show, and that no template can hang, fill or crash the program.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { type RenderChatInput, renderChat } from '../../../src/tokenizer/chat-template.ts'

const worker = join(packageRoot(), 'dist', 'template-worker.js')
beforeAll(() => {
  if (!existsSync(worker)) spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: packageRoot() })
})

const hello: RenderChatInput = { messages: [{ role: 'user', content: 'Hello' }] }
const render = (template: string, input: Partial<RenderChatInput> = {}) => renderChat(template, { ...hello, ...input })
const failure = (template: string, input: Partial<RenderChatInput> = {}): Promise<Diagnostic> =>
  render(template, input).then(
    (text) => expect.unreachable(`rendered ${text.slice(0, 100)}`),
    (error) => error,
  )

const CHATML = `{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}`

describe('rendering', () => {
  test('a conversation', async () => {
    const messages = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: '  Hi {{ 1 + 1 }}  ' },
    ]
    const turns = '<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi {{ 1 + 1 }}<|im_end|>\n'
    expect(await render(CHATML, { messages })).toBe(`${turns}<|im_start|>assistant\n`)
    expect(await render(CHATML, { messages, addGenerationPrompt: false })).toBe(turns)
  })
  test('tokens, tools, variables and the date', async () => {
    const template = '{{ bos_token }}{{ tools[0].name }}{{ deep }}{{ eos_token }}{{ strftime_now("%d %b %Y") }}'
    const input = { bosToken: '<s>', eosToken: '</s>', tools: [{ name: 'f' }], variables: { deep: 1 } }
    expect(await render(template, { ...input, now: new Date(2024, 6, 5) })).toBe('<s>f1</s>05 Jul 2024')
  })
  test('what is not given: tools and documents are none', async () => {
    const template = '{{ tools is none }} {{ documents is none }} {{ nothing is defined }}'
    expect(await render(template)).toBe('True True False')
    expect(await render(template, { tools: [{}], variables: { documents: [] } })).toBe('False False False')
  })
  test('the date in every form', async () => {
    const template = "{{ strftime_now('%-d %e %F %T %j %-I %p %D %R %x %X %c %Z%z %w %U %y') }}"
    expect(await render(template, { now: new Date(2024, 6, 5, 15, 4, 9) })).toBe(
      '5  5 2024-07-05 15:04:09 187 3 PM 07/05/24 15:04 07/05/24 15:04:09 Fri Jul  5 15:04:09 2024  5 26 24',
    )
  })
  test('text parts are joined and arguments of tool calls parsed', async () => {
    const parts = [
      { type: 'text' as const, text: 'a' },
      { type: 'text' as const, text: 'b' },
    ]
    const call = { type: 'function', function: { name: 'f', arguments: '{"x": 1}' } }
    const messages = [
      { role: 'user', content: parts },
      { role: 'assistant', content: null, tool_calls: [call] },
    ]
    const template = '{{ messages[0].content }} {{ messages[1].tool_calls[0].function.arguments.x + 1 }}'
    expect(await render(template, { messages })).toBe('ab 2')
  })
  test('an empty conversation and an empty result', async () => {
    expect(await render('{% for m in messages %}x{% endfor %}', { messages: [] })).toBe('')
  })
  test('many at once, in order', async () => {
    const all = Array.from({ length: 20 }, (_, index) => render(`{{ n }}`, { variables: { n: index } }))
    expect(await Promise.all(all)).toEqual(Array.from({ length: 20 }, (_, index) => String(index)))
  })
})

describe('mistakes of a template', () => {
  test('missing', async () => {
    await expect(renderChat(undefined, hello)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[no-chat-template]: this model has no chat template
        help: it was not trained to chat: use a plain prompt, or pass a chat template]
    `)
  })
  test('raise_exception', async () => {
    const template =
      "{% if messages[0].role != 'system' %}{{ raise_exception('Begin with a system message') }}{% endif %}"
    expect(String((await failure(template)).message)).toMatchInlineSnapshot(`
      "error[template-raised]: the chat template refuses these messages: Begin with a system message
        roles  user"
    `)
  })
  test('an unknown filter', async () => {
    expect((await failure('{{ messages[0].content | frobnicate }}')).message).toMatchInlineSnapshot(`
      "error[template-syntax]: the chat template is malformed: No filter named 'frobnicate'.
        at     line 1: {{ messages[0].content | frobnicate }}"
    `)
  })
  test('what is undefined, with its line', async () => {
    const template = 'a\n{% for m in messages %}\n{{ m.content + m.name }}\n{% endfor %}'
    expect((await failure(template)).message).toMatchInlineSnapshot(`
      "error[template-failed]: the chat template failed: 'dict object' has no attribute 'name'
        at     line 3: {{ m.content + m.name }}"
    `)
  })
  test('an exception of Python, with its line', async () => {
    expect((await failure('{% set x = 1 %}\n\n{{ "a" + x }}')).message).toMatchInlineSnapshot(`
      "error[template-failed]: the chat template failed: TypeError: can only concatenate str (not "int") to str
        at     line 3: {{ "a" + x }}"
    `)
  })
  test('text of the template is shown without control characters, and cut', async () => {
    const template = `{{ raise_exception('a\\n\\x1b[2J\u202e' ~ 'b' * 600) }}`
    expect((await failure(template)).message.slice(0, 100)).toMatchInlineSnapshot(
      `"error[template-raised]: the chat template refuses these messages: a \\u001b[2J\\u202ebbbbbbbbbbbbbbbbb"`,
    )
    expect((await failure(`{{ \x1b[2J${'x'.repeat(200)} }}`)).message).toMatchInlineSnapshot(`
      "error[template-syntax]: the chat template is malformed: unexpected char '\\x1b' at 3
        at     line 1: {{ \\u001b[2Jxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    `)
  })
  test('no other templates', async () => {
    expect((await failure("{% include 'header' %}")).message).toMatchInlineSnapshot(`
      "error[template-failed]: the chat template failed: TypeError: no loader for this environment specified
        at     line 1: {% include 'header' %}"
    `)
  })
  test('syntax, with its line', async () => {
    const error = await failure('{% for m in messages %}\n{{ m.content }}\n{% if %}x{% endif %}\n{% endfor %}')
    expect(error.message).toMatchInlineSnapshot(`
      "error[template-syntax]: the chat template is malformed: Expected an expression, got 'end of statement block'
        at     line 3: {% if %}x{% endif %}"
    `)
  })
  test.each([
    ['a bad statement', 'a\n{{ b }}\n{% frob %}', 3],
    ['a bad expression', '\n\n{{ a b }}\n{{ c }}', 3],
    ['a bad character', 'x\n{{ a ? b }}\n', 2],
    ['an open string', 'x\n{{ a }}\n\n{{ "abc }}', 4],
    ['an open comment', 'x\n{# abc', 2],
    ['lines that end in CRLF', 'x\r\n\r\n{% frob %}', 3],
  ])('the line of %s', async (_, template, line) => {
    expect((await failure(template)).facts[0]![1]).toMatch(new RegExp(`^line ${line}: `))
  })
  test.each(['{% if true %}', '{{', '{% for x in y %}', '{% set a = %}', '{% endif %}'])(
    '%j is malformed',
    async (text) => {
      expect((await failure(text)).code).toBe('template-syntax')
    },
  )
})

describe('hostile templates', () => {
  const doubling = (what: string, times: number, use: string) =>
    `{% set ns = namespace(a=${what}) %}{% for i in range(${times}) %}{% set ns.a = ns.a + ns.a %}{% endfor %}${use}`
  test.each([
    ['a range of 1e9', '{% for i in range(1000000000) %}{% endfor %}', 'template-output'],
    ['a range without end', '{% for i in range(0, 10, 0) %}{% endfor %}', 'template-failed'],
    ['recursion', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', 'template-recursion'],
    ['deep nesting', '('.repeat(200_000).replace(/^/, '{{ '), 'template-recursion'],
    ['too much output', '{% for i in range(2000) %}{{ "x" * 4096 }}{% endfor %}', 'template-output'],
    ['huge numbers', '{{ 9 ** (9 ** 9) }}', 'template-output'],
    ['a huge text', '{{ "x" * 10 ** 12 }}', 'template-output'],
    ['5 MB of output', doubling('"abcde"', 20, '{{ ns.a }}'), 'template-output'],
    ['a string without end', doubling('"x"', 60, ''), 'template-output'],
    ['a list without end', doubling('[1]', 60, ''), undefined],
    ['one huge allocation', doubling('"x"', 28, '{{ ns.a | upper }}'), undefined],
    ['an endless loop', '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}', undefined],
  ])('%s', async (_, template, code) => {
    const error = await failure(template)
    // Which limit is met first depends on the machine.
    if (code) expect(error.code).toBe(code)
    else expect(['template-timeout', 'template-memory']).toContain(error.code)
    expect(await render('{{ messages[0].content }}')).toBe('Hello')
  })
  test('cannot reach the program', async () => {
    for (const path of ['constructor', '__proto__', 'constructor.constructor("return process")()', '__class__']) {
      expect(['', 'template-failed']).toContain(await render(`{{ messages.${path} }}`).catch((error) => error.code))
    }
    expect(await render('{{ process }}{{ globalThis }}{{ renderPendingJob }}')).toBe('')
  })
})

describe('messages', () => {
  test.each<[string, RenderChatInput['messages']]>([
    ['a role that is none', [{ role: '|eos|', content: 'x' }]],
    ['a picture', [{ role: 'user', content: [{ type: 'image_url' } as never] }]],
    ['a number', [{ role: 'user', content: 7 as never }]],
  ])('%s', async (_, messages) => expect((await failure('{{ 1 }}', { messages })).code).toBe('bad-messages'))
  test('any name is a role, and results of tools may be objects', async () => {
    const template =
      '{% for m in messages %}{{ m.role }}={{ m.content | tojson if m.content is mapping else m.content }};{% endfor %}'
    const messages = [
      { role: 'observation', content: { degrees: 21 } },
      { role: 'tool_results', content: 'ok' },
      { role: 'bot', content: 'hi' },
    ]
    expect(await render(template, { messages })).toBe('observation={"degrees": 21};tool_results=ok;bot=hi;')
  })
  test('what is wrong is said in our words, with its place', async () => {
    const said = async (messages: unknown) => (await failure('{{ 1 }}', { messages: messages as never })).message
    expect(await said('Hello')).toMatchInlineSnapshot(`
      "error[bad-messages]: messages is "Hello"
        expected a list of messages
        help: model.chat([{ role: 'user', content: 'Hello' }])"
    `)
    expect(
      await said([
        { role: 'user', content: 'x' },
        { role: 'a b', content: 'y' },
      ]),
    ).toMatchInlineSnapshot(`
      "error[bad-messages]: messages[1].role is "a b"
        expected a name such as system, user, assistant or tool: letters, digits, _ . -
        help: model.chat([{ role: 'user', content: 'Hello' }])"
    `)
    expect(await said([{ role: 'user', content: 7 }])).toMatchInlineSnapshot(`
      "error[bad-messages]: messages[0].content is 7
        expected a text, or a list of parts { type: 'text', text }
        help: model.chat([{ role: 'user', content: 'Hello' }])"
    `)
    expect(await said(['Hello'])).toMatchInlineSnapshot(`
      "error[bad-messages]: messages[0] is "Hello"
        expected a message, an object with role and content
        help: model.chat([{ role: 'user', content: 'Hello' }])"
    `)
  })
})

describe('processes', () => {
  const run = async (script: string) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: packageRoot(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    // 'close' waits for everyone who holds the pipe, so for grandchildren that inherited it
    const code = await new Promise((resolve) => child.on('close', resolve))
    return { code, output }
  }

  test('a warm renderer does not keep the program alive', async () => {
    const contents = `import { renderChat } from './src/tokenizer/chat-template.ts'
      console.log(await renderChat('{{ 1 + 1 }}', { messages: [] }))`
    const bundle = await build({
      stdin: { contents, resolveDir: packageRoot(), loader: 'ts' },
      ...{ bundle: true, write: false, packages: 'external', platform: 'node', format: 'esm' },
    })
    expect(await run(bundle.outputFiles![0]!.text)).toEqual({ code: 0, output: '2\n' })
  })

  test('a renderer ends with the program, even from an endless template', async () => {
    const { code, output } = await run(`
      import { fork } from 'node:child_process'
      const child = fork(${JSON.stringify(worker)}, [], { stdio: ['ignore', 'inherit', 'ignore', 'ipc'] })
      child.on('spawn', () => {
        const template = '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}'
        child.send({ template, variables: {}, now: 0, timeoutMs: 300 }, () => {
          console.log('sent')
          process.exit(3)
        })
      })`)
    expect({ code, output }).toEqual({ code: 3, output: 'sent\n' })
  })
})
