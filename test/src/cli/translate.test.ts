// Words as fingers that know other programs type them, and the words that our commands are given for them.
import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { flagAliases } from '../../../src/cli/aliases.ts'
import { addCommands } from '../../../src/cli/commands.ts'
import { translate } from '../../../src/cli/translate.ts'

const program = new Command('rocmforge')
addCommands(program)
const words = (line: string) => line.split(' ')
const ours = (line: string) => translate(program, words(line)).words.join(' ')

test.each([
  // llama.cpp
  ['run -m a.gguf -p x', 'run a.gguf -p x'],
  ['run --model=a.gguf -p x', 'run a.gguf -p x'],
  ['run -p x -n 8 -m a.gguf', 'run a.gguf -p x -n 8'],
  ['run a --ctx-size 4096', 'run a --context 4096'],
  ['run a --ctx-size=4096', 'run a --context=4096'],
  ['run a --n-predict 8', 'run a --max-tokens 8'],
  ['run a --n_predict -1', 'run a --max-tokens -1'],
  ['run a -n -1', 'run a -n -1'],
  ['run a -ngl 99 -p x', 'run a -p x'],
  ['run a --n-gpu-layers 0', 'run a --device host'],
  ['run a --threads 4', 'run a --threads 4'],
  ['run a -s 7', 'run a --seed 7'],
  ['run a -fa -p x', 'run a -p x'],
  ['run a -fa on -p x', 'run a -p x'],
  ['run a --no-mmap --jinja -p x', 'run a -p x'],
  ['run a -temp 0.7 -top-k 5', 'run a --temp 0.7 --top-k 5'],
  ['run a -ctk q8_0', 'run a --kv-dtype q8_0'],
  ['run a -b 512', 'run a --chunk 512'],
  ['run a -f prompt.txt', 'run a -f prompt.txt'],
  ['chat a -sys Hi --chat-template-file t.jinja', 'chat a --system Hi --chat-template t.jinja'],
  ['bench -m a.gguf', 'bench a.gguf'],
  // vLLM, transformers, ollama
  ['run a --max-new-tokens 8 --repetition_penalty 1.1', 'run a --max-tokens 8 --repeat-penalty 1.1'],
  ['run a --max-model-len 4096 --kv-cache-dtype fp8', 'run a --context 4096 --kv-dtype fp8'],
  ['run a --max_tokens 8 --topK 3 --TOP_P 0.9', 'run a --max-tokens 8 --top-k 3 --top-p 0.9'],
  ['run a --trust-remote-code --enforce-eager', 'run a'],
  ['run a --greedy', 'run a --temp 0'],
  ['run a --cpu -p x', 'run a --device host -p x'],
  ['build a --max-num-seqs 8 --arch gfx942', 'build a --max-batch 8 --target gfx942'],
  ['generate a -p x', 'run a -p x'],
  ['benchmark a', 'bench a'],
  // values stay what they are
  ['run a -p -m', 'run a -p -m'],
  ['run a -p --ctx-size', 'run a -p --ctx-size'],
  ['run a --prompt=--top_k', 'run a --prompt=--top_k'],
  ['run a -p=x', 'run a -p x'],
  ['run a --json=true -q=1 --self-check=0', 'run a --json -q'],
  ['run a -n64 -O2', 'run a -n64 -O2'],
  ['run a --temp -1', 'run a --temp -1'],
  ['run a -- -m', 'run a -- -m'],
  ['cache ls --json', 'cache ls --json'],
  ['--version', '--version'],
  ['run a --unknown 5', 'run a --unknown 5'],
])('%s → %s', (given, expected) => expect(ours(given)).toBe(expected))

test('what is passed over is said', () => {
  const { notes } = translate(program, words('run a -ngl 99 --no-mmap --color'))
  expect(notes).toEqual([
    '-ngl: all layers run on one device, the one that --device names',
    '--no-mmap: weights are read to the device at once',
  ])
})

describe('flags that have no meaning here say what to do', () => {
  const refusals = [...flagAliases].filter(([, { kind }]) => kind === 'refused').map(([name]) => name)
  test.each(refusals)('%s', (name) => {
    expect(() => translate(program, ['run', 'a', name])).toThrow(/^error\[usage\]: rocmforge run has no [\s\S]*help: ./)
  })
})

test('every other name leads to a flag that some command has', () => {
  const flags = new Set(
    program.commands.flatMap(({ options }) => options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? [])),
  )
  const targets = [...flagAliases.values()].flatMap((meaning) => (meaning.kind === 'flag' ? [meaning.name] : []))
  expect(targets.filter((name) => !flags.has(name))).toEqual([])
  expect(ours('devices --targets')).toBe('devices --targets') // a command's own name comes first
})
