// js-libp2p as one side of the transport-interop harness, in the older form of its environment: what
// libp2p's own image for js does, without a browser.
//
//   is_dialer=true transport=tcp security=noise muxer=yamux redis_addr=127.0.0.1:6379 \
//     node js_transport_interop.mjs NODE_MODULES

import net from 'node:net'
import { once } from 'node:events'
import { loadAll, startNode } from './js_stack.mjs'

const lib = await loadAll(process.argv[2])
const { is_dialer, transport, security, ip = '0.0.0.0', redis_addr } = process.env
const [host, port] = redis_addr.split(':')
const redis = net.connect(Number(port), host)

/** Sends one command and returns the lines of its reply. */
async function call (...words) {
  redis.write(`*${words.length}\r\n` + words.map(word => `$${word.length}\r\n${word}\r\n`).join(''))
  const [reply] = await once(redis, 'data')
  return reply.toString().split('\r\n')
}

const stack = transport === 'quic-v1' ? transport : `${transport}+${security}`
const { libp2p, addresses } = await startNode(lib, { stack, ip, listen: is_dialer === 'false' })
if (is_dialer === 'true') {
  const address = (await call('BLPOP', 'listenerAddr', '30'))[4]
  const began = performance.now()
  const connection = await libp2p.dial(lib.multiaddr(address))
  const pingRTTMilllis = await libp2p.services.ping.ping(connection.remotePeer)
  const handshakePlusOneRTTMillis = performance.now() - began
  console.log(JSON.stringify({ handshakePlusOneRTTMillis, pingRTTMilllis }))
  process.exit(0)
}
await call('RPUSH', 'listenerAddr', addresses[0])
