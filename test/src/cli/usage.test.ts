// What the command line says to wrong words, and what it documents.
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { addCommands } from '../../../src/cli/commands.ts'
import { commandManual, helpOf } from '../../../src/cli/manual.ts'
import { rocmforge, story } from './spawn.ts'

const program = new Command('rocmforge')
addCommands(program)

test.each([
  [['rnu', story], "unknown command 'rnu'", 'did you mean run?'],
  [['run'], "missing required argument 'model'", 'rocmforge run --help'],
  [['run', story, '--tmp', '1'], "unknown option '--tmp'", 'did you mean --temp?'],
  [['run', story, '--zzz'], "unknown option '--zzz'", 'rocmforge run --help'],
  [['run', story, '-O', '9'], '--opt-level (-O) takes one of 0, 1, 2, 3', 'got    9'],
  [['run', story, '-n', 'many'], '--max-tokens (-n) takes a whole number from 0 up; or -1: until', 'got    many'],
  [['run', story, 'and', 'more'], 'too many arguments', 'a prompt goes behind -p'],
  [['run', story, '-p', 'x', '--top-p', '3'], '--top-p takes a number above 0 and at most 1', 'got    3'],
  [['run', story, '-p', 'x', '--tools', 't.json'], "unknown option '--tools'", 'rocmforge chat has it'],
  [['run', story, '-p', 'x', '--max-new-tokns', '3'], "unknown option '--max-new-tokns'", 'mean --max-new-tokens?'],
  [['serve', story], "unknown command 'serve'", 'there is no server yet'],
  [['completion', story, '--zzz'], "unknown option '--zzz'", 'rocmforge run --help'],
  [[story, '-p', 'x'], "unknown command '", 'a command comes first: rocmforge run '],
  [['-m', story], "unknown option '-m'", 'a command comes first, then its options: rocmforge run -m …'],
  [['run', 'Qwen/Qwen3-0.6B'], 'there is no such file or folder', 'hf download Qwen/Qwen3-0.6B --local-dir'],
  [['run', story], 'there is no prompt: standard input is empty', 'by a pipe'],
  [['run', story, '-p', 'a', '-f', 'b'], 'both --prompt and --file give a prompt', 'leave one of them out'],
  [['run', story, '-p', 'x', '--print-after', 'fuse-all'], 'there is no pass fuse-all', 'fuse-attention'],
  [['run', story, '-p', 'x', '--device', 'tpu'], '`tpu` does not name a device', 'one of auto'],
])('%s', async (args, message, help) => {
  const { code, stdout, stderr } = await rocmforge(args)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^error\[[\w-]+\]: /)
  expect(stderr).toContain(message)
  expect(stderr).toContain(help)
})

test('errors are JSON under --json', async () => {
  const { code, stdout, stderr } = await rocmforge(['run', story, '--json', '--sed', '1'])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: 'usage',
      message: "unknown option '--sed'",
      facts: [],
      help: 'did you mean --seed? rocmforge run --help shows what there is',
    },
  })
})

test('without a command: the help, as an error; with --help: the same, as what was asked for', async () => {
  const [bare, asked, version] = await Promise.all([rocmforge([]), rocmforge(['--help']), rocmforge(['--version'])])
  expect({ code: bare.code, stdout: bare.stdout }).toEqual({ code: 1, stdout: '' })
  expect(bare.stderr).toBe(asked.stdout)
  expect(asked.code).toBe(0)
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

describe('every command', () => {
  const commands = program.commands.map((command) => [command.name(), command] as const)

  test.each(commands)('%s has examples', (name, command) => {
    expect(helpOf(command)).toMatch(new RegExp(`^ *\\$ rocmforge ${name}\\b`, 'm'))
  })

  test('docs/cli.md tells of all options (npm run docs writes it)', async () => {
    await expect(commandManual(program)).toMatchFileSnapshot(join(packageRoot(), 'docs/cli.md'))
  })
})
