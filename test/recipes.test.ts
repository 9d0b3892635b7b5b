// docs/adding-{an-op,a-pass,a-kernel}.md followed to the letter: every block that names a file is written to it, every diff is made,
// every command is run, and where a block of text follows, that is what it prints. Names with a folder belong to a copy of this
// repository, the others to a folder of a user's own, where `rocmforge` is the built package.
import { exec } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

interface Block {
  readonly page: string
  /** `ts`, `diff`, `sh`, `text` … */
  readonly kind: string
  /** files that it is, or changes */
  readonly files: readonly string[]
  readonly text: string
}

const root = packageRoot()
const pages = ['adding-an-op.md', 'adding-a-pass.md', 'adding-a-kernel.md']

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  return [...text.matchAll(/^( *)```(\w+) ?(.*)\n([\s\S]*?)^\1```$/gm)].map(([, indent, kind, files, body]) => ({
    page,
    kind: kind!,
    files: files!.split(',').flatMap((name) => (name.trim() ? [name.trim()] : [])),
    text: body!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }))
}
const blocks = pages.flatMap(blocksOf)
const scratch = mkdtempSync(join(tmpdir(), 'rocmforge-recipes-'))
const folders = { repository: join(scratch, 'repository'), own: join(scratch, 'own') }
const placeOf = (file: string): string => join(file.includes('/') ? folders.repository : folders.own, file)

beforeAll(() => {
  const sources = ['ir', 'passes', 'codegen', 'runtime', 'src', 'hip-templates', 'test', 'scripts', 'examples']
  for (const folder of sources) cpSync(join(root, folder), join(folders.repository, folder), { recursive: true })
  for (const file of ['package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(root, file), placeOf(`./${file}`))
  for (const folder of ['node_modules', 'models']) symlinkSync(join(root, folder), placeOf(`./${folder}`))
  mkdirSync(join(folders.own, 'node_modules'), { recursive: true })
  symlinkSync(root, join(folders.own, 'node_modules/rocmforge'))
  for (const name of ['zod', 'ts-pattern'])
    symlinkSync(join(root, 'node_modules', name), join(folders.own, 'node_modules', name))
  for (const { kind, files, text } of blocks)
    for (const file of files) {
      if (kind === 'diff') continue
      expect(existsSync(placeOf(file)), `${file} is there already`).toBe(false)
      mkdirSync(dirname(placeOf(file)), { recursive: true })
      writeFileSync(placeOf(file), text)
    }
  for (const { kind, files, text } of blocks) if (kind === 'diff') change(files[0]!, text)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Makes a diff: its lines without those behind `+` stand in the file, once, and those without `-` take their place. */
function change(file: string, diff: string): void {
  const lines = diff.trimEnd().split('\n')
  const side = (other: string) => lines.flatMap((line) => (line.startsWith(other) ? [] : [line.slice(1)])).join('\n')
  const before = readFileSync(placeOf(file), 'utf8')
  expect(before.split(`\n${side('+')}\n`).length - 1, `places of ${file} for\n${diff}`).toBe(1)
  writeFileSync(
    placeOf(file),
    before.replace(`\n${side('+')}\n`, () => `\n${side('-')}\n`),
  )
}

async function run(command: string): Promise<string> {
  const cwd = command.startsWith('node ') ? folders.own : folders.repository
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined }
  return (await promisify(exec)(command, { cwd, env, maxBuffer: 1 << 24 })).stdout // fails on its exit code, with its output
}

test('the pages have what is tested', () => {
  for (const page of pages) {
    const files = blocks.filter((block) => block.page === page).flatMap((block) => block.files)
    expect(files.some((file) => file.includes('/')) && files.some((file) => file.startsWith('try-'))).toBe(true)
  }
})

test('what is added to the repository is typed', async () => expect(await run('npx tsc --noEmit')).toBe(''))

const commands = blocks.flatMap(({ kind, text, page }, i) =>
  kind === 'sh'
    ? text
        .trim()
        .split('\n')
        .map((command) => ({ page, command, next: blocks[i + 1] }))
    : [],
)
test.each(commands)('$page: $command', async ({ command, next }) => {
  const printed = await run(command)
  if (next?.kind === 'text') expect(printed).toBe(next.text)
  if (command.includes('vitest')) expect(printed).toMatch(/Tests {2}\d+ passed/)
})
