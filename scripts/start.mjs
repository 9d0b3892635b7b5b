// npm start: a story from the bundled model, on whatever this machine has. Arguments after `--` go to `rocmforge run`:
//
//   npm start -- --seed 5 -p "The old lighthouse"
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildIfStale, installCompiler, installPackages, mayHaveGpu, requireNode, root } from './setup.mjs'

requireNode()
installPackages()
if (!mayHaveGpu()) installCompiler()
await buildIfStale()

// a small model repeats itself where it always takes the likeliest word; this seed's story ends well
const story = ['-p', 'Once upon a time there was a little girl', '--temp', '0.7', '--seed', '3', '-n', '400']
const cli = join(root, 'dist/cli.js')
process.argv = [process.execPath, cli, 'run', join(root, 'models/story-3m'), ...story, ...process.argv.slice(2)]
await import(pathToFileURL(cli).href) // in this process: starting another costs 40 ms
