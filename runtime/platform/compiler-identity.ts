// Which compiler it is, without loading it: the part of a kernel cache key that changes when the compiler does.
// hiprtcVersion says 9.0 in every release, so the files behind the names speak instead.
import { statSync } from 'node:fs'
import { basename } from 'node:path'
import type { FoundLibrary, HipLibraries } from './discovery.ts'
import { type FileView, systemFiles } from './file-view.ts'

const identify = (view: FileView, { path }: FoundLibrary): string => {
  const real = view.real(path)
  return `${basename(real)}:${statSync(real).size}`
}

/** `libhiprtc.so.6.4.43484:1048576 libamd_comgr.so.3.0.0:…`: names with full versions, and sizes in bytes. */
export function hipCompilerIdentity(libraries: HipLibraries, view: FileView = systemFiles()): string {
  const { compiler, comgr, builtins } = libraries
  return [compiler, comgr, builtins].flatMap((part) => (part ? [identify(view, part)] : [])).join(' ')
}
