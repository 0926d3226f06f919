// SPDX-License-Identifier: MIT
// session: the protocol of session.py for clients written in JavaScript.
'use strict'
const readline = require('readline')

const LIMIT_MS = 20000

const say = words => process.stdout.write(JSON.stringify(words) + '\n')
const unhex = text => (text === null || text === undefined ? null : Buffer.from(text, 'hex'))
const hexed = data => (data === null || data === undefined ? null : Buffer.from(data).toString('hex'))
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

// An error with those inside it.
const inWords = e => [`${e.name}: ${e.message}`, ...(e.errors || []).map(inWords)].join(': ')

// An object that has an async function per request; hello tells what it can.
async function serve(client) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const ask = JSON.parse(line)
    try {
      say(await client[ask.op](ask))
    } catch (e) {
      console.error(e)
      say({ error: inWords(e).slice(0, 600) })
    }
  }
  process.exit(0)
}

module.exports = { LIMIT_MS, say, unhex, hexed, nowUs, pause, serve }
