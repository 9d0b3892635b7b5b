// Files that are no model: one clear error each, no stack, no half output.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { storyGguf } from '../../models.ts'
import { rocmforge, story } from './spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const lfsPointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 6298112\n'

function pointerFolder(): string {
  const path = join(folder, 'pointer')
  mkdirSync(path)
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    writeFileSync(join(path, name), readFileSync(join(story, name)))
  writeFileSync(join(path, 'model.safetensors'), lfsPointer)
  return path
}

const cases: Record<string, () => string> = {
  'nothing there': () => join(folder, 'absent.gguf'),
  'an empty folder': () => {
    mkdirSync(join(folder, 'empty'))
    return join(folder, 'empty')
  },
  'an empty file': () => file('empty.gguf', ''),
  'a text file': () => file('notes.txt', 'milk, eggs'),
  'a picture': () => file('cat.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')),
  'a GGUF file cut short': () => {
    const whole = readFileSync(storyGguf('story-3m', 'Q8_0'))
    return file('cut.gguf', whole.subarray(0, whole.length >> 1))
  },
  'a GGUF header cut short': () => file('head.gguf', readFileSync(storyGguf('story-3m', 'Q8_0')).subarray(0, 100)),
  'a Git LFS pointer for a GGUF file': () => file('pointer.gguf', lfsPointer),
  'a folder with a Git LFS pointer': pointerFolder,
}

test.each(Object.entries(cases))('%s', async (_, make) => {
  const path = make()
  const { code, stdout, stderr } = await rocmforge(['run', path, '-p', 'Once', '--device', 'reference'])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr.match(/error\[/g)).toHaveLength(1)
  expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m) // a stack
  expect(stderr).toContain(path)
})
