// A js-libp2p node of one stack, and the few things about its streams that every script here needs.
// js_peer.mjs and js_transport_interop.mjs share it.

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** The packages stand outside the source tree, where an import statement does not look. */
export async function load (modules, name) {
  const parts = name.split('/')
  const length = name.startsWith('@') ? 2 : 1
  const root = path.join(modules, ...parts.slice(0, length))
  const subpath = ['.', ...parts.slice(length)].join('/')
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  return import(pathToFileURL(path.join(root, manifest.exports[subpath].import)).href)
}

export async function loadAll (modules) {
  const from = name => load(modules, name)
  return {
    ...await from('libp2p'),
    ...await from('@libp2p/tcp'),
    ...await from('@libp2p/websockets'),
    ...await from('@libp2p/tls'),
    ...await from('@libp2p/identify'),
    ...await from('@libp2p/ping'),
    ...await from('@libp2p/crypto/keys'),
    ...await from('@libp2p/peer-id'),
    ...await from('@chainsafe/libp2p-noise'),
    ...await from('@chainsafe/libp2p-yamux'),
    ...await from('@chainsafe/libp2p-quic'),
    ...await from('@multiformats/multiaddr'),
    ...await from('multiformats/bases/base58')
  }
}

const LISTEN = {
  'quic-v1': ip => `/ip4/${ip}/udp/0/quic-v1`,
  'tcp+noise': ip => `/ip4/${ip}/tcp/0`,
  'tcp+tls': ip => `/ip4/${ip}/tcp/0`,
  'ws+noise': ip => `/ip4/${ip}/tcp/0/ws`,
  'ws+tls': ip => `/ip4/${ip}/tcp/0/ws`
}

/**
 * js-libp2p has no peer id for an ECDSA key, and encodes such a key as nobody else does, so a whole
 * node cannot have one. Its handshakes can: the part made by `factory` proves `key`, while the rest of
 * the node keeps its own.
 */
function proving (key, factory) {
  return components => factory(new Proxy(components, {
    get: (target, name) => name === 'privateKey' ? key : target[name]
  }))
}

/** A key on P-256 in the encoding of the specification, with what handshakes ask of a key. */
function ecdsaKey () {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    type: 'ECDSA',
    publicKey: { type: 'ECDSA', raw: publicKey.export({ type: 'spki', format: 'der' }) },
    sign: data => sign('sha256', data.subarray(), privateKey)
  }
}

/** The peer id of a key that is too long to be one itself. */
function hashedPeerId (lib, publicKey) {
  const digest = createHash('sha256').update(lib.publicKeyToProtobuf(publicKey)).digest()
  return lib.base58btc.baseEncode(Uint8Array.from([0x12, digest.length, ...digest]))
}

/**
 * Starts a node that speaks `stack` alone. It listens unless `listen` is false. Returns it with the
 * peer id that its handshakes prove and the addresses that lead to it.
 */
export async function startNode (lib, { stack, key = 'Ed25519', ip = '127.0.0.1', listen = true }) {
  if (LISTEN[stack] === undefined) throw new Error(`there is no stack ${stack}`)
  const [transport, security] = stack.split('+')
  const transports = { 'quic-v1': lib.quic, tcp: lib.tcp, ws: lib.webSockets }
  const encrypters = { noise: lib.noise, tls: lib.tls }
  const whole = key !== 'ECDSA'
  const privateKey = await lib.generateKeyPair(whole ? key : 'Ed25519')
  const proven = whole ? privateKey : ecdsaKey()
  const libp2p = await lib.createLibp2p({
    privateKey,
    addresses: { listen: listen ? [LISTEN[stack](ip)] : [] },
    transports: [proving(proven, transports[transport]())],
    connectionEncrypters: security === undefined ? [] : [proving(proven, encrypters[security]())],
    streamMuxers: security === undefined ? [] : [lib.yamux()],
    // The defaults take 5 connections a second from one host, which is where all of them come from.
    connectionManager: { inboundConnectionThreshold: 100_000, maxIncomingPendingConnections: 1_000 },
    services: {
      identify: lib.identify(),
      identifyPush: lib.identifyPush(),
      // The connection monitor and a test may ping at the same time.
      ping: lib.ping({ maxInboundStreams: 16, maxOutboundStreams: 16 })
    }
  })
  const peer = whole ? libp2p.peerId.toString() : hashedPeerId(lib, proven.publicKey)
  const addresses = libp2p.getMultiaddrs()
    .map(address => address.toString().replace(libp2p.peerId.toString(), peer))
  return { libp2p, peer, addresses }
}

/**
 * Gives every piece that arrives to `onData` until the end of the stream. Rejects when the stream is
 * reset. On QUIC js-libp2p shows a reset as an end.
 */
export function readToEnd (stream, onData) {
  return new Promise((resolve, reject) => {
    const broken = () => stream.status === 'reset' || stream.status === 'aborted'
    const end = () => broken() ? reject(new Error(`the stream was ${stream.status}`)) : resolve()
    stream.addEventListener('end', end)
    stream.addEventListener('close', ({ error }) => error ? reject(error) : end())
    stream.addEventListener('message', ({ data }) => onData(data))
    if (stream.readableEnded || broken()) end()
  })
}

/** Resolves when the stream takes more, rejects when it has closed. (`onDrain` waits only once.) */
function drained (stream) {
  return new Promise((resolve, reject) => {
    const done = () => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
    }
    const onDrain = () => { done(); resolve() }
    const onClose = ({ error }) => { done(); reject(error ?? new Error('the stream closed')) }
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}

/** Sends `bytes`, waiting whenever the stream is full. */
export async function write (stream, bytes) {
  if (!stream.send(bytes)) await drained(stream)
}

/** Sends `total` bytes of zeros in pieces of `size`. */
export async function writeZeros (stream, total, size) {
  const block = new Uint8Array(Math.min(size, total))
  for (let left = total; left > 0; left -= block.byteLength) {
    await write(stream, left < block.byteLength ? block.subarray(0, left) : block)
  }
}
