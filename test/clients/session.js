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

// What a member says; it counts positions and owned partitions for the library.
class Desk {
  constructor() {
    this.owned = []
    this.next = new Map()
  }

  owns(why, partitions, more) {
    this.owned = [...partitions].sort((a, b) => a - b)
    this.next = new Map([...this.next].filter(([p]) => this.owned.includes(p)))
    say({ event: 'owns', why, partitions: this.owned, at_us: nowUs(), ...more })
  }

  got(pairs) {
    if (pairs.length) say({ event: 'got', records: pairs })
    for (const [p, offset] of pairs) if (this.owned.includes(p)) this.next.set(p, offset + 1)
  }

  // Until it is to leave; commit([[partition, offset]], metadata) commits or throws.
  async attend(orders, commit) {
    say({ event: 'here' })
    for (;;) {
      const { value, done } = await orders.next()
      if (done) process.exit(0)
      const order = JSON.parse(value)
      if (order.op === 'leave') return
      const offsets = [...this.next]
      try {
        await commit(offsets, order.metadata)
        say({ event: 'committed', offsets: Object.fromEntries(offsets), at_us: nowUs() })
      } catch (e) {
        say({ event: 'refused', why: inWords(e).slice(0, 300) })
      }
    }
  }
}

// An object that has an async function per request; hello tells what it can. join gets the lines
// that follow, too.
async function serve(client) {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  for (;;) {
    const { value, done } = await lines.next()
    if (done) break
    const ask = JSON.parse(value)
    try {
      say(await client[ask.op](ask, lines))
    } catch (e) {
      console.error(e)
      say({ error: inWords(e).slice(0, 600) })
    }
  }
  process.exit(0)
}

module.exports = { Desk, LIMIT_MS, say, unhex, hexed, nowUs, pause, serve }
