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
  [['run', story, '-O', '9'], "argument '9' is invalid", 'rocmforge run --help'],
  [['run', story, '-n', 'many'], "argument 'many' is invalid. expected a number", 'rocmforge run --help'],
  [['run', story, '-n', '-1'], "argument '-1' is invalid", 'rocmforge run --help'],
  [['run', story, 'and', 'more'], 'too many arguments', 'rocmforge run --help'],
  [['run', story, '-p', 'x', '--top-p', '3'], 'option topP is not valid', 'topP: keep the likeliest'],
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
