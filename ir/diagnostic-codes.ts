// The table of diagnostic codes: what each means, and after `;` what to do where the message does not say it better.
// A code stays as it is once released: scripts match on it. docs/errors.md is written from this table.

export const diagnosticTable = {
  'Arguments and options': {
    'bad-argument': 'an argument is of another kind than the function takes',
    'bad-option': 'an option has a value that it may not have, or there is no such option',
    'bad-setting': 'an environment variable has a value that it may not have',
    usage: 'words of the command line that make no sense; `--help` of the command shows what there is',
    'no-prompt': '`run` was given no prompt; give one with `-p`, or on standard input',
    'no-pass': '`--print-after` names a pass that does not exist; the message lists those that do',
    disposed: 'a model, a graph or a checkpoint is used after it was disposed of; compile it again',
    'cannot-write': 'a file or a stream cannot be written; give a place with room that may be written',
    'folder-not-empty': 'the folder to write to holds something; name another one, or remove it',
    bundled: 'a bundler took this package into a bundle; mark `rocmforge` and `koffi` as external',
    'not-built': 'a file of the built package is missing; `npm run build` makes it',
  },
  'Files of models': {
    'file-not-found': 'there is no such file or folder',
    'not-a-file': 'the path leads to something else than a regular file',
    'unreadable-file': 'the system does not let the file be read',
    'file-too-large': 'a file of settings is far larger than such files are',
    'file-changed': 'a file became shorter while it was read; wait until it is written whole',
    'truncated-file': 'a file ends before what its header announces; download or copy it again',
    'not-a-checkpoint': 'the path leads to something else than a GGUF file or a Hugging Face folder with safetensors',
    'bad-gguf': 'the header of a GGUF file contradicts itself or the format',
    'split-gguf': 'a model in several GGUF files is not whole, or its parts do not belong together',
    'bad-metadata': 'a metadata value of a GGUF file has the wrong type or length',
    'bad-safetensors': 'the header of a safetensors file contradicts itself or the format',
    'bad-safetensors-index': 'the index of a sharded safetensors model contradicts itself or its shards',
    'missing-shard': 'a file that the index of a model names is missing; download it as well',
    'bad-config': 'a configuration lacks a value, contradicts itself, or contradicts the tensors',
    'unknown-architecture': 'models of this architecture are not supported; the message lists those that are',
    'unknown-activation': 'the configuration names an activation which models of this architecture do not use',
    'unsupported-rope-scaling': 'the configuration scales rotary frequencies by a rule that is not known',
    'unsupported-sliding-window': 'attention of the model looks back through a window, which no kernel computes',
    'unsupported-quantization': 'weights are quantised by a method that no kernel reads; convert the model to GGUF',
    'unsupported-tensor-type': 'a tensor is stored in a type that no kernel reads; convert the model to another one',
    'missing-weight': 'the model or the graph needs a weight that the file or the options do not have',
    'duplicate-weight': 'two tensors, or two declarations, stand for the same weight',
    'bad-weight': 'a weight has another shape, type or size than its role asks for, or holds NaN or infinity',
  },
  'Tokenizers and chat templates': {
    'bad-tokenizer': 'the tokenizer contradicts itself or the format; get the file again',
    'unsupported-tokenizer': 'the tokenizer has a part that is not supported; a GGUF file of the model may load',
    'unsupported-pattern': 'a pattern of tokenizer.json cannot be carried over; a GGUF file of the model may load',
    'unknown-character': 'the vocabulary has neither a piece for a character nor an unknown token',
    'unknown-pre-tokenizer': 'a GGUF file names a pre-tokenizer that is not known',
    'text-too-long': 'a text without a break is too long for one word; send it in parts',
    'bad-token-id': 'a number is not the id of a token of this model',
    'no-bos-token': 'the vocabulary has no beginning-of-sequence token; encode without `addBos`',
    'no-chat-template': 'the model has no chat template; use a plain prompt, or pass a template',
    'bad-tools': 'tools are no list of functions in the form of the OpenAI API',
    'bad-messages': 'a chat message lacks its role or its content, or has them of the wrong type',
    'template-syntax': 'the chat template is malformed; the message shows the line',
    'template-raised': 'the chat template refuses these messages by `raise_exception`; its own text says why',
    'template-failed': 'the chat template failed while it was rendered',
    'template-timeout': 'the chat template takes too long; do not trust it',
    'template-memory': 'the chat template takes too much memory; do not trust it',
    'template-output': 'the chat template produces too much; do not trust it',
    'template-recursion': 'the chat template nests or calls itself too deeply; do not trust it',
  },
  Generation: {
    'empty-prompt': 'a prompt has no tokens',
    'bad-token': 'a token is outside the vocabulary of the model, or beyond the rows of its embedding',
    'bad-logits':
      'the logits of a step are not finite numbers; a weight is damaged, a value too large, or a kernel wrong',
    'context-full': 'prompt and steps do not fit into the context; shorten them, or load with a larger context',
    'kv-full':
      'a sequence can never get its pages of the KV cache; ask for fewer tokens, or compile with a larger `context` or `maxBatch`',
    'left-early': 'the result of a generation was asked for whose loop was left by `break`; end it by an AbortSignal',
    'no-program': 'the reference executor runs a graph and has no program; compile for a device',
    'no-persistent-step': 'a step cannot be one launch; use `--step kernels`',
    'step-too-large': 'a block of a persistent step does not fit on a compute unit; use `--step kernels`',
    'step-stuck': 'blocks of a persistent step waited in vain for each other; use `--step kernels`',
  },
  'Graphs and ops': {
    'bad-name': 'a name in a graph has characters that its text form cannot hold',
    'bad-type': 'a declared type is not one that a value can have',
    'bad-graph': 'a graph breaks an invariant; the message names the node',
    'bad-symbol': 'a symbol of a shape was given something else than a whole number from 0',
    'unknown-symbol': 'the graph has no symbol of this name',
    'unbound-symbol': 'no shape and no binding tells the value of a symbol',
    'beyond-limit': 'a symbol is larger than the graph was compiled for; compile with a larger limit',
    'unknown-weight': 'the graph has no weight of this name',
    'graph-input': 'an input of a graph is missing, or has the wrong size or values',
    'graph-syntax': 'the text of a graph is malformed; the message shows the line',
    'duplicate-input': 'two inputs of a graph have one name',
    'duplicate-output': 'two outputs of a graph have one name',
    'duplicate-value': 'two values of a graph have one name',
    'foreign-value': 'a value of one graph is used in another',
    'op-operand': 'an op lacks an operand, or has none of this name; docs/ops.md lists them',
    'op-attribute': 'an op does not take these attributes; docs/ops.md lists them',
    'op-type': 'an op does not take operands of these types; docs/ops.md lists them',
    'op-index': 'an index that an op reads is outside of its table',
    'no-kernel': 'no kernel runs an op on these types; the message lists which were tried',
    'no-template': 'a kernel names a template that does not exist, or a template includes a system header',
    'too-many-elements': 'a launch would count more elements than 32 bits hold; process fewer tokens in a step',
  },
  'Ops, passes and kernels of your own': {
    'bad-op': 'the declaration of an op is malformed, or its type rule, reference or expansion gives what it must not',
    'duplicate-op': 'an op of this name exists already, with another declaration; give one another name',
    'bad-pass': 'a pass is malformed, fails, or makes a bad graph; the cause has the stack',
    'wrong-pass': 'a pass changes what a graph computes; `checkPasses` found the output and the seed',
    'unchecked-passes': '`checkPasses` cannot run this graph: it is too large, or its ops take no random values',
    'bad-kernel': 'a kernel’s spec and its template disagree, or a function of the spec gives what it must not',
  },
  Devices: {
    'unknown-device': 'a word does not name a device',
    'no-device': 'the device is not on this machine, or not visible to this process; `rocmforge doctor` says why',
    'out-of-memory': 'the device has less memory free than is needed; take a shorter context or a smaller model',
    'library-load': 'a library of the platform cannot be loaded; install what the loader misses',
    'library-symbol': 'a library lacks functions that are needed: it is too old, or not what its name says',
    'device-call': 'a call of the driver failed; the message has its name and its error',
    'driver-closed': 'a driver is used after it was released; keep it for as long as its buffers are used',
    'graph-capture': 'a step could not be captured as a graph; load with `replay: false`',
    'self-check-failed': 'kernels compute something else than their references on this device',
    'no-bench': 'the reference executor cannot be measured',
    'unknown-shape': '`--shape` names a model shape that does not exist; the message lists those that do',
    'replay-target': 'a replay bundle is made for waves of another width than the device has',
    'bad-replay': 'a replay bundle is damaged or not whole; record it again',
  },
  'Compiling kernels': {
    'no-target': 'no target was given where one is needed',
    'unknown-target': 'a name is not that of a known GPU; `rocmforge devices --targets` lists all',
    'bad-target-feature': 'a feature behind the name of a target does not exist there',
    'unsupported-target': 'the run-time compiler does not know the target; a newer release may',
    'no-compiler': 'there is no run-time compiler for the target; `rocmforge toolchain 6.4` brings one',
    'no-host-compiler': 'there is no C++ compiler to build kernels for the CPU; install g++ 12 or clang 14',
    'host-library': 'the library that runs kernels on the CPU cannot be built',
    'kernel-compile': 'a compiler refuses a kernel; the message has its log and the command',
    'compiler-crashed': 'the process of the compiler ended without an answer',
    'compile-timeout': 'the compiler did not finish in time',
    'compile-worker': 'the process of the compiler failed in our own code; report it',
    'unknown-toolchain': 'no toolchain of this name can be brought',
    'no-debian': 'toolchains are unpacked from Debian’s packages, which this machine cannot fetch',
    'package-download': 'a package of a toolchain could not be fetched or unpacked',
    'no-home-folder': 'a path begins with `~`, and this user has no home folder; give the whole path',
    'no-cache-folder': 'there is no folder for the kernel cache; name one in ROCMFORGE_CACHE_DIR',
    'empty-bundle': 'the cache holds no kernel to export',
    'bad-bundle': 'a file of kernels is damaged or of another version; export it again',
    'bundle-read': 'a file of kernels cannot be read',
    'bundle-write': 'a file of kernels cannot be written',
  },
} as const

type Table = typeof diagnosticTable

/** What a `Diagnostic` is about; docs/errors.md has a line for each. */
export type DiagnosticCode = { [Group in keyof Table]: keyof Table[Group] }[keyof Table]

/** docs/errors.md: every code by group and name. */
export function documentCodes(): string {
  const groups = Object.entries(diagnosticTable).map(([title, codes]) => {
    const rows = Object.entries(codes).sort(([a], [b]) => (a < b ? -1 : 1))
    return [`## ${title}`, ['| code | meaning |', '| --- | --- |', ...rows.map(rowOf)].join('\n')].join('\n\n')
  })
  return `${[
    '# Errors',
    'Written from the table in `ir/diagnostic-codes.ts` by `npm run docs`; a test fails when this file is stale.',
    'An error that a user can mend is a `Diagnostic`: `code` is one of these, `message` is the whole text, `facts` say where, ' +
      'and `help` says what to do. On the command line it is printed as `error[code]: …`, and as one JSON object under ' +
      '`--json`. Everything else is a fault of ours: its message begins with `internal:`.',
    ...groups,
  ].join('\n\n')}\n`
}

const rowOf = ([code, meaning]: [string, string]): string => `| \`${code}\` | ${meaning} |`
