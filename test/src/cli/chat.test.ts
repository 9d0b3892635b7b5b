// rocmforge chat, and run where there is no prompt: what the template is given, and what is said where there is none.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { cli, rocmforge, story } from './spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'chat-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const quick = ['--device', 'reference', '-q', '-n', '1']

/** Refuses with all that it was given, so that a test reads it. */
const telling = file(
  'telling.jinja',
  "{{ raise_exception((tools | tojson) ~ (' off ' if enable_thinking == false else ' on ') ~ (messages | length) ~ ' ' ~ messages[0].content) }}",
)
const plain = file(
  'plain.jinja',
  "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ ' ' if not loop.last }}{% endfor %}",
)
/** The bundled model with a template of its own. */
const withTemplate = join(folder, 'model')
cpSync(story, withTemplate, { recursive: true })
writeFileSync(join(withTemplate, 'chat_template.jinja'), '{{ bos_token }}{{ messages[-1].content }}')

test('the template is given tools and variables; a conversation goes on behind a refused message', async () => {
  const tools = file('tools.json', '[{"name": "weather", "parameters": {}}]')
  const args = ['chat', story, '--chat-template', telling, '--tools', tools, '--template-var', 'enable_thinking=false']
  const { code, stderr } = await rocmforge([...args, '--system', 'Be brief', ...quick], { stdin: 'Hello\nAgain\n' })
  expect(code).toBe(0)
  const said = 'error[template-raised]: the chat template refuses these messages: '
  const call = '[{"type": "function", "function": {"name": "weather", "parameters": {}}}]'
  expect(stderr.split(`${said}${call} off 2 Be brief`)).toHaveLength(3)
})

test('it answers on standard output, from a pipe, and what is said first may be given', async () => {
  const chat = ['chat', story, '--chat-template', plain, '-p', 'Once upon', ...quick]
  const { code, stdout, stderr } = await rocmforge(chat, { stdin: '\n/reset\nOnce\n/exit\nnever\n' })
  expect(code).toBe(0)
  expect(stderr).not.toMatch(/^> /m) // nobody types into a pipe
  expect(stdout.split('\n')).toEqual([' a', ' upon', ''])
})

test.each([
  [
    'no template',
    [],
    /^error\[no-chat-template\]: this model has no chat template\n {2}model +.*story-3m\n {2}help: `rocmforge run .* -p TEXT`.*--chat-template FILE/,
  ],
  [
    'a template that is not there',
    ['--chat-template', join(folder, 'plan.jinja')],
    /^error\[file-not-found\][\s\S]*did you mean .*plain\.jinja\?/,
  ],
  ['a malformed template', ['--chat-template', '{% if %}'], /^(?:(?:device|graph).*\n)*error\[template-syntax\]: /],
  [
    'tools that are none',
    ['--chat-template', plain, '--tools', '{"a": 1}'],
    /^error\[bad-tools\]: --tools takes a JSON list of functions\n[\s\S]*got +entry 0 has no function/,
  ],
  [
    'tools that are no JSON',
    ['--chat-template', plain, '--tools', plain],
    /^error\[bad-tools\][\s\S]*file +.*plain\.jinja/,
  ],
  [
    'a reserved variable',
    ['--chat-template', plain, '--template-var', 'messages=[]'],
    /^error\[bad-option\]: option chatTemplateKwargs/,
  ],
])('%s is said before anything is loaded', async (_, args, expected) => {
  const { code, stdout, stderr } = await rocmforge(['chat', story, '--device', 'reference', ...args])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(expected) // at its start: neither device nor weights came first
})

test('a prompt from a file, from standard input by name, and until the end', async () => {
  const prompt = file('prompt.txt', 'Once\r\n')
  expect((await rocmforge(['run', story, '-f', prompt, ...quick])).stdout).toBe('Once upon\n')
  expect((await rocmforge(['run', story, '-p', '-', ...quick], { stdin: 'Once' })).stdout).toBe('Once upon\n')
  const all = await rocmforge(['run', story, '-p', 'Once', '--device', 'reference', '-c', '12', '-n', '-1', '--json'])
  expect(JSON.parse(all.stdout)).toMatchObject({ reason: 'context', tokenIds: { length: 10 } })
})

describe.runIf(existsSync('/usr/bin/script'))('on a terminal (needs script of util-linux)', () => {
  /** Runs words on a terminal, as a person does. */
  const onTerminal = (args: readonly string[], typed: string) => {
    const command = [process.execPath, cli, ...args].map((word) => `'${word}'`).join(' ')
    const { stdout, status } = spawnSync('script', ['-qefc', command, '/dev/null'], {
      input: typed,
      encoding: 'utf8',
      timeout: 60_000,
    })
    return { stdout: stdout.replaceAll('\r', ''), status }
  }

  test('run without a prompt opens a chat where there is a template', () => {
    const { stdout, status } = onTerminal(['run', withTemplate, '--device', 'reference', '-n', '1'], 'Once\n/exit\n')
    expect(stdout).toContain('/reset starts again')
    expect(stdout).toMatch(/^ upon$/m)
    expect(status).toBe(0)
  })

  test('and says so where there is none', () => {
    const { stdout, status } = onTerminal(['run', story, '--device', 'reference'], '')
    expect(stdout).toMatch(
      /error\[no-prompt\]: there is no prompt, and the model has no chat template for a conversation\n {2}model +.*\n {2}help: give a prompt: rocmforge run .* -p TEXT\n/,
    )
    expect(status).toBe(1)
  })
})
