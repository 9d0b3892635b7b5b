// Preloaded into a command: a user id without an entry in the password file, on any machine that runs the tests.
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'

const unknownUser = (name) => () => {
  throw Object.assign(new Error(`A system error occurred: uv_os_${name} returned ENOENT`), { code: 'ERR_SYSTEM_ERROR' })
}
os.homedir = unknownUser('homedir')
os.userInfo = unknownUser('get_passwd')
syncBuiltinESMExports()
