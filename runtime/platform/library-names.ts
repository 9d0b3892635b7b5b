// What the vendors' libraries are called and where they lie, release by release, in the order of preference.
import { type FileView, pathsOf } from './file-view.ts'

export type Part = 'runtime' | 'compiler' | 'builtins' | 'comgr'

/** A file whose name is that of a part. `major` is undefined for an unversioned name. */
interface NamedFile {
  readonly name: string
  readonly major: number | undefined
  /** orders names within a major: the newer first */
  readonly minor: number
}

const linuxStems: Readonly<Record<Part, string>> = {
  runtime: 'libamdhip64',
  compiler: 'libhiprtc',
  builtins: 'libhiprtc-builtins',
  comgr: 'libamd_comgr',
}

/** `libamdhip64.so.6` and, last, `libamdhip64.so`: full names such as `.so.6.4.43484` are what these point to. */
function linuxName(part: Part, name: string): NamedFile | undefined {
  if (!name.startsWith(linuxStems[part])) return undefined // a folder of the loader has thousands of names
  const found = /^(.+)\.so(?:\.(\d+))?$/.exec(name)
  if (found?.[1] !== linuxStems[part]) return undefined
  return { name, major: found[2] === undefined ? undefined : Number(found[2]), minor: 0 }
}

const windowsPatterns: Readonly<Record<Part, readonly RegExp[]>> = {
  runtime: [/^amdhip64_(\d+)\.dll$/i, /^amdhip64\.dll$/i],
  compiler: [/^hiprtc(\d\d)(\d\d)\.dll$/i],
  builtins: [/^hiprtc-builtins(\d\d)(\d\d)\.dll$/i],
  comgr: [/^amd_comgr_(\d+)\.dll$/i, /^amd_comgr(\d\d)(\d\d)\.dll$/i, /^amd_comgr\.dll$/i],
}

function windowsName(part: Part, name: string): NamedFile | undefined {
  for (const [index, pattern] of windowsPatterns[part].entries()) {
    const found = pattern.exec(name)
    if (!found) continue
    let major = found[1] === undefined ? undefined : Number(found[1])
    if (part === 'runtime' && major === undefined) major = 5 // amdhip64.dll carried no number before 6
    // amd_comgr0700.dll is numbered after its ROCm release; comgr 3 came with ROCm 7, comgr 2 before
    if (part === 'comgr' && index === 1) major = major! >= 7 ? 3 : 2
    return { name, major, minor: Number(found[2] ?? 0) }
  }
  return undefined
}

/** The files of a folder that can be this part, best first: newest major, newest minor, unversioned last. */
export function namedFiles(view: FileView, part: Part, folder: string): NamedFile[] {
  const parse = view.os === 'windows' ? windowsName : linuxName
  return view
    .list(folder)
    .flatMap((name) => parse(part, name) ?? [])
    .sort((a, b) => (b.major ?? -1) - (a.major ?? -1) || b.minor - a.minor)
}

/** The major that an unversioned Linux name points to: `libamdhip64.so -> libamdhip64.so.7.2.53211`. */
export function majorBehindLink(view: FileView, file: string): number | undefined {
  const found = /\.so\.(\d+)/.exec(pathsOf(view).basename(view.real(file)))
  return found ? Number(found[1]) : undefined
}

/** comgr's majors that a HIP release works with: 2 up to HIP 6.3, 3 from 6.4. */
export const comgrMajorsFor = (hipMajor: number): readonly number[] =>
  hipMajor <= 5 ? [2] : hipMajor === 6 ? [3, 2] : [3]

/** Up to HIP 6 the runtime library exports hipRTC's functions too. */
export const runtimeHoldsCompiler = (hipMajor: number): boolean => hipMajor <= 6

/** Folders that count as one installation: what lies in them belongs together. */
export interface Place {
  /** why it is searched: `ROCM_PATH`, `pip wheel`, `/opt/rocm` */
  readonly why: string
  readonly folders: readonly string[]
  /** the user named it: nothing else is searched */
  readonly only?: true
}

const linuxSubfolders = ['lib', 'lib64', 'lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', '']

/** Folders of an installation given by its root or by the library folder itself. */
function inside(view: FileView, root: string): string[] {
  const path = pathsOf(view)
  return (view.os === 'windows' ? ['bin', ''] : linuxSubfolders).map((sub) => path.join(root, sub))
}

/** `site-packages` folders of the Python environments a ROCm or CUDA wheel may have been installed into. */
function pythonFolders(view: FileView): string[] {
  const path = pathsOf(view)
  const environments = [view.env['VIRTUAL_ENV'], view.env['CONDA_PREFIX']].filter((root) => root !== undefined)
  if (view.os === 'windows') return environments.map((root) => path.join(root, 'Lib', 'site-packages'))
  const own = view.home === undefined ? [] : [path.join(view.home, '.local')]
  const roots = [...environments, ...own, '/usr/local', '/usr']
  return roots.flatMap((root) =>
    view
      .list(path.join(root, 'lib'))
      .filter((name) => /^python3/.test(name))
      .flatMap((name) => ['site-packages', 'dist-packages'].map((sub) => path.join(root, 'lib', name, sub))),
  )
}

/** Newest first, by the numbers in the names. (A collator would do, and take 20 ms to start.) */
function newestFirst(names: readonly string[]): string[] {
  const numbers = (name: string): number[] => (name.match(/\d+/g) ?? []).map(Number)
  return [...names].sort((a, b) => {
    const [left, right] = [numbers(a), numbers(b)]
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      const order = (right[i] ?? -1) - (left[i] ?? -1)
      if (order !== 0) return order
    }
    return 0
  })
}

/** Where HIP may lie, in order. ROCMFORGE_ROCM_PATH, when set, is the only place. */
export function hipPlaces(view: FileView): Place[] {
  const path = pathsOf(view)
  const own = view.env['ROCMFORGE_ROCM_PATH']
  if (own) return [{ why: 'ROCMFORGE_ROCM_PATH', folders: inside(view, own), only: true }]
  const places: Place[] = []
  for (const name of ['ROCM_PATH', 'HIP_PATH']) {
    const root = view.env[name]
    if (root) places.push({ why: name, folders: inside(view, root) })
  }
  for (const site of pythonFolders(view)) {
    if (view.list(site).includes('_rocm_sdk_core')) {
      places.push({ why: 'pip wheel', folders: inside(view, path.join(site, '_rocm_sdk_core')) })
    }
  }
  if (view.os === 'windows') {
    places.push({ why: 'program folder', folders: [view.programFolder] })
  } else {
    places.push({ why: '/opt/rocm', folders: ['/opt/rocm/lib', '/opt/rocm/lib64'] })
    const cores = newestFirst(view.list('/opt/rocm').filter((name) => /^core-\d/.test(name)))
    for (const core of cores) places.push({ why: `/opt/rocm/${core}`, folders: [`/opt/rocm/${core}/lib`] })
    const releases = newestFirst(view.list('/opt').filter((name) => /^rocm-\d/.test(name)))
    for (const release of releases) places.push({ why: `/opt/${release}`, folders: [`/opt/${release}/lib`] })
  }
  places.push({ why: view.os === 'windows' ? 'System32 and PATH' : 'loader path', folders: view.loaderFolders() })
  return places
}

/** Where NVIDIA's driver library lies. The driver installs it; toolkits bring stand-ins in `stubs` and `compat`. */
export function cudaDriverPlaces(view: FileView): Place[] {
  if (view.os === 'windows') return [{ why: 'System32', folders: view.loaderFolders() }]
  const known = ['/usr/lib/wsl/lib', '/usr/local/nvidia/lib64', '/usr/lib64/nvidia', '/run/opengl-driver/lib']
  return [{ why: 'loader path', folders: [...view.loaderFolders(), ...known] }]
}

/** Where NVRTC may lie, in order: named folders, Python wheels, toolkits, the loader's path. */
export function nvrtcPlaces(view: FileView): Place[] {
  const path = pathsOf(view)
  const own = view.env['ROCMFORGE_CUDA_PATH']
  if (own) return [{ why: 'ROCMFORGE_CUDA_PATH', folders: inside(view, own), only: true }]
  const places: Place[] = []
  for (const name of ['CUDA_PATH', 'CUDA_HOME']) {
    const root = view.env[name]
    if (root) places.push({ why: name, folders: inside(view, root) })
  }
  const wheelFolder = view.os === 'windows' ? 'bin' : 'lib'
  for (const site of pythonFolders(view)) {
    const vendor = path.join(site, 'nvidia')
    const kits = newestFirst(view.list(vendor).filter((name) => /^(cu\d+|cuda_nvrtc)$/.test(name)))
    for (const kit of kits) places.push({ why: 'pip wheel', folders: [path.join(vendor, kit, wheelFolder)] })
  }
  if (view.os === 'linux') {
    const kits = newestFirst(view.list('/usr/local').filter((name) => /^cuda(-\d.*)?$/.test(name)))
    for (const kit of kits) {
      const root = `/usr/local/${kit}`
      places.push({ why: root, folders: [`${root}/lib64`, `${root}/targets/x86_64-linux/lib`] })
    }
  }
  places.push({ why: view.os === 'windows' ? 'System32 and PATH' : 'loader path', folders: view.loaderFolders() })
  return places
}
