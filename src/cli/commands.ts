// Every command with its options; what a command does is in the file of its name.
import { type Command, Option } from 'commander'
import * as shared from './model-options.ts'
import { dtypeWords, list, number, numbers, path, type Range } from './values.ts'

const fromZero: Range = { whole: true, min: 0 }
const fromOne: Range = { whole: true, min: 1 }

export function addCommands(program: Command): void {
  shared
    .sampleOptions(shared.compileOptions(program.command('run <model>')))
    .description('continue a text with a model (Hugging Face folder or GGUF file)')
    .option(
      '-p, --prompt <text>',
      'the text to continue; -: standard input (default: what is piped in; on a terminal a chat)',
    )
    .option('-f, --file <file>', 'a file with the text to continue')
    .option('--bos', 'begin with the beginning-of-sequence token (default: as the model says)')
    .option('--no-bos', 'never begin with it')
    .option('--parse-special', 'special tokens that the text spells are tokens, not plain text')
    .addOption(new Option('--no-parse-special', 'special tokens that the text spells are plain text').hideHelp())
    .option('--print-graph', 'print the fused graph of a decode step and stop')
    .option('--print-after <pass>', 'print what this pass changed in the graph (or: all)')
    .option('--json', 'one JSON object on standard output, nothing else')
    .addHelpText(
      'after',
      `
Examples:
  $ rocmforge run models/story-3m -p "Once upon a time there was a little girl" --temp 0.7 --seed 1
  $ rocmforge run model.gguf -p "def add(a, b):" -n 64 --json
  $ rocmforge run model.gguf -f prompt.txt -n -1
  $ rocmforge run models/story-3m --print-graph -O 0`,
    )
    .action(async (model, options) => (await import('./run.ts')).run(model, options))

  shared
    .templateOptions(shared.sampleOptions(shared.compileOptions(program.command('chat <model>'))))
    .description('talk with a model that has a chat template')
    .option('-p, --prompt <text>', 'what you say first')
    .addHelpText(
      'after',
      `
Examples:
  $ rocmforge chat ./Qwen2.5-0.5B-Instruct --temp 0.7
  $ rocmforge chat ./Qwen3-0.6B --template-var enable_thinking=false --tools tools.json
  $ rocmforge chat ./Qwen2.5-0.5B-Instruct -q < questions.txt
  In the chat: /reset starts again, /exit or Ctrl-D ends.`,
    )
    .action(async (model, options) => (await import('./chat.ts')).chat(model, options))

  program
    .command('record <model>')
    .description('write a prompt and decode steps as a bundle of launches, code objects and buffers; needs no GPU')
    .requiredOption('-p, --prompt <text>', 'the text to continue')
    .option('--steps <count>', 'decode steps behind the prompt', number('--steps', fromZero), 4)
    .option('--target <target>', 'what to compile for: gfx942, gfx1100, sm_90 … (default: the GPU that is here)')
    .requiredOption('--out <folder>', 'a new folder for the bundle', path)
    .addOption(shared.optLevel())
    .addOption(shared.kvDtype('dtype of the KV cache'))
    .addOption(shared.context('tokens of the KV cache (default: what the steps take)'))
    .addOption(shared.json())
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge record models/story-3m -p "Once upon a time" --steps 4 --target gfx942 --out story.replay',
    )
    .action(async (model, options) => (await import('./replay.ts')).record(model, options))

  program
    .command('replay <folder>')
    .description('run a recorded bundle and compare what every launch left behind')
    .addOption(shared.device('auto, amd:0, nvidia:0, host …'))
    .option('--isolated', 'give each launch the expected inputs, so that errors do not travel')
    .addOption(shared.json())
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge replay story.replay --device host\n  $ rocmforge replay story.replay --device amd:0 --isolated',
    )
    .action(async (folder, options) => (await import('./replay.ts')).replay(path(folder), options))

  addBenchCommand(program)

  program
    .command('devices')
    .description('list every device of this machine, and why each is used or not')
    .option('--targets', 'list every target that kernels can be compiled for')
    .addOption(shared.json())
    .addHelpText('after', '\nExamples:\n  $ rocmforge devices\n  $ rocmforge devices --targets')
    .action(async (options) => (await import('./devices.ts')).devices(options))

  program
    .command('doctor')
    .description(
      'test drivers, compilers, the cache and every device; exit code 1 if the default device would not work',
    )
    .option('--no-self-check', 'do not check what the kernel cache holds for each device')
    .addOption(shared.json())
    .addHelpText('after', '\nExamples:\n  $ rocmforge doctor\n  $ rocmforge doctor --json')
    .action(async (options) => (await import('./doctor.ts')).doctor(options))

  program
    .command('build <model>')
    .description('compile a model’s kernels for targets whose GPUs need not be here')
    .requiredOption('--target <targets>', 'separated by commas: gfx942,gfx1100,sm_90,host')
    .option('--out <file>', 'also write these kernels to a bundle, for `rocmforge cache import`', path)
    .addOption(shared.optLevel())
    .addOption(shared.context('tokens of the KV cache'))
    .addOption(shared.kvDtype('dtype of the KV cache'))
    .addOption(shared.activations())
    .addOption(shared.chunk())
    .option(
      '--max-batch <count>',
      'kernels for up to so many generations at the same time, 1 to 32 (default: 1)',
      number('--max-batch', shared.ranges.maxBatch),
    )
    .addOption(shared.saveTemps())
    .option('-q, --quiet', 'no progress')
    .addOption(shared.json())
    .addHelpText(
      'after',
      `
Examples:
  $ rocmforge build models/story-3m --target gfx942,gfx1100,gfx1201 --out story.kernels
  $ rocmforge build model.gguf --target gfx1100 --max-batch 8
  $ rocmforge devices --targets`,
    )
    .action(async (model, options) => (await import('./build.ts')).build(model, options))

  program
    .command('toolchain [releases...]')
    .description(
      'bring hipRTC (6.4, 7.2, 5.2) or NVRTC (nvrtc) from Debian’s packages into a folder, installing nothing',
    )
    .option('--into <folder>', 'folder that gets a subfolder a release (default: toolchains in the cache)', path)
    .option('--all', 'every release')
    .option('--force', 'fetch again what is there')
    .option('-q, --quiet', 'no progress')
    .addOption(shared.json())
    .addHelpText(
      'after',
      `
Examples:
  $ rocmforge toolchain
  $ rocmforge toolchain 6.4
  $ rocmforge toolchain 6.4 nvrtc --into /opt/toolchains --json`,
    )
    .action(async (releases, options) => (await import('./toolchain.ts')).toolchain(releases, options))

  addCacheCommands(
    program
      .command('cache')
      .description('compiled kernels on disk: list, check, tidy, move')
      .addHelpText(
        'after',
        '\nExamples:\n  $ rocmforge cache ls\n  $ rocmforge cache export kernels.bundle --target gfx942',
      ),
  )
}

function addBenchCommand(program: Command): void {
  const count = (flag: string, about: string, range: Range, initial?: number) => {
    const option = new Option(flag, about).argParser(number(/--[\w-]+/.exec(flag)![0], range))
    return initial === undefined ? option : option.default(initial)
  }
  program
    .command('bench [model]')
    .description('measure decode and prefill beside the read bandwidth of the device, and time in each kernel')
    .option('--shape <name>', 'instead of a model: a shape with random weights, such as llama-8b, qwen3-0.6b, tiny')
    .option('--random-weights', 'weights made on the device, no file: what --shape has in any case')
    .addOption(
      shared.oneOf(
        '--weights <type>',
        'type of random weights (default: bf16)',
        ['bf16', 'f16', 'f32', 'q8_0', 'q4_0', 'q4_k', 'q5_k', 'q6_k'],
        dtypeWords,
      ),
    )
    .option(
      '--contexts <tokens>',
      'tokens in the cache when decoding starts, separated by commas',
      numbers('--contexts', fromZero),
      [128, 2048],
    )
    .option(
      '--batch <sizes>',
      'sequences decoded at a time, separated by commas',
      numbers('--batch', shared.ranges.maxBatch),
      [1],
    )
    .addOption(count('--prompt <tokens>', 'tokens of the prompt whose reading is timed; 0: none', fromZero, 512))
    .addOption(count('--tokens <count>', 'tokens of a round of decoding', { whole: true, min: 2 }, 64))
    .addOption(count('--rounds <count>', 'rounds; figures are their medians', fromOne, 5))
    .addOption(shared.device('auto, amd:0, nvidia:0, gfx1100, sm_90, UUID, host'))
    .addOption(shared.optLevel())
    .addOption(shared.kvDtype())
    .addOption(shared.activations())
    .addOption(shared.chunk('prompt tokens a step (default: the prompt, at most 512)'))
    .addOption(shared.step())
    .addOption(shared.threads())
    .addOption(
      count(
        '--step-block <threads>',
        'threads of a block of a persistent step (default: as the device likes)',
        shared.ranges.stepBlock,
      ),
    )
    .option('--no-replay', 'launch every kernel of a step, never replay a captured graph')
    .option('--kernels', 'a table of the time in each kernel, and in each stage of a persistent step')
    .option('--json', 'one JSON object on standard output (docs/bench.md)')
    .option('--out <file>', 'write the JSON object to a file too', path)
    .option('-q, --quiet', 'no progress')
    .addHelpText(
      'after',
      `
Examples:
  $ rocmforge bench models/story-3m --kernels
  $ rocmforge bench --shape llama-8b --weights q4_k --contexts 128,2048,8192 --batch 1,8,32
  $ rocmforge bench --shape tiny --device host --json`,
    )
    .action(async (model, options) => (await import('./bench.ts')).bench(model, options))
}

function addCacheCommands(cache: Command): void {
  const target = ['--target <target>', 'only this target: gfx942, sm_90, host'] as const
  cache
    .command('ls')
    .description('list the kernels in the cache')
    .option(...target)
    .addOption(shared.json())
    .action(async (options) => (await import('./cache.ts')).list(options))
  cache
    .command('verify')
    .description('check every byte of every kernel; exit code 1 if one is damaged')
    .option('--remove', 'delete damaged ones')
    .addOption(shared.json())
    .action(async (options) => (await import('./cache.ts')).verify(options))
  cache
    .command('prune')
    .description('remove leftovers, and what was used longest ago beyond a size')
    .option('--max-mib <size>', 'MiB to keep (default: the limit of the cache, 2048)', number('--max-mib', fromZero))
    .addOption(shared.json())
    .action(async (options) => (await import('./cache.ts')).prune(options))
  cache
    .command('clear')
    .description('remove every kernel, or some')
    .option(...target)
    .option('--failed', 'only those whose last self-check failed')
    .addOption(shared.json())
    .action(async (options) => (await import('./cache.ts')).clear(options))
  cache
    .command('export <file>')
    .description('write kernels to one file')
    .option('--target <targets>', 'only these targets, separated by commas', list)
    .addOption(shared.json())
    .action(async (file, options) => (await import('./cache.ts')).exportTo(path(file), options))
  cache
    .command('import <file>')
    .description('take kernels from a file, and check on the devices here those that they can run')
    .option('--no-self-check', 'take them unchecked')
    .addOption(shared.json())
    .action(async (file, options) => (await import('./cache.ts')).importFrom(path(file), options))
}
