// @ts-check
// A conversation: each answer sees all turns before it. The bundled model was not trained to chat and has no chat template,
// so this brings one that joins the turns to a tale; with a chat model leave `chatTemplate` out.
//
//   node examples/chat.mjs [device]
import { fileURLToPath } from 'node:url'
import { compile } from 'rocmforge'

const [device = 'auto'] = process.argv.slice(2)
const chatTemplate = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ ' ' if not loop.last }}{% endfor %}"

const model = await compile(fileURLToPath(new URL('../models/story-3m', import.meta.url)), { device })
try {
  /** @type {import('rocmforge').ChatMessage[]} */
  const messages = []
  for (const said of ['Once upon a time there was a small fox.', 'One day the fox met an owl.']) {
    messages.push({ role: 'user', content: said })
    const answer = model.chat(messages, { chatTemplate, maxTokens: 60, temperature: 0.7, seed: 2, stop: ['\n'] })
    console.log(`you    ${said}`)
    process.stdout.write('model ')
    for await (const piece of answer) process.stdout.write(piece.text)
    process.stdout.write('\n')
    messages.push({ role: 'assistant', content: (await answer.text()).trim() })
  }
} finally {
  await model.dispose()
}
