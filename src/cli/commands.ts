// Every command with its options; what a command does is in the file of its name.
import { type Command, InvalidArgumentError, Option } from 'commander'

const number = (text: string): number => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.')
  return value
}
const whole = (text: string): number => {
  const value = number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number from 0 up.')
  return value
}
const wholes = (text: string): number[] => text.split(',').map(whole)
const back = (text: string): number => (text.trim() === '-1' ? -1 : whole(text))
const bias = (text: string, previous: Record<string, number> = {}): Record<string, number> => {
  const [id, value, ...rest] = text.split('=')
  if (value === undefined || rest.length) throw new InvalidArgumentError('expected ID=VALUE: 42=-5.')
  return { ...previous, [whole(id!)]: number(value) }
}
const list = (text: string, previous: string[] = []): string[] => [...previous, text]

const kvDtypes = ['f32', 'f16', 'bf16', 'q8_0', 'f8']

const optLevel = () =>
  new Option('-O, --opt-level <level>', 'fusion: 0 none … 3 all').choices(['0', '1', '2', '3']).default('3')
const activations = () =>
  new Option('--activations <dtype>', 'dtype between kernels').choices(['f32', 'f16', 'bf16']).default('f32')
const step = () =>
  new Option('--step <how>', 'decode steps as a launch a kernel, or as one launch whose blocks stay')
    .choices(['kernels', 'persistent'])
    .default('kernels')

/** Options of every command that compiles a model. */
function compileOptions(command: Command): Command {
  return command
    .option('--device <device>', 'auto, amd:0, nvidia:0, gfx1100, sm_90, UUID, host, reference', 'auto')
    .addOption(optLevel())
    .option('-c, --context <tokens>', 'tokens of the KV cache (default: the model’s own, at most 8192)', whole)
    .addOption(
      new Option('--kv-dtype <dtype>', 'dtype of the KV cache (default: f16 on a GPU, f32 on the CPU)').choices(
        kvDtypes,
      ),
    )
    .addOption(activations())
    .option('--chunk <tokens>', 'prompt tokens a step', whole)
    .addOption(step())
    .option('--no-replay', 'launch every kernel of a step, never replay a captured graph')
    .option('--save-temps <folder>', 'keep source, object, log and ISA of every kernel')
    .option('--self-check', 'check each kernel once on the device against its reference; remembered in the cache')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'tell what each pass and each stage did')
}

/** Options of sampling. */
function sampleOptions(command: Command): Command {
  return command
    .option('-n, --max-tokens <count>', 'tokens to generate at most', whole, 256)
    .option('--temp, --temperature <value>', 'randomness; 0: the likeliest token (default: 0)', number)
    .option('--top-k <count>', 'keep the k likeliest tokens; 0: all', whole)
    .option('--top-p <share>', 'keep the likeliest tokens up to this probability', number)
    .option('--min-p <share>', 'keep tokens at least this fraction as likely as the likeliest', number)
    .option('--repeat-penalty <factor>', 'divide the logits of tokens among the last ones', number)
    .option('--repeat-last-n <count>', 'tokens that --repeat-penalty looks back; 0: none, -1: all (default: 64)', back)
    .option('--frequency-penalty <value>', 'take off the logit of a token for each time that it was generated', number)
    .option('--presence-penalty <value>', 'take off the logit of every token that was generated', number)
    .option('--logit-bias <id=value>', 'add to the logit of a token; may be given several times', bias)
    .option('--seed <number>', 'the same seed gives the same text', whole)
    .option('--stop <text>', 'end before this text; may be given several times', list)
    .option('--ignore-eos', 'go on behind tokens that end a text')
}

export function addCommands(program: Command): void {
  sampleOptions(compileOptions(program.command('run <model>')))
    .description('continue a text with a model (Hugging Face folder or GGUF file)')
    .option('-p, --prompt <text>', 'the text to continue (default: standard input)')
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
  $ rocmforge run models/story-3m --print-graph -O 0`,
    )
    .action(async (model, options) => (await import('./run.ts')).run(model, options))

  sampleOptions(compileOptions(program.command('chat <model>')))
    .description('talk with a model that has a chat template')
    .option('--system <text>', 'what the model is told first')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge chat ./Qwen2.5-0.5B-Instruct --temp 0.7\n  In the chat: /reset starts again, /exit or Ctrl-D ends.',
    )
    .action(async (model, options) => (await import('./chat.ts')).chat(model, options))

  program
    .command('record <model>')
    .description('write a prompt and decode steps as a bundle of launches, code objects and buffers; needs no GPU')
    .requiredOption('-p, --prompt <text>', 'the text to continue')
    .option('--steps <count>', 'decode steps behind the prompt', whole, 4)
    .option('--target <target>', 'what to compile for: gfx942, gfx1100, sm_90 … (default: the GPU that is here)')
    .requiredOption('--out <folder>', 'a new folder for the bundle')
    .addOption(optLevel())
    .addOption(new Option('--kv-dtype <dtype>', 'dtype of the KV cache').choices(kvDtypes))
    .option('-c, --context <tokens>', 'tokens of the KV cache (default: what the steps take)', whole)
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge record models/story-3m -p "Once upon a time" --steps 4 --target gfx942 --out story.replay',
    )
    .action(async (model, options) => (await import('./replay.ts')).record(model, options))

  program
    .command('replay <folder>')
    .description('run a recorded bundle and compare what every launch left behind')
    .option('--device <device>', 'auto, amd:0, nvidia:0, host …', 'auto')
    .option('--isolated', 'give each launch the expected inputs, so that errors do not travel')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge replay story.replay --device host\n  $ rocmforge replay story.replay --device amd:0 --isolated',
    )
    .action(async (folder, options) => (await import('./replay.ts')).replay(folder, options))

  program
    .command('bench [model]')
    .description('measure decode and prefill beside the read bandwidth of the device, and time in each kernel')
    .option('--shape <name>', 'instead of a model: a shape with random weights, such as llama-8b, qwen3-0.6b, tiny')
    .option('--random-weights', 'weights made on the device, no file: what --shape has in any case')
    .option('--weights <type>', 'type of random weights: bf16, f16, f32, q8_0, q4_0, q4_k, q5_k, q6_k (default: bf16)')
    .option('--contexts <tokens>', 'tokens in the cache when decoding starts, separated by commas', wholes, [128, 2048])
    .option('--batch <sizes>', 'sequences decoded at a time, separated by commas', wholes, [1])
    .option('--prompt <tokens>', 'tokens of the prompt whose reading is timed; 0: none', whole, 512)
    .option('--tokens <count>', 'tokens of a round of decoding', whole, 64)
    .option('--rounds <count>', 'rounds; figures are their medians', whole, 5)
    .option('--device <device>', 'auto, amd:0, nvidia:0, gfx1100, sm_90, UUID, host', 'auto')
    .addOption(optLevel())
    .option('--kv-dtype <dtype>', 'dtype of the KV cache (default: f16 on a GPU, f32 on the CPU)')
    .addOption(activations())
    .option('--chunk <tokens>', 'prompt tokens a step (default: the prompt, at most 512)', whole)
    .addOption(step())
    .option('--step-block <threads>', 'threads of a block of a persistent step (default: as the device likes)', whole)
    .option('--no-replay', 'launch every kernel of a step, never replay a captured graph')
    .option('--kernels', 'a table of the time in each kernel, and in each stage of a persistent step')
    .option('--json', 'one JSON object on standard output (docs/bench.md)')
    .option('--out <file>', 'write the JSON object to a file too')
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

  program
    .command('devices')
    .description('list every device of this machine, and why each is used or not')
    .option('--targets', 'list every target that kernels can be compiled for')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExamples:\n  $ rocmforge devices\n  $ rocmforge devices --targets')
    .action(async (options) => (await import('./devices.ts')).devices(options))

  program
    .command('doctor')
    .description(
      'test drivers, compilers, the cache and every device; exit code 1 if the default device would not work',
    )
    .option('--no-self-check', 'do not check what the kernel cache holds for each device')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExamples:\n  $ rocmforge doctor\n  $ rocmforge doctor --json')
    .action(async (options) => (await import('./doctor.ts')).doctor(options))

  program
    .command('build <model>')
    .description('compile a model’s kernels for targets whose GPUs need not be here')
    .requiredOption('--target <targets>', 'separated by commas: gfx942,gfx1100,sm_90,host')
    .option('--out <file>', 'also write these kernels to a bundle, for `rocmforge cache import`')
    .addOption(optLevel())
    .option('-c, --context <tokens>', 'tokens of the KV cache', whole)
    .addOption(new Option('--kv-dtype <dtype>', 'dtype of the KV cache').choices(kvDtypes))
    .addOption(activations())
    .option('--chunk <tokens>', 'prompt tokens a step', whole)
    .option(
      '--max-batch <count>',
      'kernels for up to so many generations at the same time, 1 to 32 (default: 1)',
      whole,
    )
    .option('--save-temps <folder>', 'keep source, object, log and ISA of every kernel')
    .option('-q, --quiet', 'no progress')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge build models/story-3m --target gfx942,gfx1100,gfx1201 --out story.kernels\n  $ rocmforge build model.gguf --target gfx1100 --max-batch 8\n  $ rocmforge devices --targets',
    )
    .action(async (model, options) => (await import('./build.ts')).build(model, options))

  program
    .command('toolchain [releases...]')
    .description(
      'bring hipRTC (6.4, 7.2, 5.2) or NVRTC (nvrtc) from Debian’s packages into a folder, installing nothing',
    )
    .option('--into <folder>', 'folder that gets a subfolder a release (default: toolchains in the cache)')
    .option('--all', 'every release')
    .option('--force', 'fetch again what is there')
    .option('-q, --quiet', 'no progress')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rocmforge toolchain\n  $ rocmforge toolchain 6.4\n  $ rocmforge toolchain 6.4 nvrtc --into /opt/toolchains --json',
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

function addCacheCommands(cache: Command): void {
  const json = ['--json', 'one JSON object on standard output'] as const
  const target = ['--target <target>', 'only this target: gfx942, sm_90, host'] as const
  cache
    .command('ls')
    .description('list the kernels in the cache')
    .option(...target)
    .option(...json)
    .action(async (options) => (await import('./cache.ts')).list(options))
  cache
    .command('verify')
    .description('check every byte of every kernel; exit code 1 if one is damaged')
    .option('--remove', 'delete damaged ones')
    .option(...json)
    .action(async (options) => (await import('./cache.ts')).verify(options))
  cache
    .command('prune')
    .description('remove leftovers, and what was used longest ago beyond a size')
    .option('--max-mib <size>', 'MiB to keep (default: the limit of the cache, 2048)', whole)
    .option(...json)
    .action(async (options) => (await import('./cache.ts')).prune(options))
  cache
    .command('clear')
    .description('remove every kernel')
    .option(...target)
    .option(...json)
    .action(async (options) => (await import('./cache.ts')).clear(options))
  cache
    .command('export <file>')
    .description('write kernels to one file')
    .option('--target <targets>', 'only these targets, separated by commas', list)
    .option(...json)
    .action(async (file, options) => (await import('./cache.ts')).exportTo(file, options))
  cache
    .command('import <file>')
    .description('take kernels from a file, and check on the devices here those that they can run')
    .option('--no-self-check', 'take them unchecked')
    .option(...json)
    .action(async (file, options) => (await import('./cache.ts')).importFrom(file, options))
}
