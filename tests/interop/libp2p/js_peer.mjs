// js-libp2p nodes that do what JSON lines on stdin say, and answer each with a JSON line on stdout:
//   {"id":1,"do":"start","node":"a","stack":"tcp+noise"}
//   {"id":1,"ok":true,"peer":"12D3...","addresses":["/ip4/127.0.0.1/tcp/1234/p2p/12D3..."]}
// interop_peer.cpp does the same with Warren. What each action means: README.md beside this file.
//
//   node js_peer.mjs NODE_MODULES

import { createHash, randomFillSync } from 'node:crypto'
import readline from 'node:readline'
import { loadAll, readToEnd, startNode, write, writeZeros } from './js_stack.mjs'

const ECHO = '/echo/1.0.0'
const PERF = '/perf/1.0.0'
const SINK = '/interop/sink/1.0.0'
const HOLD = '/interop/hold/1.0.0'
const ABORT_UPLOAD = '/interop/abort-upload/1.0.0'
const ABORT_DOWNLOAD = '/interop/abort-download/1.0.0'
const MIB = 1 << 20
// The largest write that js-libp2p gains from.
const WRITE_BYTES = 256 << 10
const STREAMS_MAX = 100_000

const lib = await loadAll(process.argv[2])
const nodes = new Map()

// ------------------------------------------------------------------------------------ servers

async function serveEcho (stream) {
  let last = Promise.resolve()
  await readToEnd(stream, data => { last = last.then(() => write(stream, data)) })
  await last
  await stream.close()
}

async function servePerf (stream) {
  let header
  await readToEnd(stream, data => { header ??= data.subarray(0, 8) })
  if (header === undefined || header.byteLength < 8) throw new Error('the first piece has no header')
  const wanted = new DataView(header.buffer, header.byteOffset, 8).getBigUint64(0)
  await writeZeros(stream, Number(wanted), WRITE_BYTES)
  await stream.close()
}

/** Says so with one byte when 1 MiB has come, and remembers how it ended. */
async function serveSink (node, stream) {
  const sink = { bytes: 0, ended: '' }
  node.sinks.push(sink)
  try {
    await readToEnd(stream, data => {
      if (sink.bytes < MIB && sink.bytes + data.byteLength >= MIB) stream.send(new Uint8Array(1))
      sink.bytes += data.byteLength
    })
    sink.ended = 'end'
  } catch (error) {
    sink.ended = 'reset'
  }
}

/** Says so with one byte and reads nothing until it is released; then the hash of all that came. */
async function serveHold (node, stream) {
  stream.pause()
  stream.send(new Uint8Array(1))
  await new Promise(resolve => { node.held.push(resolve) })
  const hash = createHash('sha256')
  const ended = readToEnd(stream, data => { for (const part of data) hash.update(part) })
  stream.resume()
  await ended
  await write(stream, hash.digest())
  await stream.close()
}

async function serveAbortUpload (stream) {
  let received = 0
  await readToEnd(stream, data => {
    received += data.byteLength
    if (received >= MIB) stream.abort(new Error('enough'))
  }).catch(() => {})
}

/** Sends 1 MiB, and resets when a second byte says that it has arrived. */
async function serveAbortDownload (stream) {
  let received = 0
  const arrived = new Promise((resolve, reject) => {
    readToEnd(stream, data => {
      received += data.byteLength
      if (received >= 2) resolve()
    }).catch(reject)
  })
  await writeZeros(stream, MIB, WRITE_BYTES)
  await arrived
  stream.abort(new Error('enough'))
}

// ----------------------------------------------------------------------------------- helpers

function connectionTo ({ libp2p }, { peer }) {
  const open = libp2p.getConnections(lib.peerIdFromString(peer)).find(it => it.status === 'open')
  if (open === undefined) throw new Error(`not connected to ${peer}`)
  return open
}

function open (node, request, protocol) {
  return connectionTo(node, request).newStream(protocol, { maxOutboundStreams: STREAMS_MAX })
}

function randomBytes (count) {
  return randomFillSync(new Uint8Array(count))
}

async function perfOnce (stream, { upload, download, write_bytes: size = WRITE_BYTES }) {
  let received = 0
  const ended = readToEnd(stream, data => { received += data.byteLength })
  ended.catch(() => {}) // A write that fails first says more.
  const first = new Uint8Array(8 + Math.min(upload, 1024))
  new DataView(first.buffer).setBigUint64(0, BigInt(download))
  await write(stream, first)
  await writeZeros(stream, upload - (first.byteLength - 8), size)
  await stream.close()
  await ended
  if (received !== download) throw new Error(`${received} of ${download} bytes came`)
}

async function echoOnce (stream, bytes) {
  const sent = randomBytes(bytes)
  const hash = createHash('sha256')
  const ended = readToEnd(stream, data => { for (const part of data) hash.update(part) })
  ended.catch(() => {})
  for (let at = 0; at < bytes; at += WRITE_BYTES) {
    await write(stream, sent.subarray(at, at + WRITE_BYTES))
  }
  await stream.close()
  await ended
  if (!hash.digest().equals(createHash('sha256').update(sent).digest())) {
    throw new Error('the echo differs')
  }
}

/** How the other side's reset shows: the error, or that the stream just ended. */
async function howItEnds (task) {
  try {
    await task
    return 'end'
  } catch (error) {
    return `reset: ${error.message}`
  }
}

// ----------------------------------------------------------------------------------- actions

const actions = {
  async start (_, request) {
    const { libp2p, peer, addresses } = await startNode(lib, request)
    const node = { libp2p, identities: new Map(), sinks: [], held: [], monitored: 0 }
    libp2p.addEventListener('peer:identify', ({ detail }) => {
      node.identities.set(detail.peerId.toString(), detail)
    })
    libp2p.addEventListener('connection:open', ({ detail }) => countMonitorPings(node, detail))
    const options = { maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX }
    const handle = (protocol, serve) => libp2p.handle(protocol, async stream => {
      await serve(stream).catch(error => {
        console.error(`js_peer: ${protocol}: ${error.message}`)
        stream.abort(error)
      })
    }, options)
    await handle(ECHO, serveEcho)
    await handle(PERF, servePerf)
    await handle(SINK, stream => serveSink(node, stream))
    await handle(HOLD, stream => serveHold(node, stream))
    await handle(ABORT_UPLOAD, serveAbortUpload)
    await handle(ABORT_DOWNLOAD, serveAbortDownload)
    nodes.set(request.node, node)
    return { peer, addresses }
  },

  async dial ({ libp2p }, { address }) {
    const connection = await libp2p.dial(lib.multiaddr(address))
    return { peer: connection.remotePeer.toString() }
  },

  async hangup ({ libp2p }, { peer }) {
    await libp2p.hangUp(lib.peerIdFromString(peer))
    return {}
  },

  async identify (node, { peer }) {
    while (!node.identities.has(peer)) await sleep(10)
    const { agentVersion, protocols, listenAddrs, observedAddr, signedPeerRecord } =
      node.identities.get(peer)
    const stored = await node.libp2p.peerStore.get(lib.peerIdFromString(peer))
    return {
      agent: agentVersion,
      protocols,
      addresses: (signedPeerRecord?.addresses ?? listenAddrs).map(String),
      signed: signedPeerRecord !== undefined && stored.peerRecordEnvelope !== undefined &&
        stored.addresses.every(it => it.isCertified),
      observed: observedAddr?.toString()
    }
  },

  async ping ({ libp2p }, { peer }) {
    return { milliseconds: await libp2p.services.ping.ping(lib.peerIdFromString(peer)) }
  },

  async echo (node, request) {
    await echoOnce(await open(node, request, ECHO), request.bytes)
    return {}
  },

  async perf (node, request) {
    const began = performance.now()
    await Promise.all(Array.from({ length: request.streams ?? 1 }, async () =>
      perfOnce(await open(node, request, PERF), request)))
    return { seconds: (performance.now() - began) / 1000 }
  },

  async connect_perf ({ libp2p }, { address, count, upload, download }) {
    const milliseconds = []
    for (let i = 0; i < count; ++i) {
      const began = performance.now()
      const connection = await libp2p.dial(lib.multiaddr(address), { force: true })
      await perfOnce(await connection.newStream(PERF), { upload, download })
      milliseconds.push(performance.now() - began)
      await connection.close()
    }
    return { milliseconds }
  },

  async sequential (node, request) {
    for (let i = 0; i < request.count; ++i) {
      await echoOnce(await open(node, request, ECHO), 32)
    }
    return {}
  },

  async parallel (node, request) {
    const streams = await Promise.all(Array.from({ length: request.count }, async () => {
      const stream = await open(node, request, ECHO)
      const back = new Promise((resolve, reject) => {
        stream.addEventListener('message', resolve, { once: true })
        stream.addEventListener('close', ({ error }) => reject(error ?? new Error('closed')))
      })
      await write(stream, randomBytes(1))
      await back
      return stream
    }))
    // All are open now. None was closed to make room for another.
    const open_ = streams.filter(it => it.status === 'open').length
    if (open_ !== request.count) throw new Error(`${open_} of ${request.count} streams are open`)
    await Promise.all(streams.map(stream => echoOnce(stream, 1024)))
    return {}
  },

  async reset_sending (node, request) {
    const stream = await open(node, request, SINK)
    const arrived = new Promise((resolve, reject) => {
      readToEnd(stream, resolve).then(() => reject(new Error('the stream ended')), reject)
    })
    await writeZeros(stream, MIB, WRITE_BYTES)
    await arrived
    stream.send(new Uint8Array(WRITE_BYTES))
    stream.abort(new Error('the test resets'))
    return {}
  },

  async reset_receiving (node, request) {
    const stream = await open(node, request, PERF)
    const header = new Uint8Array(8)
    new DataView(header.buffer).setBigUint64(0, BigInt(64 * MIB))
    let received = 0
    const enough = new Promise((resolve, reject) => {
      readToEnd(stream, data => {
        received += data.byteLength
        if (received >= MIB) resolve()
      }).then(() => reject(new Error(`the end after ${received} bytes`)), reject)
    })
    await write(stream, header)
    await stream.close()
    await enough
    stream.abort(new Error('the test resets'))
    return {}
  },

  async reset_by_receiver (node, request) {
    const stream = await open(node, request, ABORT_UPLOAD)
    return { ended: await howItEnds(writeZeros(stream, 64 * MIB, WRITE_BYTES)) }
  },

  async reset_by_sender (node, request) {
    const stream = await open(node, request, ABORT_DOWNLOAD)
    await write(stream, new Uint8Array(1))
    let bytes = 0
    const ended = await howItEnds(readToEnd(stream, data => {
      bytes += data.byteLength
      if (bytes === MIB) stream.send(new Uint8Array(1))
    }))
    return { ended, bytes }
  },

  async hold (node, request) {
    const stream = await open(node, request, HOLD)
    const sent = randomBytes(request.bytes)
    const answer = []
    let ended
    const holding = new Promise(resolve => {
      ended = readToEnd(stream, data => {
        answer.push(data.slice())
        resolve()
      })
    })
    ended.catch(() => {})
    await write(stream, sent.subarray(0, 1))
    await Promise.race([holding, ended])
    for (let at = 1; at < sent.byteLength; at += WRITE_BYTES) {
      await write(stream, sent.subarray(at, at + WRITE_BYTES))
    }
    await stream.close()
    await ended
    if (!Buffer.concat(answer).subarray(1).equals(createHash('sha256').update(sent).digest())) {
      throw new Error('other bytes arrived than were sent')
    }
    return {}
  },

  async release (node) {
    while (node.held.length === 0) await sleep(10)
    node.held.splice(0).forEach(resolve => resolve())
    return {}
  },

  async sinks (node) {
    while (node.sinks.length === 0 || node.sinks.some(it => it.ended === '')) await sleep(10)
    return { sinks: node.sinks.splice(0) }
  },

  async stats (node) {
    return { connections: node.libp2p.getConnections().length, monitored: node.monitored }
  },

  async cpu () {
    const { user, system } = process.cpuUsage()
    return { seconds: (user + system) / 1e6 }
  }
}

function sleep (milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** The connection monitor writes the round trip time of each of its pings to the connection. */
function countMonitorPings (node, connection) {
  let rtt
  Object.defineProperty(connection, 'rtt', {
    get: () => rtt,
    set: value => {
      rtt = value
      node.monitored++
    }
  })
}

// --------------------------------------------------------------------------------------- loop

async function answer (request) {
  const node = nodes.get(request.node)
  const act = actions[request.do]
  if (act === undefined) throw new Error(`there is no action ${request.do}`)
  if (node === undefined && !['start', 'cpu'].includes(request.do)) {
    throw new Error(`there is no node ${request.node}`)
  }
  return act(node, request)
}

process.on('unhandledRejection', error => console.error('js_peer: unhandled:', error))
process.on('uncaughtException', error => console.error('js_peer: uncaught:', error))

for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  answer(request).then(
    result => ({ id: request.id, ok: true, ...result }),
    error => ({ id: request.id, ok: false, error: `${error.name}: ${error.message}` })
  ).then(reply => console.log(JSON.stringify(reply)))
}
process.exit(0)
