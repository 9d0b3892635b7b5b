// `rocmforge toolchain` in a checkout: installs packages and builds first, where that is needed.
//
//   node scripts/hiprtc.mjs [5.2] [6.4] [7.2] [nvrtc] [--all] [--into FOLDER] [--force]      default: 6.4
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildIfStale, installPackages, requireNode, root } from './setup.mjs'

requireNode()
installPackages()
await buildIfStale()
const cli = join(root, 'dist/cli.js')
const words = process.argv.slice(2)
const isBare = words.every((word, i) => word.startsWith('-') || words[i - 1] === '--into') && !words.includes('--all')
process.argv = [process.execPath, cli, 'toolchain', ...words, ...(isBare ? ['6.4'] : [])]
await import(pathToFileURL(cli).href)
