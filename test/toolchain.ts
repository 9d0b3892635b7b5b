// The compilers that tests ask for. A person's `npm test` brings one release; continuous integration brings all, so that
// there a missing one is an error.
import { findToolchains, type Toolchain } from '../runtime/compile/toolchains.ts'

export type Release = '5.2' | '6.4' | '7.2' | 'nvrtc'

/** A compiler of this release; where there is none, says on the console what is skipped for it. */
export function toolchainFor(release: Release, what: string): Toolchain | undefined {
  const found = findToolchains().find(({ family, version }) =>
    release === 'nvrtc' ? family === 'nvrtc' : family === 'hiprtc' && version.startsWith(`${release}.`),
  )
  if (found) return found
  const name = release === 'nvrtc' ? 'NVRTC' : `hipRTC ${release}`
  if (
    process.env['CI'] &&
    process.platform === 'linux' &&
    process.arch === 'x64' &&
    !process.env['ROCMFORGE_NO_INSTALL']
  )
    throw new Error(`${what}: no ${name} is here, which npm test brings where CI is set`)
  console.log(`skipped: ${what}: no ${name} here (rocmforge toolchain ${release})`)
  return undefined
}
