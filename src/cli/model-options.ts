// Options that several commands share: how a model is compiled, how tokens are chosen, what a chat template is given.
import { type Command, Option } from 'commander'
import { templateVariable, templateVariables } from './chat-settings.ts'
import { bias, choice, dtypeWords, list, number, path, type Range } from './values.ts'

/** What each number of an option may be, by the option's name; those of the schemas in src/options.ts. */
export const ranges = {
  context: { whole: true, min: 1 },
  chunk: { whole: true, min: 1 },
  maxBatch: { whole: true, min: 1, max: 32 },
  stepBlock: { whole: true, min: 1 },
  maxTokens: { whole: true, min: 0, also: { '-1': 'until the text ends or the context is full' } },
  temperature: { min: 0, max: 100 },
  topK: { whole: true, min: 0 },
  topP: { above: 0, max: 1 },
  minP: { min: 0, max: 1 },
  repeatPenalty: { above: 0, max: 100 },
  repeatLastN: { whole: true, min: -1, max: 0x7fffffff },
  frequencyPenalty: { min: -2, max: 2 },
  presencePenalty: { min: -2, max: 2 },
  seed: { whole: true, min: 0, max: 0xffffffff, also: { '-1': 'a random one' } },
} as const satisfies Readonly<Record<string, Range>>

const tokenId: Range = { whole: true, min: 0, max: 999_999_999 }
const biasValue: Range = { min: -100, max: 100 }

const kvDtypes = ['f32', 'f16', 'bf16', 'q8_0', 'f8']

/** `--max-tokens (-n)` of `-n, --max-tokens <count>` */
function flagName(flags: string): string {
  const [long = ''] = /--[\w-]+/.exec(flags) ?? []
  const [short] = /^-\w/.exec(flags) ?? []
  return short ? `${long} (${short})` : long
}

/** An option of some words, shown as choices. */
export function oneOf(
  flags: string,
  about: string,
  words: readonly string[],
  spoken: Readonly<Record<string, string>> = {},
): Option {
  return new Option(flags, about).choices([...words]).argParser(choice(flagName(flags), words, spoken))
}

export const device = (about = 'auto, amd:0, nvidia:0, gfx1100, sm_90, UUID, host, reference') =>
  new Option('--device <device>', about).default('auto')
export const optLevel = () =>
  oneOf('-O, --opt-level <level>', 'fusion: 0 none … 3 all', ['0', '1', '2', '3']).default('3')
export const activations = () =>
  oneOf('--activations <dtype>', 'dtype between kernels', ['f32', 'f16', 'bf16'], dtypeWords).default('f32')
export const kvDtype = (about = 'dtype of the KV cache (default: f16 on a GPU, f32 on the CPU)') =>
  oneOf('--kv-dtype <dtype>', about, kvDtypes, dtypeWords)
export const step = () =>
  oneOf('--step <how>', 'decode steps as a launch a kernel, or as one launch whose blocks stay', [
    'kernels',
    'persistent',
  ]).default('kernels')
export const context = (about = 'tokens of the KV cache (default: the model’s own, at most 8192)') =>
  new Option('-c, --context <tokens>', about).argParser(number('--context (-c)', ranges.context))
export const chunk = (about = 'prompt tokens a step') =>
  new Option('--chunk <tokens>', about).argParser(number('--chunk', ranges.chunk))
/** For the host library, which reads the variable itself. */
export const threads = () =>
  new Option('-t, --threads <count>', 'threads of the CPU (default: one a core)').argParser((text) => {
    const count = number('--threads (-t)', { whole: true, min: 1, max: 9999 })(text)
    process.env['ROCMFORGE_THREADS'] = String(count)
    return count
  })
export const saveTemps = () =>
  new Option('--save-temps <folder>', 'keep source, object, log and ISA of every kernel').argParser(path)
export const json = () => new Option('--json', 'one JSON object on standard output')

/** Options of every command that runs a model. */
export function compileOptions(command: Command): Command {
  return command
    .addOption(device())
    .addOption(optLevel())
    .addOption(context())
    .addOption(kvDtype())
    .addOption(activations())
    .addOption(chunk())
    .addOption(step())
    .option('--no-replay', 'launch every kernel of a step, never replay a captured graph')
    .addOption(threads())
    .addOption(saveTemps())
    .option('--self-check', 'check each kernel once on the device against its reference; remembered in the cache')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'tell what each pass and each stage did')
}

/** Options of sampling. */
export function sampleOptions(command: Command): Command {
  const numeric = (flags: string, name: keyof typeof ranges, about: string) => {
    return new Option(flags, about).argParser(number(flagName(flags), ranges[name]))
  }
  const tokens = 'tokens to generate at most; -1: until the text ends or the context is full'
  return command
    .addOption(numeric('-n, --max-tokens <count>', 'maxTokens', tokens).default(256))
    .addOption(
      numeric('--temp, --temperature <value>', 'temperature', 'randomness; 0: the likeliest token (default: 0)'),
    )
    .addOption(numeric('--top-k <count>', 'topK', 'keep the k likeliest tokens; 0: all'))
    .addOption(numeric('--top-p <share>', 'topP', 'keep the likeliest tokens up to this probability'))
    .addOption(numeric('--min-p <share>', 'minP', 'keep tokens at least this fraction as likely as the likeliest'))
    .addOption(numeric('--repeat-penalty <factor>', 'repeatPenalty', 'divide the logits of tokens among the last ones'))
    .addOption(
      numeric(
        '--repeat-last-n <count>',
        'repeatLastN',
        'tokens that --repeat-penalty looks back; 0: none, -1: all (default: 64)',
      ),
    )
    .addOption(
      numeric(
        '--frequency-penalty <value>',
        'frequencyPenalty',
        'take off the logit of a token for each time that it was generated',
      ),
    )
    .addOption(
      numeric('--presence-penalty <value>', 'presencePenalty', 'take off the logit of every token that was generated'),
    )
    .option(
      '--logit-bias <id=value>',
      'add to the logit of a token; may be given several times',
      bias('--logit-bias', tokenId, biasValue),
    )
    .addOption(numeric('--seed <number>', 'seed', 'the same seed gives the same text (default: a random one)'))
    .option('--stop <text>', 'end before this text; may be given several times', list)
    .option('--ignore-eos', 'go on behind tokens that end a text')
}

/** What a conversation is laid out by. */
export function templateOptions(command: Command): Command {
  return command
    .option('--system <text>', 'what the model is told first')
    .option('--tools <file>', 'JSON list of functions that the model may call, in the form of the OpenAI API')
    .option(
      '--template-var <name=value>',
      'variable of the chat template, such as enable_thinking=false; may be given several times',
      templateVariable,
    )
    .addOption(new Option('--chat-template-kwargs <json>', 'the same as JSON').argParser(templateVariables).hideHelp())
    .option('--chat-template <file>', 'chat template (Jinja) in place of the model’s own')
}
