// The words that hipRTC or NVRTC gets with a source.
import { defineValue } from '../../codegen/source.ts'
import { targetId } from '../../ir/target.ts'
import type { CompileJob } from './job.ts'
import { atLeast, type Toolchain } from './toolchains.ts'

/** What hipRTC or NVRTC is told for a job. */
export function rtcOptions(
  { target, defines = {}, options = [] }: CompileJob,
  toolchain: Pick<Toolchain, 'family' | 'version'>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const own = [...options, ...defineList(defines).map((text) => `-D${text}`)]
  if (toolchain.family === 'nvrtc') {
    // plain constexpr functions count as device code, as they do for hipRTC
    return [`--gpu-architecture=${target.name}`, '--std=c++17', '--device-as-default-execution-space', ...own]
  }
  // The built-in header costs 150 ms of each program; our prelude needs none of it.
  const bare = atLeast(toolchain.version, '6.2') && env['ROCMFORGE_BUILTIN_HEADER'] !== '1'
  return [
    `--offload-arch=${targetId(target)}`,
    '-std=c++17',
    '-mcode-object-version=5', // newer compilers write version 6, which runtimes before 6.3 refuse
    ...(target.wave === 32 ? ['-mcumode'] : []), // RDNA: a block stays on one CU, so that a barrier keeps its L0 cache
    ...(bare ? ['--hiprtc-no-builtin-header', '-nogpuinc', '-DROCMFORGE_NO_BUILTIN_HEADER=1'] : []),
    ...own,
  ]
}

/** `NAME=value`, sorted by name, so that equal defines are equal lists. */
export const defineList = (defines: Readonly<Record<string, number | string>>): string[] =>
  Object.entries(defines)
    .map(([name, value]) => `${name}=${defineValue(name, value)}`)
    .sort()
