// Python's strftime on Linux in the C locale, in local time.
import { valueError } from './errors.ts'

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = 'January February March April May June July August September October November December'.split(' ')
const DAY_MS = 86_400_000

/** digits to fill to, and what fills unless a flag says otherwise; width 0 takes no filling */
interface Field {
  readonly text: string
  readonly width: number
  readonly fill: '0' | ' '
}

const number = (value: number, width = 2, fill: '0' | ' ' = '0'): Field => ({ text: String(value), width, fill })
const words = (text: string): Field => ({ text, width: 0, fill: ' ' })

export function strftime(date: Date, format: string): string {
  if (format.includes('\0')) return valueError('embedded null character')
  return format.replace(
    /%([-_0^#]*)(\d*)([EO]?)([\s\S])/g,
    (all, flags: string, width: string, modifier: string, code: string) => {
      const field = fieldOf(date, code)
      if (field === undefined) return all
      if (modifier === 'E' && !'cCxXyY'.includes(code)) return all
      if (modifier === 'O' && !'deHImMSuUVwWy'.includes(code)) return all
      let text = field.text
      for (const flag of flags) {
        if (flag === '^') text = text.toUpperCase()
        if (flag === '#') text = code === 'p' || code === 'Z' ? text.toLowerCase() : text.toUpperCase()
      }
      const padding = [...flags].reverse().find((flag) => '-_0'.includes(flag))
      if (padding === '-' && width === '') return text
      const fill = padding === '_' || padding === '-' ? ' ' : padding === '0' ? '0' : field.fill
      const wanted = width === '' ? field.width : Math.min(Number(width), 1000)
      const sign = fill === '0' && field.width > 0 ? (/^[+-]/.exec(text)?.[0] ?? '') : ''
      return sign + text.slice(sign.length).padStart(wanted - sign.length, fill)
    },
  )
}

function fieldOf(date: Date, code: string): Field | undefined {
  const year = date.getFullYear()
  const day = date.getDay()
  switch (code) {
    case 'a':
      return words(DAYS[day]!.slice(0, 3))
    case 'A':
      return words(DAYS[day]!)
    case 'b':
    case 'h':
      return words(MONTHS[date.getMonth()]!.slice(0, 3))
    case 'B':
      return words(MONTHS[date.getMonth()]!)
    case 'c':
      return words(strftime(date, '%a %b %e %H:%M:%S %Y'))
    case 'C':
      return number(Math.floor(year / 100))
    case 'd':
      return number(date.getDate())
    case 'D':
    case 'x':
      return words(strftime(date, '%m/%d/%y'))
    case 'e':
      return number(date.getDate(), 2, ' ')
    case 'f': // of Python, not of the C library
      return number(date.getMilliseconds() * 1000, 6)
    case 'F':
      return words(strftime(date, '%Y-%m-%d'))
    case 'g':
      return number(isoWeek(date).year % 100)
    case 'G':
      return number(isoWeek(date).year, 1)
    case 'H':
      return number(date.getHours())
    case 'I':
      return number(date.getHours() % 12 || 12)
    case 'j':
      return number(dayOfYear(date) + 1, 3)
    case 'k':
      return number(date.getHours(), 2, ' ')
    case 'l':
      return number(date.getHours() % 12 || 12, 2, ' ')
    case 'm':
      return number(date.getMonth() + 1)
    case 'M':
      return number(date.getMinutes())
    case 'n':
      return words('\n')
    case 'p':
      return words(date.getHours() < 12 ? 'AM' : 'PM')
    case 'P':
      return words(date.getHours() < 12 ? 'am' : 'pm')
    case 'r':
      return words(strftime(date, '%I:%M:%S %p'))
    case 'R':
      return words(strftime(date, '%H:%M'))
    case 's':
      return number(Math.floor(date.getTime() / 1000), 1)
    case 'S':
      return number(date.getSeconds())
    case 't':
      return words('\t')
    case 'T':
    case 'X':
      return words(strftime(date, '%H:%M:%S'))
    case 'u':
      return number(day || 7, 1)
    case 'U':
      return number(Math.floor((dayOfYear(date) + 7 - day) / 7))
    case 'V':
      return number(isoWeek(date).week)
    case 'w':
      return number(day, 1)
    case 'W':
      return number(Math.floor((dayOfYear(date) + 7 - ((day + 6) % 7)) / 7))
    case 'y':
      return number(((year % 100) + 100) % 100)
    case 'Y':
      return number(year, 1)
    case 'z':
    case 'Z':
      return words('') // Python's datetime.now() has no time zone
    case '%':
      return words('%')
  }
  return undefined
}

/** from 0 */
function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1)
  return Math.round((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / DAY_MS)
}

/** ISO 8601: a week belongs to the year of its Thursday */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7))
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 }
}
