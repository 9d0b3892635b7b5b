// docs/cli.md: the help of every command on one page.
import type { Command } from 'commander'

const opening = `# The command line

\`rocmforge COMMAND --help\` prints the same for one command.

- Text goes to standard output; progress, notes and errors go to standard error. With \`--json\`, standard output holds one
  JSON object and nothing else, and an error is a JSON object on standard error. Keys are in camel case, as in the script API;
  numbers that are not whole have six significant digits.
- Flags, commands and devices as llama.cpp, vLLM, transformers and ollama call them (\`-m\`, \`--ctx-size\`, \`--max_new_tokens\`,
  \`--device cuda\`) are taken too, or refused with what to do instead; \`~\` in a path is the home folder, whatever the shell did.
- Exit codes: 0 done, 1 an error, 130 interrupted by Ctrl-C, 143 terminated. A reader that goes away
  (\`rocmforge run … | head\`) is no error.
- Progress is a line that rewrites itself on a terminal, and a line a stage elsewhere.
- Ctrl-C ends a command at any moment; compiled kernels in the cache stay usable. A second one does not wait for the
  running step.

Environment:

| variable | meaning |
| --- | --- |
| \`ROCMFORGE_CACHE_DIR\` | folder of the kernel cache; default \`$XDG_CACHE_HOME/rocmforge\`, then \`~/.cache/rocmforge\`; without a home, a folder of this user among temporary files |
| \`ROCMFORGE_CACHE_DIRS\` | further caches that are only read, separated as PATH is |
| \`ROCMFORGE_TOOLCHAINS\` | folder of unpacked compilers; default \`toolchains\` in the cache |
| \`ROCMFORGE_CXX\` | C++ compiler of the host platform; default \`CXX\`, then g++, clang++ |
| \`ROCMFORGE_ROCM_PATH\` | folder of the HIP runtime and hipRTC; then \`ROCM_PATH\`, \`HIP_PATH\`, the usual folders |
| \`ROCMFORGE_NO_INSTALL\` | \`npm start\` and \`npm test\` install nothing |
| \`UV_THREADPOOL_SIZE\` | threads that read weights from files, Node's own variable; default 4, more for fast arrays of disks |
`

/** Markdown of a program's commands, in their order. */
export function commandManual(program: Command): string {
  const sections = program.commands.flatMap((command) => [command, ...command.commands]).map(section)
  return [opening, ...sections].join('\n')
}

const section = (command: Command): string =>
  `## ${fullName(command)}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\`\n`

/** `rocmforge cache ls` */
export function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name()
}

/** All that --help prints, at a width of its own. */
export function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 100 })
  command.outputHelp()
  return text
}
