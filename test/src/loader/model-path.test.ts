// Paths as people type them: a home that no shell expanded, names on a hub, slips of the keyboard.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { expandHome } from '../../../runtime/cache/root.ts'
import { locateFile, locateModel } from '../../../src/loader/model-path.ts'

const folder = mkdtempSync(join(tmpdir(), 'model-path-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
mkdirSync(join(folder, 'models'))
for (const name of ['story-3m.gguf', 'Qwen3-0.6B.gguf']) writeFileSync(join(folder, 'models', name), '')

const caught = (action: () => unknown): string => {
  try {
    return `found ${action()}`
  } catch (error) {
    return (error as Error).message.replaceAll(folder, '/home/jo')
  }
}

test.skipIf(process.platform === 'win32')('~ is the home folder', () => {
  vi.stubEnv('HOME', folder)
  try {
    expect(expandHome('~')).toBe(folder)
    expect(locateModel('~/models/story-3m.gguf')).toBe(join(folder, 'models/story-3m.gguf'))
    expect(caught(() => locateModel('~/models/story-4m.gguf'))).toContain('did you mean /home/jo/models/story-3m.gguf?')
    expect(expandHome('a/~/b')).toBe('a/~/b')
    expect(caught(() => locateModel('~jo/models'))).toContain('another user')
  } finally {
    vi.unstubAllEnvs()
  }
})

test.each([
  ['models/story-3m', 'did you mean /home/jo/models/story-3m.gguf?'],
  ['models/qwen3-0.6b.gguf', 'did you mean /home/jo/models/Qwen3-0.6B.gguf?'],
  ['models/stroy-3m.gguf', 'did you mean /home/jo/models/story-3m.gguf?'],
  ['model/story-3m.gguf', 'did you mean /home/jo/models/…?'],
  ['models/something-else.gguf', 'give a Hugging Face folder, or a .gguf file'],
])('%s', (name, help) => {
  const message = caught(() => locateModel(join(folder, name)))
  expect(message).toMatch(/^error\[file-not-found\]: there is no such file or folder\n {2}path +\/home\/jo\//)
  expect(message).toContain(`help: ${help}`)
})

const hub =
  'nothing is downloaded yet: `pip install huggingface_hub`, `hf download org/name --local-dir name`, then give ./name'
test.each([
  ['org/name', hub],
  ['hf:org/name', hub],
  ['hf://org/name', hub],
  ['hf.co/org/name:Q4_K_M', hub],
  ['org/name:Q4_K_M', hub],
  ['https://huggingface.co/org/name', hub],
  ['https://huggingface.co/org/name/resolve/main/model.gguf', hub],
  ['https://example.com/model.gguf', 'fetch the file first'],
  ['file:///tmp/model.gguf', 'give a path, not an address: /tmp/model.gguf'],
  ['llama3.2:1b', 'names of a model library are not known here'],
  ['', 'give a Hugging Face folder'],
])('%j', (given, help) => {
  const message = caught(() => locateModel(given))
  expect(message).toMatch(/^error\[file-not-found\]/)
  expect(message).toContain(help)
})

test('other files', () => {
  expect(locateFile(join(folder, 'models'))).toBe(join(folder, 'models'))
  expect(caught(() => locateFile(join(folder, 'modles')))).toBe(
    'error[file-not-found]: there is no such file\n  path   /home/jo/modles\n  help: did you mean /home/jo/models?',
  )
})
