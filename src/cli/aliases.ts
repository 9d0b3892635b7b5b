// Flags and commands as other programs spell them: other names of ours, flags that are not needed here, and what to do
// instead of those that do not exist. Our own names are the ones in --help.

export type Meaning =
  /** another name of one of our flags, whose value goes along */
  | { readonly kind: 'flag'; readonly name: string }
  /** the model, which is no flag here */
  | { readonly kind: 'model' }
  /** words that stand for it, made of its value */
  | { readonly kind: 'words'; readonly words: (value: string) => readonly string[]; readonly note?: string }
  /** not needed: said, and passed over with its value */
  | { readonly kind: 'needless'; readonly why: string; readonly value: boolean }
  /** refused, with what to do */
  | { readonly kind: 'refused'; readonly help: string }

type Row = readonly [names: string, meaning: Meaning]

const flag = (name: string): Meaning => ({ kind: 'flag', name })
const model: Meaning = { kind: 'model' }
const needless = (why: string, value = false): Meaning => ({ kind: 'needless', why, value })
const refused = (help: string): Meaning => ({ kind: 'refused', help })

const rows: readonly Row[] = [
  ['-m --model --model-path --model-id --model-name -hf -hfr --hf-repo', model],
  [
    '--ctx-size --ctx --context-size --context-length --context-window --num-ctx --n-ctx --max-model-len --max-seq-len --max-context',
    flag('--context'),
  ],
  ['--n-predict --predict --num-predict --max-new-tokens --max-completion-tokens --n-tokens', flag('--max-tokens')],
  ['-s --random-seed', flag('--seed')],
  ['--repetition-penalty --repeat-penalty-factor', flag('--repeat-penalty')],
  ['-r --reverse-prompt --stop-sequence --stop-sequences --stop-word --stop-words --stop-string', flag('--stop')],
  ['-sys --system-prompt --system-message', flag('--system')],
  ['--prompt-file', flag('--file')],
  ['--chat-template-file', flag('--chat-template')],
  ['--kv-cache-dtype --kv-cache-type --cache-type-k --cache-type-v --cache-type -ctk -ctv', flag('--kv-dtype')],
  ['-dev --device-map --backend', flag('--device')],
  ['-b --batch-size -ub --ubatch-size --max-num-batched-tokens --prefill-chunk-size', flag('--chunk')],
  ['--max-num-seqs -np --parallel', flag('--max-batch')],
  ['-o --output', flag('--out')],
  ['--arch --targets --gpu-target --offload-arch', flag('--target')],
  ['--optimization-level --opt', flag('--opt-level')],
  ['--greedy', { kind: 'words', words: () => ['--temp', '0'] }],
  [
    '-ngl --n-gpu-layers --gpu-layers --num-gpu',
    {
      kind: 'words',
      words: (value) => (value === '0' ? ['--device', 'host'] : []),
      note: 'all layers run on one device, the one that --device names',
    },
  ],
  ['-tb --threads-batch --n-threads --num-threads --cpu-threads', flag('--threads')],
  ['-fa --flash-attn --flash-attention --attn-implementation', needless('attention is fused wherever it can be', true)],
  ['--no-mmap --mmap --mlock --no-warmup', needless('weights are read to the device at once')],
  ['--jinja --no-jinja', needless('chat templates are always Jinja')],
  ['--trust-remote-code', needless('no code of a model is ever run')],
  ['--color -co --simple-io --log-disable --no-display-prompt -no-cnv --no-conversation --enforce-eager', needless('')],
  ['-i --interactive -cnv --conversation -if --interactive-first', refused('`rocmforge chat MODEL` is a conversation')],
  ['--max-length', refused('--max-tokens counts the new tokens, --context all of them')],
  [
    '--dtype --torch-dtype',
    refused(
      'weights keep the type that they have in the file; --activations f16 chooses what kernels hand to each other',
    ),
  ],
  [
    '--quantization --quantize --load-in-4bit --load-in-8bit --quant',
    refused('weights keep the type that they have in the file: take a quantised .gguf file'),
  ],
  [
    '--gpu-memory-utilization',
    refused('--context bounds the KV cache, the only memory that is not given by the model'),
  ],
  [
    '--tensor-parallel-size -tp --pipeline-parallel-size --split-mode -sm --tensor-split -ts --num-gpus',
    refused('a model runs on one device: --device amd:0'),
  ],
  ['--main-gpu -mg --gpu --gpu-id --device-id', refused('--device names it: amd:0, amd:1, nvidia:0, host')],
  ['--cpu --no-gpu --use-cpu', { kind: 'words', words: () => ['--device', 'host'] }],
  [
    '--mirostat --mirostat-ent --mirostat-lr --typical --tfs --top-n-sigma --xtc-probability --xtc-threshold --dry-multiplier --dynatemp-range --num-beams',
    refused('samplers are --temp, --top-k, --top-p, --min-p, and the penalties; `rocmforge run --help`'),
  ],
  ['-j --grammar --grammar-file --json-schema --response-format', refused('texts are not bound to a grammar yet')],
  ['--lora --lora-scaled --mmproj --image --audio', refused('adapters, images and sound are not supported yet')],
  ['-md --model-draft --draft --speculative-config', refused('there is no speculative decoding yet')],
  [
    '--rope-scaling --rope-freq-base --rope-freq-scale --rope-scale --yarn-orig-ctx',
    refused('the model’s own file says how its positions are scaled'),
  ],
  ['--host --port --api-key', refused('there is no server yet: run and chat, or the script API')],
  ['--list-devices', refused('`rocmforge devices` lists them')],
  ['--list-targets', refused('`rocmforge devices --targets` lists them')],
  ['--usage -?', { kind: 'words', words: () => ['--help'] }],
]

/** Flags that stand alone, among those made of words. */
const alone = new Set(['--greedy', '--cpu', '--no-gpu', '--use-cpu', '--usage', '-?'])

export const flagAliases: ReadonlyMap<string, Meaning> = new Map(
  rows.flatMap(([names, meaning]) => names.split(' ').map((name) => [name, meaning] as const)),
)

/** Whether a word behind this flag belongs to it. */
export const takesValue = (name: string, meaning: Meaning): boolean =>
  meaning.kind === 'needless' ? meaning.value : meaning.kind !== 'refused' && !alone.has(name)

/** Commands of other programs: one of ours that does the same, or what to do. */
export const commandAliases: Readonly<Record<string, { readonly same: string } | { readonly help: string }>> = {
  generate: { same: 'run' },
  complete: { same: 'run' },
  completion: { same: 'run' },
  talk: { same: 'chat' },
  benchmark: { same: 'bench' },
  compile: { same: 'build' },
  toolchains: { same: 'toolchain' },
  'list-devices': { same: 'devices' },
  device: { same: 'devices' },
  ...Object.fromEntries(
    ['pull', 'download', 'fetch', 'get', 'add'].map((name) => [
      name,
      {
        help: 'nothing is downloaded yet: `hf download ORG/NAME --local-dir NAME` brings a model, then `rocmforge run ./NAME`',
      },
    ]),
  ),
  ...Object.fromEntries(
    ['list', 'ls', 'models', 'ps', 'rm', 'cp'].map((name) => [
      name,
      {
        help: 'models are files and folders of yours; `rocmforge cache ls` lists compiled kernels, `rocmforge devices` devices',
      },
    ]),
  ),
  ...Object.fromEntries(
    ['serve', 'server', 'start', 'api'].map((name) => [
      name,
      { help: 'there is no server yet: `rocmforge run`, `rocmforge chat`, or the script API' },
    ]),
  ),
  ...Object.fromEntries(
    ['quantize', 'quantise', 'convert', 'create', 'push'].map((name) => [
      name,
      { help: 'models are run as they are: safetensors folders and .gguf files, quantised or not' },
    ]),
  ),
  ...Object.fromEntries(
    ['show', 'inspect', 'info', 'graph', 'print'].map((name) => [
      name,
      {
        help: '`rocmforge run MODEL --print-graph` prints a model’s graph, `rocmforge devices` what there is to run it on',
      },
    ]),
  ),
  ...Object.fromEntries(
    ['install', 'setup', 'hiprtc'].map((name) => [
      name,
      { help: '`rocmforge toolchain 6.4` brings a compiler for AMD GPUs, `rocmforge doctor` says what is missing' },
    ]),
  ),
  tune: { help: 'there is no tuner yet: kernels choose their parameters from tables and models of the device' },
  perplexity: { help: '`model.logits(tokens, { all: true })` of the script API gives what it is computed from' },
  version: { help: '`rocmforge --version`' },
}
