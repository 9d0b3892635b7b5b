// Finds the vendors' libraries without loading any: runtime, run-time compiler and comgr from one installation and of
// majors that belong together, with everything looked at and why it was passed over.
import { type FileView, pathsOf, systemFiles, wrongBinary } from './file-view.ts'
import {
  comgrMajorsFor,
  cudaDriverPlaces,
  hipPlaces,
  majorBehindLink,
  namedFiles,
  nvrtcPlaces,
  type Part,
  type Place,
  runtimeHoldsCompiler,
} from './library-names.ts'

/** A library that can be used. */
export interface FoundLibrary {
  /** absolute path */
  readonly path: string
  /** the major in its name: HIP's for runtime and compiler, comgr's own for comgr, CUDA's for NVRTC */
  readonly major: number
}

/** One file looked at; `rejected` says why it is not used. */
export interface Candidate {
  readonly path: string
  readonly why: string
  readonly rejected?: string
}

/** HIP's libraries of one installation. Each part may be missing; `problem` then says what that means. */
export interface HipLibraries {
  readonly why: string
  readonly runtime?: FoundLibrary
  /** libhiprtc, or the runtime itself in releases that hold it */
  readonly compiler?: FoundLibrary
  /** hipRTC's built-in header; several distributions need none */
  readonly builtins?: FoundLibrary
  readonly comgr?: FoundLibrary
}

export interface HipSearch {
  readonly found: HipLibraries | undefined
  /** why nothing is used, or what the set found cannot do */
  readonly problem?: string
  readonly tried: readonly Candidate[]
}

interface CudaSearch {
  readonly found: FoundLibrary | undefined
  readonly tried: readonly Candidate[]
}

/** Looks at one place: usable files of a part, best first. */
function usable(view: FileView, place: Place, part: Part, tried: Candidate[]): FoundLibrary[] {
  const found: FoundLibrary[] = []
  for (const folder of place.folders) {
    for (const { name, major } of namedFiles(view, part, folder)) {
      const path = pathsOf(view).join(folder, name)
      const real = major ?? majorBehindLink(view, path)
      const wrong = wrongBinary(view, path)
      if (wrong) tried.push({ path, why: place.why, rejected: wrong })
      // an unversioned comgr DLL works with whatever lies beside it
      else if (real === undefined && !(part === 'comgr' && view.os === 'windows')) {
        tried.push({ path, why: place.why, rejected: 'its release cannot be told from its name' })
      } else if (!found.some((other) => other.path === path)) found.push({ path, major: real ?? 0 })
    }
  }
  return found.sort((a, b) => b.major - a.major)
}

interface PlaceResult {
  readonly set: HipLibraries
  readonly problem?: string
}

/** The best coherent set of one place, or undefined where there is nothing of HIP. */
function searchPlace(view: FileView, place: Place, tried: Candidate[]): PlaceResult | undefined {
  const runtimes = usable(view, place, 'runtime', tried)
  const compilers = usable(view, place, 'compiler', tried)
  const comgrs = usable(view, place, 'comgr', tried)
  const builtins = usable(view, place, 'builtins', tried)
  if (runtimes.length === 0 && compilers.length === 0) return undefined

  const runtime = runtimes[0]
  const compiler = runtime
    ? (compilers.find(({ major }) => major === runtime.major) ??
      (runtimeHoldsCompiler(runtime.major) ? runtime : undefined))
    : compilers[0]
  for (const other of [...runtimes, ...compilers]) {
    if (other === runtime || other === compiler) continue
    const rejected =
      runtime && other.major !== runtime.major
        ? `major ${other.major} beside ${fileName(view, runtime)}: mixed majors do not work together`
        : 'another one was found first'
    tried.push({ path: other.path, why: place.why, rejected })
  }
  for (const used of new Set([runtime, compiler])) if (used) tried.push({ path: used.path, why: place.why })

  const base = { why: place.why, ...(runtime ? { runtime } : {}) }
  if (!compiler) {
    const others = compilers.map((file) => fileName(view, file)).join(', ')
    const problem = others
      ? `${fileName(view, runtime!)} and ${others} are of different majors: refusing to mix them`
      : `${fileName(view, runtime!)} holds no run-time compiler and no libhiprtc of major ${runtime!.major} lies beside it`
    return { set: base, problem }
  }
  const wanted = comgrMajorsFor(compiler.major)
  const comgr =
    wanted.map((major) => comgrs.find((file) => file.major === major)).find((file) => file) ??
    comgrs.find((file) => file.major === 0)
  for (const other of comgrs) {
    const rejected = wanted.includes(other.major)
      ? 'another one was found first'
      : `HIP ${compiler.major} needs comgr ${wanted.join(' or ')}`
    tried.push({ path: other.path, why: place.why, ...(other === comgr ? {} : { rejected }) })
  }
  const header = builtins.find(({ major }) => major === compiler.major)
  const set = { ...base, ...(header ? { builtins: header } : {}) }
  if (!comgr) {
    const instead = comgrs.length > 0 ? `, found ${comgrs.map((file) => fileName(view, file)).join(', ')}` : ''
    const problem = `${fileName(view, compiler)} needs comgr ${wanted.join(' or ')} beside it${instead}`
    return { set, problem: `${problem}: it would crash without` }
  }
  return { set: { ...set, compiler, comgr } }
}

const fileName = (view: FileView, { path }: FoundLibrary): string => pathsOf(view).basename(path)

/** Does the set do all there is to do: run and compile? */
const complete = ({ runtime, compiler }: HipLibraries): boolean => !!runtime && !!compiler

/**
 * HIP's libraries: the first place with runtime and compiler, else the first with a runtime, else with a compiler
 * (enough to build for other machines). A folder that the user named is the only place searched.
 */
export function findHip(view: FileView = systemFiles()): HipSearch {
  const tried: Candidate[] = []
  const results: PlaceResult[] = []
  const places = hipPlaces(view)
  for (const place of places) {
    const result = searchPlace(view, place, tried)
    if (!result) continue
    results.push(result)
    if (complete(result.set)) break
  }
  const best =
    results.find(({ set }) => complete(set)) ??
    results.find(({ set }) => set.runtime) ??
    results.find(({ set }) => set.compiler) ??
    results[0]
  if (best) return { found: best.set, tried, ...(best.problem ? { problem: best.problem } : {}) }
  const only = places[0]?.only ? ` in ${places[0].why}=${view.env[places[0].why]}` : ''
  const problem = tried.length > 0 ? 'none of the HIP libraries found can be used' : `no HIP library found${only}`
  return { found: undefined, problem, tried }
}

/** The best file of this name in the first place that has one. */
function findFile(view: FileView, places: readonly Place[], pattern: RegExp, oldest: number): CudaSearch {
  const tried: Candidate[] = []
  for (const place of places) {
    for (const folder of place.folders) {
      const matches = view.list(folder).flatMap((name) => {
        const match = pattern.exec(name)
        return match ? [{ name, major: Number(match[1] ?? 0) }] : []
      })
      for (const { name, major } of matches.sort((a, b) => b.major - a.major)) {
        const path = pathsOf(view).join(folder, name)
        const standIn = /[\\/](compat|stubs)([\\/]|$)/.test(folder)
        const rejected = standIn
          ? 'a stand-in for linking, not the driver'
          : major < oldest
            ? `${oldest} is the oldest release that works`
            : wrongBinary(view, path)
        tried.push({ path, why: place.why, ...(rejected ? { rejected } : {}) })
        if (!rejected) return { found: { path, major }, tried }
      }
    }
  }
  return { found: undefined, tried }
}

/** NVIDIA's driver library, as its driver installs it; never a toolkit's stand-in. */
export function findCudaDriver(view: FileView = systemFiles()): CudaSearch {
  return findFile(view, cudaDriverPlaces(view), view.os === 'windows' ? /^nvcuda\.dll$/i : /^libcuda\.so\.1$/, 0)
}

/** NVRTC. It need not lie beside the driver: their interface is stable. */
export function findNvrtc(view: FileView = systemFiles()): CudaSearch {
  // the digits of `nvrtc64_130_0.dll` are major and minor: 13.0
  const name = view.os === 'windows' ? /^nvrtc64_(\d+)\d_\d+\.dll$/i : /^libnvrtc\.so\.(\d+)(?:\.\d+)?$/
  return findFile(view, nvrtcPlaces(view), name, 11)
}
